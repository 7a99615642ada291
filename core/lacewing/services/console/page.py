"""What the pages show, made from the messages of the RPCs. Pure: no call, no clock, no markup."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.core import identifier_pb2

from lacewing.services.console.address import execution_path, log_path, node_path
from lacewing.services.console.literal import Value, values

RUN_PHASES = tuple(core_pb2.WorkflowExecution.Phase.keys())
_OVER = {"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "SKIPPED", "RECOVERED", "RETRYABLE_FAILED"}
_GOOD = {"SUCCEEDED", "RECOVERED"}
_BAD = {"FAILED", "FAILING", "TIMED_OUT", "RETRYABLE_FAILED"}
_STILL = {"UNDEFINED", "QUEUED", "ABORTED", "SKIPPED"}
BOUNDS = ("start-node", "end-node")


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase to show. `tone` is how it looks: good, bad, busy or still."""

    name: str

    @property
    def label(self) -> str:
        """In words."""
        return "Not started" if self.name == "UNDEFINED" else self.name.replace("_", " ").capitalize()

    @property
    def tone(self) -> str:
        """How it looks."""
        if self.name in _GOOD:
            return "good"
        return "bad" if self.name in _BAD else "still" if self.name in _STILL else "busy"

    @property
    def over(self) -> bool:
        """Nothing follows it."""
        return self.name in _OVER


@dataclass(frozen=True, slots=True)
class Span:
    """When something was made, ran and ended; an end or start that is not known yet is None."""

    created: datetime | None
    started: datetime | None
    ended: datetime | None
    seconds: float | None
    """How long it ran, up to now if it still does."""

    @property
    def duration(self) -> str:
        """In words."""
        return "" if self.seconds is None else duration_text(self.seconds)


@dataclass(frozen=True, slots=True)
class Bar:
    """A node's place on the time line, in thousandths of the run: where it waited, then where it ran."""

    wait: int
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task, with the links that its backend gave."""

    number: int
    phase: Phase
    span: Span
    reason: str
    """Why it does not run yet."""
    error: Any
    links: tuple[Any, ...]
    log_path: str
    pod: str


@dataclass(frozen=True, slots=True)
class Row:
    """One node of a run."""

    node_id: str
    depth: int
    task: str
    phase: Phase
    span: Span
    attempts: int
    logs: list[tuple[int, str]]
    """The attempts whose log this server has, and where it is."""
    bar: Bar
    path: str
    child_path: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A node as the RPCs tell it: how deep it lies under others, and its attempts."""

    node: node_execution_pb2.NodeExecution
    attempts: Sequence[task_execution_pb2.TaskExecution] = ()
    depth: int = 0

    @property
    def over(self) -> bool:
        """The node will not change."""
        return core_pb2.NodeExecution.Phase.Name(self.node.closure.phase) in _OVER


@dataclass(frozen=True)
class Run:
    """An execution, as its page and the list show it. `target` is what was launched."""

    identifier: identifier_pb2.WorkflowExecutionIdentifier
    phase: Phase
    span: Span
    path: str
    target: str
    version: str
    workflow: str
    who: str
    origin_path: str
    """The execution whose node started this one, or nothing."""
    error: Any
    abort_cause: str


@dataclass(frozen=True)
class RunPage:
    """One execution with its data and nodes. `hidden` nodes are too many to show."""

    run: Run
    inputs: list[Value]
    outputs: list[Value]
    rows: list[Row]
    hidden: bool

    @property
    def tally(self) -> str:
        """How many nodes are in which phase."""
        counts = Counter(row.phase.label.lower() for row in self.rows)
        return ", ".join(f"{count} {label}" for label, count in counts.items())


@dataclass(frozen=True)
class NodePage:
    """One node with its data, its attempts, and the nodes below it."""

    run: Run
    row: Row
    error: Any
    inputs: list[Value]
    outputs: list[Value]
    attempts: list[Attempt]
    rows: list[Row]


def run_of(execution: execution_pb2.Execution, now: datetime) -> Run:
    """An execution without its nodes and data."""
    closure, spec = execution.closure, execution.spec
    phase = Phase(core_pb2.WorkflowExecution.Phase.Name(closure.phase))
    origin = spec.metadata.parent_node_execution
    return Run(
        identifier=execution.id,
        phase=phase,
        span=span_of(closure, phase, now),
        path=execution_path(execution.id),
        target=spec.launch_plan.name,
        version=spec.launch_plan.version,
        workflow=closure.workflow_id.name,
        who=spec.metadata.principal,
        origin_path=node_path(origin) if origin.node_id else "",
        error=closure.error if closure.HasField("error") else None,
        abort_cause=closure.abort_metadata.cause if phase.name in ("ABORTED", "ABORTING") else "",
    )


