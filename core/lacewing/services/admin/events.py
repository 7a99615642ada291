"""Events into rows: executions, node executions and task executions as clients read them.

Rules: contract "admin", section 4. A repeated event changes nothing. What a row becomes is decided here.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from flyteidl.admin import event_pb2 as event_admin
from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import execution_pb2 as core_execution
from flyteidl.event import event_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection

from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, FailedPrecondition, NotFound
from lacewing.services import db
from lacewing.services.admin.rows import execution_columns, find, get_execution, now_text, time_text

RunPhase = core_execution.WorkflowExecution.Phase
NodePhase = core_execution.NodeExecution.Phase
TaskPhase = core_execution.TaskExecution.Phase
ENDED_RUNS = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
_ENDED_NODES = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "SKIPPED", "RECOVERED"}
_ENDED_TASKS = {"SUCCEEDED", "FAILED", "ABORTED"}


def ingest(database: Database) -> Callable[[Sequence[Any]], Awaitable[None]]:
    """A function that writes a batch of events in one commit. What was recorded before is passed over."""

    async def write(events: Sequence[Any]) -> None:
        await database.write(lambda connection: _batch(connection, events))

    return write


def _batch(connection: Connection, events: Sequence[Any]) -> None:
    for event in events:
        try:
            record(connection, event)
        except (AlreadyExists, FailedPrecondition):
            continue


def record(connection: Connection, event: Any) -> None:
    """Write one event down. Raises AlreadyExists, FailedPrecondition or NotFound."""
    if isinstance(event, event_pb2.WorkflowExecutionEvent):
        _workflow(connection, event)
    elif isinstance(event, event_pb2.NodeExecutionEvent):
        _node(connection, event)
    else:
        _task(connection, event)


def ended(phase: str) -> FailedPrecondition:
    """What is told of a row that is over, with the detail that the engine looks for."""
    reason = event_admin.EventFailureReason()
    reason.already_in_terminal_state.current_phase = phase
    return FailedPrecondition(f"invalid phase change: already in terminal state {phase}", details=[reason])


def _workflow(connection: Connection, event: event_pb2.WorkflowExecutionEvent) -> None:
    row = get_execution(connection, event.execution_id)
    phase = RunPhase.Name(event.phase)
    if row.phase in ENDED_RUNS:
        raise ended(row.phase)
    if row.phase == phase and phase != "QUEUED":
        raise AlreadyExists(f"This phase {phase} was already recorded for workflow execution")
    if row.phase == "ABORTING" and phase not in ENDED_RUNS:
        raise FailedPrecondition(f"Cannot go from {row.phase} to {phase}")
    closure = execution_pb2.ExecutionClosure.FromString(row.closure)
    closure.phase = event.phase
    closure.updated_at.CopyFrom(event.occurred_at)
    if phase == "RUNNING" and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(event.occurred_at)
    if phase in ENDED_RUNS:
        _duration(closure, event.occurred_at)
    if event.output_uri:
        closure.outputs.uri = event.output_uri
    elif event.HasField("error") and phase == "FAILED":
        closure.error.CopyFrom(event.error)
    values = {"execution_updated_at": time_text(event.occurred_at), **_columns(closure, phase)}
    connection.execute(db.executions.update().where(db.executions.c.id == row.id).values(values))


def _node(connection: Connection, event: event_pb2.NodeExecutionEvent) -> None:
    columns = {**execution_columns(event.id.execution_id), "node_id": event.id.node_id}
    phase = NodePhase.Name(event.phase)
    row = find(connection, db.node_executions, columns)
    if row is not None and row.phase == phase:
        raise AlreadyExists(f"This phase was already recorded {phase} for {event.id.node_id}")
    if row is not None and row.phase in _ENDED_NODES:
        raise ended(phase)
    if row is None:
        get_execution(connection, event.id.execution_id)
    closure = node_execution_pb2.NodeExecutionClosure.FromString(row.closure if row else b"")
    if row is None:
        closure.created_at.CopyFrom(event.occurred_at)
    closure.phase = event.phase
    closure.updated_at.CopyFrom(event.reported_at if event.HasField("reported_at") else event.occurred_at)
    if phase == "RUNNING" and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(event.occurred_at)
    if phase in _ENDED_NODES:
        _duration(closure, event.occurred_at)
    if event.deck_uri:
        closure.deck_uri = event.deck_uri
    if event.task_node_metadata.checkpoint_uri:
        closure.task_node_metadata.checkpoint_uri = event.task_node_metadata.checkpoint_uri
    _outcome(closure, event)
    meta = node_execution_pb2.NodeExecutionMetaData.FromString(row.metadata if row else b"")
    meta.spec_node_id = event.spec_node_id or meta.spec_node_id
    values = {
        **_columns(closure, phase),
        "input_uri": event.input_uri or (row.input_uri if row else ""),
        "metadata": meta.SerializeToString(),
        "node_execution_updated_at": time_text(closure.updated_at),
    }
    created = {"node_execution_created_at": time_text(closure.created_at)}
    _upsert(connection, db.node_executions, row, columns, values, created)


def _task(connection: Connection, event: event_pb2.TaskExecutionEvent) -> None:
    node, task = event.parent_node_execution_id, event.task_id
    columns = {
        **execution_columns(node.execution_id),
        "node_id": node.node_id,
        "retry_attempt": event.retry_attempt,
        **{name: getattr(task, name) for name in ("project", "domain", "name", "version")},
    }
    phase = TaskPhase.Name(event.phase)
    row = find(connection, db.task_executions, columns)
    if row is not None and row.phase == phase and event.phase_version <= row.phase_version:
        raise AlreadyExists(f"have already recorded task execution phase {phase}")
    if row is not None and row.phase in _ENDED_TASKS:
        raise ended(row.phase)
    if row is None:
        parent = {**execution_columns(node.execution_id), "node_id": node.node_id}
        if find(connection, db.node_executions, parent) is None:
            raise NotFound(f"missing entity of type node execution with identifier {node.node_id}")
    closure = task_execution_pb2.TaskExecutionClosure.FromString(row.closure if row else b"")
    if row is None:
        closure.created_at.CopyFrom(event.occurred_at)
        closure.task_type = event.task_type
    closure.phase = event.phase
    closure.updated_at.CopyFrom(event.reported_at if event.HasField("reported_at") else event.occurred_at)
    if phase == "RUNNING" and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(event.occurred_at)
    if phase in _ENDED_TASKS:
        _duration(closure, event.occurred_at)
    _describe(closure, event)
    _outcome(closure, event)
    values = {
        **_columns(closure, phase),
        "phase_version": event.phase_version,
        "input_uri": event.input_uri or (row.input_uri if row else ""),
        "task_execution_updated_at": time_text(closure.updated_at),
    }
    values = {name: value for name, value in values.items() if name in db.task_executions.c}
    created = {"task_execution_created_at": time_text(closure.created_at)}
    _upsert(connection, db.task_executions, row, columns, values, created)


def _describe(closure: Any, event: event_pb2.TaskExecutionEvent) -> None:
    known = {link.uri or link.name for link in closure.logs}
    closure.logs.extend(link for link in event.logs if (link.uri or link.name) not in known)
    for reason in event.reasons:
        if not closure.reasons or closure.reasons[-1].message != reason.reason:
            closure.reasons.add(message=reason.reason).occurred_at.CopyFrom(reason.occurred_at)
        closure.reason = reason.reason
    closure.metadata.MergeFrom(event.metadata)
    closure.event_version = max(closure.event_version, event.event_version)


def _outcome(closure: Any, event: Any) -> None:
    if event.output_uri:
        closure.output_uri = event.output_uri
    elif event.HasField("error"):
        closure.error.CopyFrom(event.error)


def _duration(closure: Any, end: Timestamp) -> None:
    if closure.HasField("started_at"):
        closure.duration.FromNanoseconds(max(0, end.ToNanoseconds() - closure.started_at.ToNanoseconds()))


def _columns(closure: Any, phase: str) -> dict[str, Any]:
    error = closure.error if closure.HasField("error") else None
    return {
        "phase": phase,
        "closure": closure.SerializeToString(),
        "started_at": time_text(closure.started_at) if closure.HasField("started_at") else None,
        "duration": closure.duration.ToNanoseconds() / 1e9 if closure.HasField("duration") else None,
        "error_kind": core_execution.ExecutionError.ErrorKind.Name(error.kind) if error else "",
        "error_code": error.code if error else "",
        "updated_at": now_text(),
    }


def _upsert(connection: Connection, table: Any, row: Any, columns: Any, values: Any, created: Any) -> None:
    if row is not None:
        connection.execute(table.update().where(table.c.id == row.id).values(values))
    else:
        connection.execute(table.insert().values({**columns, **values, **created, "created_at": now_text()}))
