"""The events of task attempts: each attempt is a row; logs, reasons and resources of its events add up.

Merging follows contract "admin", section 4.4. Nothing but the connection is touched.
"""

from typing import Any

from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure as Closure
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.core import identifier_pb2
from flyteidl.event import event_pb2
from google.protobuf.struct_pb2 import Struct
from sqlalchemy import Connection, bindparam, select

from lacewing.errors import AlreadyExists
from lacewing.services.admin.ingest import (
    already_terminal,
    check_inline,
    check_time,
    key_of,
    require_running,
    span,
    time_columns,
)
from lacewing.services.admin.node_events import find_node
from lacewing.services.admin.words import enum_name, id_text, missing
from lacewing.services.db import task_executions

Phase = core_pb2.TaskExecution.Phase
TERMINAL = frozenset(("SUCCEEDED", "FAILED", "ABORTED"))
PENDING = frozenset(("QUEUED", "INITIALIZING"))

_COLUMNS = task_executions.c
_BY_KEY = (
    (_COLUMNS.execution_project == bindparam("p"))
    & (_COLUMNS.execution_domain == bindparam("d"))
    & (_COLUMNS.execution_name == bindparam("n"))
    & (_COLUMNS.node_id == bindparam("node"))
    & (_COLUMNS.retry_attempt == bindparam("retry"))
    & (_COLUMNS.project == bindparam("tp"))
    & (_COLUMNS.domain == bindparam("td"))
    & (_COLUMNS.name == bindparam("tn"))
    & (_COLUMNS.version == bindparam("tv"))
)
_SELECT = select(
    _COLUMNS.id, _COLUMNS.phase, _COLUMNS.phase_version, _COLUMNS.input_uri, _COLUMNS.closure
).where(_BY_KEY)
_UPDATE = task_executions.update().where(_COLUMNS.id == bindparam("row_id"))
_INSERT = task_executions.insert()


def task_key(identifier: Any) -> dict[str, object]:
    """The bind parameters of a task execution's key."""
    task, node = identifier.task_id, identifier.node_execution_id
    return {
        **key_of(node.execution_id),
        "node": node.node_id,
        "retry": identifier.retry_attempt,
        "tp": task.project,
        "td": task.domain,
        "tn": task.name,
        "tv": task.version,
    }


def ingest_task_event(connection: Connection, event: event_pb2.TaskExecutionEvent) -> None:
    """Take an attempt into the phase of the event. Refusals: contract "admin", section 4.4."""
    check_time(event)
    identifier = identifier_pb2.TaskExecutionIdentifier(
        task_id=event.task_id,
        node_execution_id=event.parent_node_execution_id,
        retry_attempt=event.retry_attempt,
    )
    phase = enum_name(Phase, event.phase)
    row = connection.execute(_SELECT, task_key(identifier)).one_or_none()
    if row is not None:
        _check_phase(event, identifier, row, phase)
    check_inline(event.output_data)
    closure = Closure(task_type=event.task_type) if row is None else Closure.FromString(row.closure)
    _apply(closure, event, phase, first=row is None)
    values = time_columns(closure, "task_execution")
    values |= {
        "phase": phase,
        "phase_version": event.phase_version,
        "closure": closure.SerializeToString(),
        "input_uri": event.input_uri if row is None else row.input_uri or event.input_uri,
    }
    if row is None:
        _create(connection, event, values)
    else:
        connection.execute(_UPDATE, values | {"row_id": row.id})


def _check_phase(event: Any, identifier: Any, row: Any, phase: str) -> None:
    named = f"for task execution {id_text(identifier)}"
    if phase == row.phase and event.phase_version <= row.phase_version:
        raise AlreadyExists(
            f"have already recorded task execution phase {phase} (version: {event.phase_version}) {named}"
        )
    if row.phase in TERMINAL:
        raise already_terminal(f"invalid phase change from {row.phase} to {phase} {named}", row.phase)


def _create(connection: Connection, event: Any, values: dict[str, object]) -> None:
    node, task = event.parent_node_execution_id, event.task_id
    if find_node(connection, node) is None:
        require_running(connection, event, node.execution_id)
        raise missing("node execution", node)
    values |= {
        "project": task.project,
        "domain": task.domain,
        "name": task.name,
        "version": task.version,
        "execution_project": node.execution_id.project,
        "execution_domain": node.execution_id.domain,
        "execution_name": node.execution_id.name,
        "node_id": node.node_id,
        "retry_attempt": event.retry_attempt,
        "created_at": values["task_execution_created_at"],
    }
    connection.execute(_INSERT, values)


