"""What every event has in common, and the events of executions: checks first, then one write.

A function here refuses before it writes, so a refused event leaves nothing behind and needs no savepoint.
"""

from typing import Any

from flyteidl.admin import event_pb2 as admin_event_pb2
from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.event import event_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, bindparam, select

from lacewing.errors import AlreadyExists, FailedPrecondition, InvalidArgument, ResourceExhausted
from lacewing.services.admin.words import enum_name, id_text, missing, stamp
from lacewing.services.db import executions

Phase = core_pb2.WorkflowExecution.Phase
TERMINAL = frozenset(("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"))
MAX_INLINE = 2 << 20
_TIMES = ("occurred_at", "reported_at")
_FIRST, _LAST = -62135596800, 253402300799

_BY_KEY = (
    (executions.c.execution_project == bindparam("p"))
    & (executions.c.execution_domain == bindparam("d"))
    & (executions.c.execution_name == bindparam("n"))
)
_SELECT = select(
    executions.c.id, executions.c.phase, executions.c.cluster, executions.c.closure, executions.c.mode
).where(_BY_KEY)
_EXISTS = select(executions.c.cluster).where(_BY_KEY)
_UPDATE = executions.update().where(executions.c.id == bindparam("row_id"))


def key_of(identifier: Any) -> dict[str, str]:
    """The bind parameters of an execution's key."""
    return {"p": identifier.project, "d": identifier.domain, "n": identifier.name}


def require_running(connection: Connection, event: Any, identifier: Any) -> None:
    """Refuse an event whose execution is unknown, or belongs to another cluster."""
    row = connection.execute(_EXISTS, key_of(identifier)).one_or_none()
    if row is None:
        raise missing("execution", identifier)
    check_cluster(event.producer_id, row.cluster)


def check_cluster(producer: str, cluster: str) -> None:
    """Refuse the event of a cluster that does not own the execution."""
    if producer in ("", "propeller") or not cluster or producer == cluster:
        return
    reason = admin_event_pb2.EventErrorIncompatibleCluster(cluster=cluster)
    raise FailedPrecondition(
        f"execution is running on cluster {cluster}, the event is from {producer}",
        details=[admin_event_pb2.EventFailureReason(incompatible_cluster=reason)],
    )


def already_terminal(message: str, phase: str) -> FailedPrecondition:
    """The refusal of any change to what has ended."""
    reason = admin_event_pb2.EventErrorAlreadyInTerminalState(current_phase=phase)
    return FailedPrecondition(
        message, details=[admin_event_pb2.EventFailureReason(already_in_terminal_state=reason)]
    )


def is_already_terminal(error: FailedPrecondition) -> bool:
    """Whether the refusal says that the thing has ended."""
    return any(
        isinstance(detail, admin_event_pb2.EventFailureReason)
        and detail.HasField("already_in_terminal_state")
        for detail in error.details
    )


def check_inline(data: Message) -> None:
    """Refuse outputs that are too large to be kept in a row."""
    if data.ByteSize() > MAX_INLINE:
        raise ResourceExhausted(
            f"output data size exceeds platform configured threshold ({MAX_INLINE} bytes)"
        )


def check_time(event: Any) -> None:
    """Refuse an event without a time, or with one that no calendar has."""
    if not event.HasField("occurred_at"):
        raise InvalidArgument("missing occurred_at")
    for name in _TIMES:
        time = getattr(event, name, None)
        if time is not None and not (_FIRST <= time.seconds <= _LAST and 0 <= time.nanos < 10**9):
            raise InvalidArgument(f"{name} is outside of the years 1 to 9999")


def span(start: Timestamp, end: Timestamp) -> Duration:
    """The time between two moments; never negative."""
    nanos = max(0, (end.seconds - start.seconds) * 1_000_000_000 + end.nanos - start.nanos)
    return Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def time_columns(closure: Any, prefix: str) -> dict[str, object]:
    """The columns that repeat a closure's times, so that lists can filter by them."""
    started = closure.HasField("started_at")
    values: dict[str, object] = {
        f"{prefix}_created_at": stamp(closure.created_at),
        f"{prefix}_updated_at": stamp(closure.updated_at),
        "started_at": stamp(closure.started_at) if started else None,
        "updated_at": stamp(closure.updated_at),
    }
    if closure.HasField("duration"):
        values["duration"] = closure.duration.seconds + closure.duration.nanos / 1e9
    else:
        values["duration"] = 0.0
    return values


def error_columns(closure: Any) -> dict[str, object]:
    """The columns that repeat a closure's error."""
    if closure.WhichOneof("output_result") != "error":
        return {"error_kind": "", "error_code": ""}
    error = closure.error
    return {"error_kind": enum_name(core_pb2.ExecutionError.ErrorKind, error.kind), "error_code": error.code}


def ingest_workflow_event(connection: Connection, event: event_pb2.WorkflowExecutionEvent) -> None:
    """Take an execution into the phase of the event. Refusals: contract "admin", sections 3.5 and 4.2."""
    check_time(event)
    row = connection.execute(_SELECT, key_of(event.execution_id)).one_or_none()
    if row is None:
        raise missing("execution", event.execution_id)
    phase = enum_name(Phase, event.phase)
    _check_phase(event, row.phase, phase)
    if phase != "QUEUED":
        check_cluster(event.producer_id, row.cluster)
    check_inline(event.output_data)
    closure = execution_pb2.ExecutionClosure.FromString(row.closure)
    _apply(closure, event, phase)
    values: dict[str, object] = {"row_id": row.id, "phase": phase, "closure": closure.SerializeToString()}
    if phase == "QUEUED" and event.producer_id not in ("", "propeller"):
        values["cluster"] = event.producer_id
    connection.execute(_UPDATE, values | time_columns(closure, "execution") | error_columns(closure))


def _check_phase(event: event_pb2.WorkflowExecutionEvent, current: str, phase: str) -> None:
    named = f"for workflow execution {id_text(event.execution_id)}"
    if phase == current and phase != "QUEUED":
        raise AlreadyExists(f"This phase {phase} was already recorded {named}")
    change = f"Invalid phase change from {current} to {phase} {named}"
    if current in TERMINAL:
        raise already_terminal(change, current)
    if current == "RUNNING" and phase == "QUEUED":
        raise FailedPrecondition(change)
    if current == "ABORTING" and phase not in TERMINAL:
        raise FailedPrecondition(change)


def _apply(closure: execution_pb2.ExecutionClosure, event: Any, phase: str) -> None:
    closure.phase = event.phase
    closure.updated_at.CopyFrom(event.occurred_at)
    if phase == "RUNNING" and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(event.occurred_at)
    if phase in TERMINAL and closure.HasField("started_at"):
        closure.duration.CopyFrom(span(closure.started_at, event.occurred_at))
    if closure.WhichOneof("output_result") == "abort_metadata" and phase in ("ABORTED", "ABORTING"):
        return
    result = event.WhichOneof("output_result")
    if result == "output_uri":
        closure.outputs.uri = event.output_uri
    elif result == "output_data":
        closure.output_data.CopyFrom(event.output_data)
    elif result == "error":
        closure.error.CopyFrom(event.error)
