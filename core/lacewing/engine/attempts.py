"""Attempts at a node's work: what starts one, what another costs, when one has run out of time. Pure.

Rules: propeller.md, section 2.6. Two budgets pay for another attempt: the user's (`max_attempts`) and the
system's (three failures), and one counter numbers the attempts of both.
"""

from datetime import datetime, timedelta
from typing import Any

from lacewing.engine import outcome
from lacewing.engine.change import Change
from lacewing.model.graph import Node, NodeKind
from lacewing.model.phases import ErrorKind, NodePhase, TaskPhase
from lacewing.model.run import SYSTEM_RETRIES, NodeRun, RunError
from lacewing.model.steps import Delayed, Launch, Launched, Lookup, Timer

_MESSAGE_LIMIT = 100_000
_PAUSE_SECONDS = 1.0


def start(change: Change, node: Node) -> None:
    """Queue the node and launch its first attempt. Of a cached task nobody is told before it is looked up."""
    if node.cache is None:
        change.tell_node(node, NodePhase.QUEUED)
        _launch(change, node, NodeRun(NodePhase.QUEUED, queued_at=change.now))
    else:
        _launch(change, node, NodeRun(NodePhase.READY, queued_at=change.now))


def queue(change: Change, node: Node) -> None:
    """The catalog did not have it, or could not be asked: tell of the node, if nobody was told yet."""
    state = change.state(node.id)
    if state.phase is NodePhase.READY:
        change.tell_node(node, NodePhase.QUEUED)
        change.put(node, state._replace(phase=NodePhase.QUEUED))


def running(change: Change, node: Node, stimulus: Launched, **more: Any) -> NodeRun:
    """The node's state once its attempt was taken; the first time the world is told. It is yet to be put."""
    state = change.state(node.id)
    if state.phase is NodePhase.QUEUED:
        change.tell_node(node, NodePhase.RUNNING, **more)
    return state._replace(
        phase=NodePhase.RUNNING, handle=stimulus.handle, started_at=state.started_at or change.now
    )


def delay(change: Change, node: Node, stimulus: Delayed) -> None:
    """What was asked for cannot be had now; its siblings go on."""
    change.put(node, change.state(node.id)._replace(reason=stimulus.reason))
    arm(change, node, stimulus.delay)


def arm(change: Change, node: Node, seconds: float) -> None:
    """Come back to the node's attempt after a while."""
    at = change.now + timedelta(seconds=seconds)
    change.timers.append(Timer(at, node.id, change.state(node.id).attempt))


def again(change: Change, node: Node) -> None:
    """Ask once more for the launch that is due."""
    change.ask(order(node, change.state(node.id).attempt))


def order(node: Node, attempt: int, element: int = -1) -> Launch | Lookup:
    """What has an attempt begun: of a cached task the catalog is asked first, each time."""
    make = Launch if node.cache is None else Lookup
    return make(node.id, attempt, element)


def due_at(node: Node, state: NodeRun, now: datetime) -> datetime | None:
    """When a node that was taken up again needs a look: at once if nothing is launched; None if never."""
    if (
        state.phase is NodePhase.READY
        or state.handle is None
        or node.kind.holder
        or state.task_phase is TaskPhase.SUCCEEDED
    ):
        return now
    if node.cache is not None and node.cache.serialize:
        return now
    limits = [node.timeout_seconds] if node.timeout_seconds else []
    if node.kind is NodeKind.GATE and node.message.gate_node.WhichOneof("condition") == "sleep":
        limits.append(sleep_seconds(node))
    if not limits or state.attempt_at is None:
        return None
    return state.attempt_at + timedelta(seconds=min(limits))


def sleep_seconds(node: Node) -> float:
    """How long a sleeping gate sleeps."""
    return float(node.message.gate_node.sleep.duration.ToTimedelta().total_seconds())


def overdue(change: Change, node: Node) -> bool:
    """Whether the node has had twice its timeout, all its attempts together: then it gets no other."""
    queued_at = change.state(node.id).queued_at
    limit = timedelta(seconds=2 * node.timeout_seconds)
    return bool(limit) and queued_at is not None and change.now >= queued_at + limit


def trouble(change: Change, node: Node, error: RunError) -> None:
    """Something went wrong in what we do ourselves for the node: once more after a while, a few times."""
    state = change.state(node.id)
    if state.system_failures >= SYSTEM_RETRIES:
        outcome.fail(change, node, error)
        return
    change.put(node, state._replace(system_failures=state.system_failures + 1, reason=error.message))
    arm(change, node, _PAUSE_SECONDS)


def expired(change: Change, node: Node) -> RunError | None:
    """Why the attempt has run out of time, if it has."""
    state, limit = change.state(node.id), timedelta(seconds=node.timeout_seconds)
    if not limit or state.attempt_at is None or change.now < state.attempt_at + limit:
        return None
    return RunError(
        "TimeoutExpired", f"task execution timeout [{duration_text(node.timeout_seconds)}] expired"
    )


def retry(change: Change, node: Node, error: RunError, paid_by: ErrorKind, **more: Any) -> None:
    """Launch another attempt if the budget allows it, else fail; `more` are fields of the node's event."""
    state = change.state(node.id)
    system = state.system_failures + (paid_by is ErrorKind.SYSTEM)
    spent, limit = budget(node, state.attempt, system, paid_by)
    if spent < limit:
        state = state._replace(
            attempt=state.attempt + 1, system_failures=system, handle=None, phase_version=0,
            task_phase=TaskPhase.QUEUED, reason="", failures=(*state.failures, error.code),
        )  # fmt: skip
        _launch(change, node, state)
        return
    message = f"[{spent}/{limit}] currentAttempt done. Last Error: {paid_by.name}::{error.message}"
    final = RunError(f"RetriesExhausted|{error.code}", message[:_MESSAGE_LIMIT], ErrorKind.USER)
    outcome.fail(change, node, final, **more)


def budget(node: Node, attempt: int, system_failures: int, paid_by: ErrorKind) -> tuple[int, int]:
    """What the one who pays has spent, this failure included, and how much there is."""
    if paid_by is ErrorKind.SYSTEM:
        return system_failures, SYSTEM_RETRIES + 1
    return attempt + 1 - system_failures, node.max_attempts


def duration_text(seconds: float) -> str:
    """A duration as Go prints it: `5s`, `1m30s`, `2h0m0s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _launch(change: Change, node: Node, state: NodeRun) -> None:
    if node.cache is None:
        begin(change, node, state)
    else:
        change.put(node, state._replace(attempt_at=None))
        change.ask(Lookup(node.id, state.attempt))


def begin(change: Change, node: Node, state: NodeRun) -> None:
    """Have the attempt launched; its time runs."""
    change.put(node, state._replace(attempt_at=change.now))
    change.ask(Launch(node.id, state.attempt))
    if node.timeout_seconds:
        arm(change, node, node.timeout_seconds)