def _apply(closure: Closure, event: Any, phase: str, *, first: bool) -> None:
    closure.phase = event.phase
    closure.event_version = max(closure.event_version, event.event_version)
    if not closure.HasField("created_at"):
        closure.created_at.CopyFrom(event.occurred_at)
    closure.updated_at.CopyFrom(event.reported_at if event.HasField("reported_at") else event.occurred_at)
    if phase == "RUNNING" and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(event.occurred_at)
    _apply_reasons(closure, event)
    if event.logs:
        merged = merge_logs(closure.logs, event.logs)
        del closure.logs[:]
        closure.logs.extend(merged)
    if not first:
        _keep_logs(closure, phase)
    if event.HasField("custom_info"):
        merge_patch(closure.custom_info, event.custom_info)
    if event.HasField("metadata"):
        _apply_metadata(closure, event.metadata)
    if phase in TERMINAL or phase == "RETRYABLE_FAILED":
        _apply_end(closure, event, phase)


def _apply_end(closure: Closure, event: Any, phase: str) -> None:
    if closure.HasField("started_at"):
        closure.duration.CopyFrom(span(closure.started_at, event.occurred_at))
    result = event.WhichOneof("output_result")
    if result == "output_uri":
        closure.output_uri = event.output_uri
    elif result == "output_data":
        closure.output_data.CopyFrom(event.output_data)
    elif result == "error" and phase != "ABORTED":
        closure.error.CopyFrom(event.error)


def _apply_reasons(closure: Closure, event: Any) -> None:
    if event.reasons:
        for told in event.reasons:
            closure.reasons.add(message=told.reason).occurred_at.CopyFrom(told.occurred_at)
        closure.reason = event.reasons[-1].reason
    elif event.reason:
        if not closure.reasons or closure.reasons[-1].message != event.reason:
            closure.reasons.add(message=event.reason).occurred_at.CopyFrom(event.occurred_at)
        closure.reason = event.reason


def merge_logs(old: Any, new: Any) -> list[core_pb2.TaskLog]:
    """The links of both, the newest first; the same address (or name, without one) counts once."""
    seen = {log.uri or log.name for log in new}
    return [*new, *(log for log in old if (log.uri or log.name) not in seen)]


def _keep_logs(closure: Closure, phase: str) -> None:
    if not closure.logs:
        return
    if phase in PENDING:
        kept = [log for log in closure.logs if log.ShowWhilePending]
    elif phase in TERMINAL:
        kept = [log for log in closure.logs if not log.HideOnceFinished]
    else:
        return
    del closure.logs[:]
    closure.logs.extend(kept)


def merge_patch(target: Struct, patch: Struct) -> None:
    """Change `target` as a JSON merge patch says: nested objects merge, null removes, the rest replaces."""
    for name, value in patch.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "null_value":
            target.fields.pop(name, None)
        elif kind == "struct_value":
            if target.fields[name].WhichOneof("kind") != "struct_value":
                target.fields[name].struct_value.Clear()
            merge_patch(target.fields[name].struct_value, value.struct_value)
        else:
            target.fields[name].CopyFrom(value)


def _apply_metadata(closure: Closure, told: event_pb2.TaskExecutionMetadata) -> None:
    kept = closure.metadata
    kept.generated_name = told.generated_name or kept.generated_name
    kept.plugin_identifier = told.plugin_identifier or kept.plugin_identifier
    kept.instance_class = told.instance_class or kept.instance_class
    if told.resource_pool_info:
        del kept.resource_pool_info[:]
        kept.resource_pool_info.extend(told.resource_pool_info)
    if told.external_resources:
        resources = {(one.index, one.retry_attempt): one for one in kept.external_resources}
        for one in told.external_resources:
            key = (one.index, one.retry_attempt)
            resources[key] = _merge_resource(resources.get(key), one)
        merged = [resources[key] for key in sorted(resources)]
        del kept.external_resources[:]
        kept.external_resources.extend(merged)


def _merge_resource(old: Any, new: Any) -> Any:
    merged = event_pb2.ExternalResourceInfo()
    merged.CopyFrom(new)
    if old is None:
        return merged
    merged.external_id = new.external_id or old.external_id
    logs = merge_logs(old.logs, new.logs)
    del merged.logs[:]
    merged.logs.extend(logs)
    if old.HasField("custom_info"):
        merged.custom_info.CopyFrom(old.custom_info)
        merge_patch(merged.custom_info, new.custom_info)
    if old.HasField("workflow_node_metadata") and not new.HasField("workflow_node_metadata"):
        merged.workflow_node_metadata.CopyFrom(old.workflow_node_metadata)
    return merged