def run_page(
    execution: execution_pb2.Execution, data: Any, found: Sequence[Found], now: datetime, *, hidden: bool
) -> RunPage:
    """An execution with its nodes, in the order they were made. The bounds of a graph are left out."""
    run = run_of(execution, now)
    rows = [row_of(one, run, now) for one in found if one.node.id.node_id not in BOUNDS]
    return RunPage(run, values(data.full_inputs), values(data.full_outputs), rows, hidden)


def node_page(
    execution: execution_pb2.Execution, shown: Found, data: Any, below: Sequence[Found], now: datetime
) -> NodePage:
    """A node with its attempts and the nodes below it."""
    run, closure = run_of(execution, now), shown.node.closure
    return NodePage(
        run=run,
        row=row_of(shown, run, now),
        error=closure.error if closure.HasField("error") else None,
        inputs=values(data.full_inputs),
        outputs=values(data.full_outputs),
        attempts=[attempt_of(one, now) for one in shown.attempts],
        rows=[row_of(one, run, now) for one in below],
    )


def row_of(found: Found, run: Run, now: datetime) -> Row:
    """A node in a table of nodes."""
    node = found.node
    phase = Phase(core_pb2.NodeExecution.Phase.Name(node.closure.phase))
    span = span_of(node.closure, phase, now)
    child = node.closure.workflow_node_metadata.executionId
    return Row(
        node_id=node.id.node_id,
        depth=found.depth,
        task=found.attempts[0].id.task_id.name if found.attempts else "",
        phase=phase,
        span=span,
        attempts=len(found.attempts),
        logs=[(one.id.retry_attempt, own) for one in found.attempts if (own := _own_log(one))],
        bar=bar_of(span, run.span, now),
        path=node_path(node.id),
        child_path=execution_path(child) if child.name else "",
    )


def attempt_of(execution: task_execution_pb2.TaskExecution, now: datetime) -> Attempt:
    """One attempt. The link to the log that this server serves is not repeated among the others."""
    closure, number = execution.closure, execution.id.retry_attempt
    phase = Phase(core_pb2.TaskExecution.Phase.Name(closure.phase))
    own = log_path(execution.id.node_execution_id, number)
    return Attempt(
        number=number,
        phase=phase,
        span=span_of(closure, phase, now),
        reason="" if phase.over or phase.name == "RUNNING" else closure.reason,
        error=closure.error if closure.HasField("error") else None,
        links=tuple(link for link in closure.logs if not link.uri.endswith(own)),
        log_path=own,
        pod=closure.metadata.generated_name,
    )


def _own_log(execution: task_execution_pb2.TaskExecution) -> str:
    path = log_path(execution.id.node_execution_id, execution.id.retry_attempt)
    return path if any(link.uri.endswith(path) for link in execution.closure.logs) else ""


def span_of(closure: Any, phase: Phase, now: datetime) -> Span:
    """The times of anything that runs."""
    created = _at(closure, "created_at")
    started = _at(closure, "started_at")
    if not phase.over:
        return Span(created, started, None, (now - started).total_seconds() if started else None)
    if started is None:
        return Span(created, None, _at(closure, "updated_at"), None)
    took = closure.duration.ToTimedelta()
    return Span(created, started, started + took, took.total_seconds())


def bar_of(span: Span, whole: Span, now: datetime) -> Bar:
    """Where `span` lies in `whole`, at least a few thousandths wide so that it is seen."""
    zero = whole.created or now
    total = max(((whole.ended or now) - zero).total_seconds(), 0.001)

    def place(at: datetime) -> int:
        return min(1000, max(0, round((at - zero).total_seconds() / total * 1000)))

    start = place(span.started or span.created or now)
    end = place(span.ended or now)
    start = min(start, 996)
    return Bar(min(place(span.created or now), start), start, max(4, end - start))


def duration_text(seconds: float) -> str:
    """A duration in words: `340 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 1:
        return f"{max(0, seconds) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _at(closure: Any, name: str) -> datetime | None:
    if not closure.HasField(name):
        return None
    found: datetime = getattr(closure, name).ToDatetime(UTC)
    return found
