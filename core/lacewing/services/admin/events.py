"""Events of the engine and of other clusters, taken into rows. Rules: contract "admin", section 4.

Every check is made before the first write, so a refused event leaves nothing behind and needs no savepoint.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from flyteidl.admin import event_pb2 as admin_event_pb2
from flyteidl.core import identifier_pb2
from flyteidl.event import event_pb2
from sqlalchemy import Connection

from lacewing.adapters.events import News
from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, FailedPrecondition
from lacewing.model.ids import RunKey
from lacewing.services.admin.ingest import TERMINAL, Phase, ingest_workflow_event, is_already_terminal
from lacewing.services.admin.node_events import ingest_node_event
from lacewing.services.admin.task_events import ingest_task_event
from lacewing.services.rpc import Call


class Events:
    """The RPCs by which engines tell what happened."""

    def __init__(self, database: Database, news: News | None = None) -> None:
        self._database, self._news = database, news or News()

    async def CreateWorkflowEvent(
        self, request: admin_event_pb2.WorkflowExecutionEventRequest, call: Call
    ) -> admin_event_pb2.WorkflowExecutionEventResponse:
        """An execution entered a phase."""
        await self._database.write(lambda c: ingest_workflow_event(c, request.event))
        self._tell(request.event.execution_id, Phase.Name(request.event.phase) in TERMINAL)
        return admin_event_pb2.WorkflowExecutionEventResponse()

    async def CreateNodeEvent(
        self, request: admin_event_pb2.NodeExecutionEventRequest, call: Call
    ) -> admin_event_pb2.NodeExecutionEventResponse:
        """A node entered a phase."""
        await self._database.write(lambda c: ingest_node_event(c, request.event))
        self._tell(request.event.id.execution_id)
        return admin_event_pb2.NodeExecutionEventResponse()

    async def CreateTaskEvent(
        self, request: admin_event_pb2.TaskExecutionEventRequest, call: Call
    ) -> admin_event_pb2.TaskExecutionEventResponse:
        """An attempt entered a phase, or told more of the one it is in."""
        await self._database.write(lambda c: ingest_task_event(c, request.event))
        self._tell(request.event.parent_node_execution_id.execution_id)
        return admin_event_pb2.TaskExecutionEventResponse()

    def _tell(self, identifier: identifier_pb2.WorkflowExecutionIdentifier, ended: bool = False) -> None:
        self._news.tell(RunKey(identifier.project, identifier.domain, identifier.name), ended=ended)


def ingest(database: Database) -> Callable[[Sequence[Any]], Awaitable[None]]:
    """A function that writes a batch of events in one commit. What was recorded before is passed over."""

    async def write(events: Sequence[Any]) -> None:
        await database.write(lambda connection: _batch(connection, events))

    return write


def _batch(connection: Connection, events: Sequence[Any]) -> None:
    for event in events:
        try:
            record(connection, event)
        except AlreadyExists:
            continue
        except FailedPrecondition as error:
            if not is_already_terminal(error):
                raise


def record(connection: Connection, event: Any) -> None:
    """Write one event down. Raises AlreadyExists, FailedPrecondition, InvalidArgument or NotFound."""
    if isinstance(event, event_pb2.WorkflowExecutionEvent):
        ingest_workflow_event(connection, event)
    elif isinstance(event, event_pb2.NodeExecutionEvent):
        ingest_node_event(connection, event)
    else:
        ingest_task_event(connection, event)
