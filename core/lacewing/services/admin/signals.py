"""Signals: what people tell executions that wait for it. Rules: contract "admin", section 3.9."""

from collections.abc import Callable
from typing import Any

from flyteidl.admin import signal_pb2
from flyteidl.core import identifier_pb2, literals_pb2, types_pb2
from sqlalchemy import Connection, Row
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.compiler.types import castable, literal_type, type_text
from lacewing.errors import AlreadyExists, InvalidArgument
from lacewing.model.ids import RunKey
from lacewing.services import db
from lacewing.services.admin.executions import execution_identifier
from lacewing.services.admin.listing import SIGNALS, list_page
from lacewing.services.admin.rows import execution_columns, find, now_text
from lacewing.services.rpc import Call


class Signals:
    """The signal service; for the engine also the port of that name. `wake` is told of each signal set."""

    def __init__(self, database: Database, wake: Callable[[RunKey], None]) -> None:
        self._database, self._wake = database, wake

    async def GetOrCreateSignal(
        self, request: signal_pb2.SignalGetOrCreateRequest, call: Call
    ) -> signal_pb2.Signal:
        """The signal, made known with its type if it was not."""
        if not request.HasField("type"):
            raise InvalidArgument("missing type")
        columns = _columns(request.id)
        row = await self._database.read(lambda c: find(c, db.signals, columns))
        if row is None:
            row = await self._database.write(lambda c: _ensure(c, columns, request.type))
        if types_pb2.LiteralType.FromString(row.type) != request.type:
            raise AlreadyExists(
                f"signal {request.id.signal_id!r} is there with another type; it cannot change to "
                f"{type_text(request.type)}"
            )
        return signal_message(row)

    async def ListSignals(self, request: signal_pb2.SignalListRequest, call: Call) -> signal_pb2.SignalList:
        """The signals of one execution."""
        scope = execution_columns(request.workflow_execution_id)
        rows, token = await list_page(self._database, SIGNALS, request, scope)
        return signal_pb2.SignalList(signals=[signal_message(row) for row in rows], token=token)

    async def SetSignal(
        self, request: signal_pb2.SignalSetRequest, call: Call
    ) -> signal_pb2.SignalSetResponse:
        """Give a known signal its value, which may be given again, and wake who waits for it."""
        columns = _columns(request.id)
        await self._database.write(lambda c: _set(c, columns, request))
        where = request.id.execution_id
        self._wake(RunKey(where.project, where.domain, where.name))
        return signal_pb2.SignalSetResponse()

    async def ask(
        self, key: RunKey, signal_id: str, wanted: types_pb2.LiteralType
    ) -> literals_pb2.Literal | None:
        """The engine's question: the signal's value, if it has one."""
        identifier = identifier_pb2.SignalIdentifier(
            execution_id=execution_identifier(key), signal_id=signal_id
        )
        request = signal_pb2.SignalGetOrCreateRequest(id=identifier, type=wanted)
        signal = await self.GetOrCreateSignal(request, Call("engine"))
        return signal.value if signal.HasField("value") else None


def signal_message(row: Row[Any]) -> signal_pb2.Signal:
    """A stored signal."""
    key = RunKey(row.execution_project, row.execution_domain, row.execution_name)
    signal = signal_pb2.Signal(type=types_pb2.LiteralType.FromString(row.type))
    signal.id.signal_id = row.signal_id
    signal.id.execution_id.CopyFrom(execution_identifier(key))
    if row.value:
        signal.value.ParseFromString(row.value)
    return signal


def _columns(identifier: identifier_pb2.SignalIdentifier) -> dict[str, str]:
    if not identifier.signal_id:
        raise InvalidArgument("missing signal_id")
    for name in ("project", "domain", "name"):
        if not getattr(identifier.execution_id, name):
            raise InvalidArgument(f"missing {name}")
    return {**execution_columns(identifier.execution_id), "signal_id": identifier.signal_id}


def _ensure(connection: Connection, columns: dict[str, str], wanted: types_pb2.LiteralType) -> Row[Any]:
    at = now_text()
    values = {**columns, "type": wanted.SerializeToString(), "value": b"", "created_at": at, "updated_at": at}
    connection.execute(insert(db.signals).values(values).on_conflict_do_nothing())
    row = find(connection, db.signals, columns)
    assert row is not None
    return row


def _set(connection: Connection, columns: dict[str, str], request: signal_pb2.SignalSetRequest) -> None:
    row = find(connection, db.signals, columns)
    if row is None:
        raise InvalidArgument(f"signal {columns['signal_id']!r} is not known to this execution")
    wanted = types_pb2.LiteralType.FromString(row.type)
    given = literal_type(request.value)
    if given is None or not castable(given, wanted):
        shown = type_text(given) if given is not None else "nothing"
        raise InvalidArgument(
            f"signal {columns['signal_id']!r} takes {type_text(wanted)}, and was given {shown}"
        )
    values = {"value": request.value.SerializeToString(), "updated_at": now_text()}
    connection.execute(db.signals.update().where(db.signals.c.id == row.id).values(values))
