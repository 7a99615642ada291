"""Reservations: who computes outputs that others wait for. Rules: contract "admin", section 9.3."""

from datetime import datetime, timedelta

from flyteidl.datacatalog import datacatalog_pb2
from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.errors import InvalidArgument
from lacewing.ports import Clock
from lacewing.services import db
from lacewing.services.catalog.rows import dataset_columns, find, time_text
from lacewing.services.rpc import Call

_LONGEST_SECONDS = 10.0
_MISSED_BEATS = 3


class Reservations:
    """The RPCs about reservations."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def GetOrExtendReservation(
        self, request: datacatalog_pb2.GetOrExtendReservationRequest, call: Call
    ) -> datacatalog_pb2.GetOrExtendReservationResponse:
        """Take a reservation, extend one's own, or learn who has it."""
        columns = _columns(request.reservation_id, request.owner_id)
        seconds = request.heartbeat_interval.ToTimedelta().total_seconds()
        if seconds <= 0:
            raise InvalidArgument("heartbeat_interval must be more than nothing")
        seconds, now = min(seconds, _LONGEST_SECONDS), self._clock.now()
        owner, expires = await self._database.write(
            lambda c: reserve(c, columns, request.owner_id, seconds, now)
        )
        answer = datacatalog_pb2.GetOrExtendReservationResponse()
        answer.reservation.reservation_id.CopyFrom(request.reservation_id)
        answer.reservation.owner_id = owner
        answer.reservation.heartbeat_interval.FromTimedelta(timedelta(seconds=seconds))
        answer.reservation.expires_at.FromJsonString(expires)
        return answer

    async def ReleaseReservation(
        self, request: datacatalog_pb2.ReleaseReservationRequest, call: Call
    ) -> datacatalog_pb2.ReleaseReservationResponse:
        """Let go of one's own reservation; any other, and none, is left as it is."""
        columns = _columns(request.reservation_id, request.owner_id)
        await self._database.write(lambda c: release(c, columns, request.owner_id))
        return datacatalog_pb2.ReleaseReservationResponse()


def reserve(
    connection: Connection, columns: dict[str, str], owner: str, seconds: float, now: datetime
) -> tuple[str, str]:
    """Who has the reservation from now on, and until when."""
    row = find(connection, db.catalog_reservations, columns)
    if row is not None and row.owner != owner and row.expires_at > time_text(now):
        return row.owner, row.expires_at
    expires = time_text(now + timedelta(seconds=_MISSED_BEATS * seconds))
    values = {"owner": owner, "expires_at": expires}
    statement = insert(db.catalog_reservations).values({**columns, **values})
    connection.execute(statement.on_conflict_do_update(index_elements=list(columns), set_=values))
    return owner, expires


def release(connection: Connection, columns: dict[str, str], owner: str) -> None:
    """Remove the owner's reservation."""
    table = db.catalog_reservations
    statement = table.delete().where(table.c.owner == owner)
    for name, value in columns.items():
        statement = statement.where(table.c[name] == value)
    connection.execute(statement)


def _columns(identifier: datacatalog_pb2.ReservationID, owner: str) -> dict[str, str]:
    if not identifier.tag_name:
        raise InvalidArgument("missing tag_name")
    if not owner:
        raise InvalidArgument("missing owner_id")
    return {**dataset_columns(identifier.dataset_id), "tag": identifier.tag_name}
