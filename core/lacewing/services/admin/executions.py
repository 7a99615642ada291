"""Executions: read, archived, ended. Rules: contract "admin", sections 3.8, 5.3 and 8.1."""

from typing import Any

from flyteidl.admin import common_pb2, execution_pb2
from flyteidl.core import execution_pb2 as core_execution
from flyteidl.core import identifier_pb2
from sqlalchemy import Connection, Row

from lacewing.adapters.events import News
from lacewing.adapters.sql import Database
from lacewing.errors import InvalidArgument
from lacewing.model.ids import RunKey
from lacewing.ports import BlobStore, RunStore
from lacewing.services import db
from lacewing.services.admin.data import fill_data
from lacewing.services.admin.entities import place
from lacewing.services.admin.holding import Holding
from lacewing.services.admin.ingest import TERMINAL, already_terminal
from lacewing.services.admin.listing import EXECUTIONS, has_filter, list_page
from lacewing.services.admin.rows import (
    get_execution,
    now_text,
    timestamp,
)
from lacewing.services.rpc import Call

_LISTED_ERROR = 100


class Executions:
    """The RPCs that read and end executions."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        runs: RunStore,
        news: News | None = None,
        holding: Holding | None = None,
    ) -> None:
        self._database, self._blobs, self._runs = database, blobs, runs
        self._news, self._holding = news or News(), holding

    async def GetExecution(self, request: Any, call: Call) -> execution_pb2.Execution:
        """An execution with its full error; over gRPC held until there is news, for who asks again."""

        async def read() -> execution_pb2.Execution:
            return execution_message(await self._database.read(lambda c: get_execution(c, request.id)))

        if self._holding is None or call.transport != "grpc":
            return await read()
        return await self._holding.answer(_key(request.id), call, read)

    async def ListExecutions(
        self, request: common_pb2.ResourceListRequest, call: Call
    ) -> execution_pb2.ExecutionList:
        """Executions of a project and domain. Archived ones show only if the filters speak of the state."""
        scope: dict[str, Any] = {f"execution_{name}": value for name, value in place(request.id).items()}
        if not has_filter(EXECUTIONS, request.filters, "state"):
            scope["state"] = execution_pb2.EXECUTION_ACTIVE
        rows, token = await list_page(self._database, EXECUTIONS, request, scope)
        found = [execution_message(row) for row in rows]
        for execution in found:
            trim_error(execution.closure)
        return execution_pb2.ExecutionList(executions=found, token=token)

    async def UpdateExecution(
        self, request: execution_pb2.ExecutionUpdateRequest, call: Call
    ) -> execution_pb2.ExecutionUpdateResponse:
        """Archive an execution, or bring it back."""
        if request.state not in execution_pb2.ExecutionState.values():
            raise InvalidArgument(f"unrecognized execution state {request.state}")
        await self._database.write(lambda c: _set_state(c, request))
        return execution_pb2.ExecutionUpdateResponse()

    async def TerminateExecution(self, request: Any, call: Call) -> execution_pb2.ExecutionTerminateResponse:
        """Note the abort, then have the engine carry it out."""
        await self._database.write(lambda c: _abort(c, request.id, request.cause))
        self._news.tell(_key(request.id))
        await self._runs.request_abort(_key(request.id), request.cause)
        return execution_pb2.ExecutionTerminateResponse()

    async def GetExecutionData(
        self, request: Any, call: Call
    ) -> execution_pb2.WorkflowExecutionGetDataResponse:
        """An execution's inputs and, once it succeeded, its outputs."""
        row = await self._database.read(lambda c: get_execution(c, request.id))
        closure = execution_pb2.ExecutionClosure.FromString(row.closure)
        answer = execution_pb2.WorkflowExecutionGetDataResponse()
        await fill_data(self._blobs, answer, row.inputs_uri, closure.outputs.uri)
        return answer


def execution_message(row: Row[Any]) -> execution_pb2.Execution:
    """A stored execution."""
    key = RunKey(row.execution_project, row.execution_domain, row.execution_name)
    return execution_pb2.Execution(
        id=execution_identifier(key),
        spec=execution_pb2.ExecutionSpec.FromString(row.spec),
        closure=execution_pb2.ExecutionClosure.FromString(row.closure),
    )


def execution_identifier(key: RunKey) -> identifier_pb2.WorkflowExecutionIdentifier:
    """The key as clients write it."""
    return identifier_pb2.WorkflowExecutionIdentifier(project=key.project, domain=key.domain, name=key.name)


def _key(identifier: identifier_pb2.WorkflowExecutionIdentifier) -> RunKey:
    return RunKey(identifier.project, identifier.domain, identifier.name)


def trim_error(closure: Any) -> None:
    """Cut a listed error's message to 100 characters; who wants it whole asks for the one."""
    if closure.HasField("error"):
        closure.error.message = closure.error.message[:_LISTED_ERROR]


def _set_state(connection: Connection, request: execution_pb2.ExecutionUpdateRequest) -> None:
    row = get_execution(connection, request.id)
    closure = execution_pb2.ExecutionClosure.FromString(row.closure)
    closure.state_change_details.state = request.state
    closure.state_change_details.occurred_at.CopyFrom(timestamp(now_text()))
    values = {"state": request.state, "closure": closure.SerializeToString()}
    connection.execute(db.executions.update().where(db.executions.c.id == row.id).values(values))


def _abort(connection: Connection, identifier: Any, cause: str) -> None:
    row = get_execution(connection, identifier)
    if row.phase in TERMINAL:
        raise already_terminal("Cannot abort an already terminated workflow execution", row.phase)
    closure = execution_pb2.ExecutionClosure.FromString(row.closure)
    closure.phase = core_execution.WorkflowExecution.Phase.ABORTING
    closure.abort_metadata.cause = cause
    values = {"phase": "ABORTING", "closure": closure.SerializeToString(), "abort_cause": cause}
    connection.execute(db.executions.update().where(db.executions.c.id == row.id).values(values))
