"""The events of nodes: the first one makes the row, each later one changes its closure.

Nothing is read or written outside the connection: large parts are put into files by the caller first.
"""

from typing import Any

from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure as Closure
from flyteidl.admin.node_execution_pb2 import NodeExecutionMetaData as Metadata
from flyteidl.core import catalog_pb2, identifier_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.event import event_pb2
from sqlalchemy import Connection, bindparam, select

from lacewing.errors import AlreadyExists
from lacewing.services.admin.ingest import (
    already_terminal,
    check_time,
    error_columns,
    key_of,
    require_running,
    span,
    time_columns,
)
from lacewing.services.admin.words import enum_name, id_text, missing
from lacewing.services.db import executions, node_executions, task_executions

Phase = core_pb2.NodeExecution.Phase
TERMINAL = frozenset(("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "SKIPPED", "RECOVERED"))

_BY_KEY = (
    (node_executions.c.execution_project == bindparam("p"))
    & (node_executions.c.execution_domain == bindparam("d"))
    & (node_executions.c.execution_name == bindparam("n"))
    & (node_executions.c.node_id == bindparam("node"))
)
_SELECT = select(
    node_executions.c.id,
    node_executions.c.phase,
    node_executions.c.input_uri,
    node_executions.c.dynamic_workflow_remote_closure_reference,
    node_executions.c.metadata,
    node_executions.c.closure,
).where(_BY_KEY)
_UPDATE = node_executions.update().where(node_executions.c.id == bindparam("row_id"))
_INSERT = node_executions.insert()
_EXECUTION = select(executions.c.id).where(
    executions.c.execution_project == bindparam("p"),
    executions.c.execution_domain == bindparam("d"),
    executions.c.execution_name == bindparam("n"),
)
_TASK = select(task_executions.c.id).where(
    task_executions.c.execution_project == bindparam("p"),
    task_executions.c.execution_domain == bindparam("d"),
    task_executions.c.execution_name == bindparam("n"),
    task_executions.c.node_id == bindparam("node"),
    task_executions.c.name == bindparam("task"),
    task_executions.c.retry_attempt == bindparam("retry"),
)


def find_node(connection: Connection, identifier: Any) -> Any | None:
    """What an event needs of a node's row, or None."""
    parameters = key_of(identifier.execution_id) | {"node": identifier.node_id}
    return connection.execute(_SELECT, parameters).one_or_none()


def ingest_node_event(
    connection: Connection, event: event_pb2.NodeExecutionEvent, dynamic_reference: str = ""
) -> None:
    """Take a node into the phase of the event. Refusals: contract "admin", section 4.3.

    `dynamic_reference` is where the caller put the closure of the event's dynamic workflow.
    """
    check_time(event)
    phase = enum_name(Phase, event.phase)
    row = find_node(connection, event.id)
    if row is not None:
        _check_phase(event, row.phase, phase)
    _check_child(connection, event)
    closure = Closure() if row is None else Closure.FromString(row.closure)
    metadata = Metadata() if row is None else Metadata.FromString(row.metadata)
    _apply(closure, event, phase)
    _apply_metadata(metadata, event)
    values = _columns(closure, phase) | {"metadata": metadata.SerializeToString()}
    if row is None:
        _create(connection, event, values, dynamic_reference)
        return
    values["row_id"] = row.id
    values["input_uri"] = row.input_uri or event.input_uri
    kept = row.dynamic_workflow_remote_closure_reference
    values["dynamic_workflow_remote_closure_reference"] = kept or dynamic_reference
    connection.execute(_UPDATE, values)


def _check_phase(event: event_pb2.NodeExecutionEvent, current: str, phase: str) -> None:
    named = f"for node execution {id_text(event.id)}"
    if phase == current:
        raise AlreadyExists(f"This phase {phase} was already recorded {named}")
    if current in TERMINAL:
        raise already_terminal(f"Invalid phase change from {current} to {phase} {named}", current)


def _check_child(connection: Connection, event: event_pb2.NodeExecutionEvent) -> None:
    if event.WhichOneof("target_metadata") != "workflow_node_metadata":
        return
    child = event.workflow_node_metadata.execution_id
    if connection.execute(_EXECUTION, key_of(child)).one_or_none() is None:
        raise missing("execution", child)


def _columns(closure: Closure, phase: str) -> dict[str, object]:
    values = time_columns(closure, "node_execution") | error_columns(closure)
    values |= {"phase": phase, "closure": closure.SerializeToString()}
    if closure.WhichOneof("target_metadata") == "task_node_metadata":
        status = closure.task_node_metadata
        if status.HasField("catalog_key"):
            values["cache_status"] = enum_name(catalog_pb2.CatalogCacheStatus, status.cache_status)
    return values


def _create(connection: Connection, event: Any, values: dict[str, object], dynamic_reference: str) -> None:
    execution = event.id.execution_id
    require_running(connection, event, execution)
    values |= {
        "execution_project": execution.project,
        "execution_domain": execution.domain,
        "execution_name": execution.name,
        "node_id": event.id.node_id,
        "input_uri": event.input_uri,
        "parent_id": _parent(connection, event),
        "parent_task_execution_id": _parent_task(connection, event),
        "cache_status": values.get("cache_status", ""),
        "dynamic_workflow_remote_closure_reference": dynamic_reference,
        "created_at": values["node_execution_created_at"],
    }
    connection.execute(_INSERT, values)


def _parent(connection: Connection, event: Any) -> int | None:
    node_id = event.parent_node_metadata.node_id
    if not node_id:
        return None
    identifier = identifier_pb2.NodeExecutionIdentifier(node_id=node_id, execution_id=event.id.execution_id)
    parent = find_node(connection, identifier)
    if parent is None:
        raise missing("node execution", identifier)
    if event.event_version == 0:
        # An engine this old does not say that a node is a parent: having a child says it.
        metadata = Metadata.FromString(parent.metadata)
        metadata.is_parent_node = True
        connection.execute(_UPDATE, {"row_id": parent.id, "metadata": metadata.SerializeToString()})
    return int(parent.id)


def _parent_task(connection: Connection, event: Any) -> int | None:
    if not event.HasField("parent_task_metadata"):
        return None
    identifier = event.parent_task_metadata.id
    parameters: dict[str, object] = {
        **key_of(identifier.node_execution_id.execution_id),
        "node": identifier.node_execution_id.node_id,
        "task": identifier.task_id.name,
        "retry": identifier.retry_attempt,
    }
    row = connection.execute(_TASK, parameters).first()
    if row is None:
        raise missing("task execution", identifier)
    return int(row.id)


def _apply(closure: Closure, event: Any, phase: str) -> None:
    closure.phase = event.phase
    if not closure.HasField("created_at"):
        closure.created_at.CopyFrom(event.occurred_at)
    reported = event.reported_at if event.HasField("reported_at") else event.occurred_at
    closure.updated_at.CopyFrom(reported)
    if phase == "RUNNING" and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(event.occurred_at)
    if phase in TERMINAL:
        _apply_end(closure, event)
    if phase in ("SUCCEEDED", "FAILED") or (event.deck_uri and (phase == "RUNNING" or phase in TERMINAL)):
        # A deck that was promised and never made is no longer told of.
        closure.deck_uri = event.deck_uri
    target = event.WhichOneof("target_metadata")
    if target == "workflow_node_metadata":
        closure.workflow_node_metadata.executionId.CopyFrom(event.workflow_node_metadata.execution_id)
    elif target == "task_node_metadata":
        _apply_task(closure, event.task_node_metadata)


def _apply_end(closure: Closure, event: Any) -> None:
    if closure.HasField("started_at"):
        closure.duration.CopyFrom(span(closure.started_at, event.occurred_at))
    result = event.WhichOneof("output_result")
    if result == "output_uri":
        closure.output_uri = event.output_uri
    elif result is not None:
        getattr(closure, result).CopyFrom(getattr(event, result))


def _apply_task(closure: Closure, told: event_pb2.TaskNodeMetadata) -> None:
    if told.checkpoint_uri:
        closure.task_node_metadata.checkpoint_uri = told.checkpoint_uri
    if told.HasField("catalog_key"):
        closure.task_node_metadata.cache_status = told.cache_status
        closure.task_node_metadata.catalog_key.CopyFrom(told.catalog_key)
    if told.HasField("dynamic_workflow"):
        closure.task_node_metadata.SetInParent()
    if told.HasField("dynamic_workflow") and told.dynamic_workflow.dynamic_job_spec_uri:
        closure.dynamic_job_spec_uri = told.dynamic_workflow.dynamic_job_spec_uri


def _apply_metadata(metadata: Metadata, event: Any) -> None:
    metadata.is_parent_node = metadata.is_parent_node or event.is_parent
    metadata.is_dynamic = metadata.is_dynamic or event.is_dynamic
    metadata.is_array = metadata.is_array or event.is_array
    metadata.retry_group = event.retry_group or metadata.retry_group
    metadata.spec_node_id = event.spec_node_id or metadata.spec_node_id
