"""The task node: launch, watch, retry, time out, abort. Pure.

Rules: propeller.md, sections 2.2, 2.5 and 2.6. Two budgets pay for another attempt: the user's
(`max_attempts`) and the system's (three failures), and one counter numbers the attempts of both.
"""

from datetime import timedelta

from lacewing.engine import layout
from lacewing.engine.change import Change
from lacewing.engine.contexts import interruptible
from lacewing.model.events import TaskEvent
from lacewing.model.graph import Node
from lacewing.model.ids import generated_name
from lacewing.model.phases import ErrorKind, NodePhase, TaskPhase
from lacewing.model.run import NodeRun, RunError
from lacewing.model.steps import Abort, Delayed, Launch, Launched, Observed, Timer, TimerFired
from lacewing.model.task import Observation

SYSTEM_RETRIES = 3
_MESSAGE_LIMIT = 100_000


def start(change: Change, node: Node) -> None:
    """Queue the node and launch its first attempt."""
    change.tell_node(node, NodePhase.QUEUED)
    _launch(change, node, NodeRun(NodePhase.QUEUED, queued_at=change.now))


def launched(change: Change, node: Node, stimulus: Launched) -> None:
    """The backend has it."""
    state = change.state(node.id)
    if state.phase is NodePhase.QUEUED:
        change.tell_node(node, NodePhase.RUNNING)
    state = state._replace(
        phase=NodePhase.RUNNING, handle=stimulus.handle, task_phase=TaskPhase.QUEUED, phase_version=0,
        reason="task submitted", started_at=state.started_at or change.now,
    )  # fmt: skip
    change.put(node, state)
    change.tell(_event(change, node, state))


def delayed(change: Change, node: Node, stimulus: Delayed) -> None:
    """The backend refused it for now; its siblings go on."""
    state = change.state(node.id)
    waiting = Observation.waiting(stimulus.reason)
    _show(change, node, state._replace(task_phase=TaskPhase.WAITING_FOR_RESOURCES), waiting)
    change.timers.append(Timer(change.now + timedelta(seconds=stimulus.delay), node.id, state.attempt))


def observed(change: Change, node: Node, stimulus: Observed) -> None:
    """The backend saw something of the attempt."""
    seen = stimulus.observation
    if seen.phase.terminal and seen.started_at and change.state(node.id).task_phase < TaskPhase.RUNNING:
        # It began and ended between two looks: say that it ran.
        began = Observation.running(started_at=seen.started_at)
        _show(change, node, change.state(node.id), began)
    state = change.state(node.id)
    if seen.phase is TaskPhase.SUCCEEDED:
        output = layout.output_uri(change.spec, node.id, state.attempt)
        done = state._replace(task_phase=TaskPhase.SUCCEEDED, reason=seen.reason)
        change.tell(_event(change, node, done)._replace(output_uri=output, links=seen.links))
        change.succeed(node, output, layout.checkpoint_prefix(change.spec, node.id, state.attempt))
    elif seen.phase is TaskPhase.PERMANENT:
        error = stimulus.error or RunError(seen.code, seen.reason, seen.kind)
        _end_attempt(change, node, error, seen)
        change.fail(node, NodePhase.FAILED, error, _checkpoint(change, node, state))
    elif seen.phase is TaskPhase.RETRYABLE:
        error = stimulus.error or RunError(seen.code, seen.reason, seen.kind)
        _end_attempt(change, node, error, seen)
        _retry(change, node, error, seen.kind)
    else:
        _show(change, node, state, seen)


def timer(change: Change, node: Node, stimulus: TimerFired) -> None:
    """A delayed launch is due again, or the attempt has run out of time."""
    state = change.state(node.id)
    limit = timedelta(seconds=node.timeout_seconds)
    if limit and state.attempt_at is not None and change.now >= state.attempt_at + limit:
        message = f"task execution timeout [{duration_text(node.timeout_seconds)}] expired"
        error = RunError("TimeoutExpired", message)
        if state.handle is not None:
            change.ask(Abort(node.id, state.attempt, state.handle))
        change.tell(_event(change, node, state._replace(task_phase=TaskPhase.ABORTED)))
        _retry(change, node, error, ErrorKind.USER)
    elif state.handle is None:
        change.ask(Launch(node.id, state.attempt))


def abort(change: Change, node: Node, error: RunError) -> None:
    """End the node because the run ends."""
    state = change.state(node.id)
    if state.handle is not None:
        change.ask(Abort(node.id, state.attempt, state.handle))
        change.tell(_event(change, node, state._replace(task_phase=TaskPhase.ABORTED)))
    change.put(node, state._replace(phase=NodePhase.ABORTED, error=error, handle=None))
    change.tell_node(node, NodePhase.ABORTED, error=error)


def duration_text(seconds: float) -> str:
    """A duration as Go prints it: `5s`, `1m30s`, `2h0m0s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _launch(change: Change, node: Node, state: NodeRun) -> None:
    change.put(node, state._replace(attempt_at=change.now))
    change.ask(Launch(node.id, state.attempt))
    if node.timeout_seconds:
        at = change.now + timedelta(seconds=node.timeout_seconds)
        change.timers.append(Timer(at, node.id, state.attempt))


def _retry(change: Change, node: Node, error: RunError, paid_by: ErrorKind) -> None:
    state = change.state(node.id)
    system = state.system_failures + (paid_by is ErrorKind.SYSTEM)
    user = state.attempt + 1 - system
    limit = SYSTEM_RETRIES + 1 if paid_by is ErrorKind.SYSTEM else node.max_attempts
    spent = system if paid_by is ErrorKind.SYSTEM else user
    if spent < limit:
        state = state._replace(
            attempt=state.attempt + 1, system_failures=system, handle=None, phase_version=0,
            task_phase=TaskPhase.QUEUED, reason="",
        )  # fmt: skip
        _launch(change, node, state)
        return
    message = f"[{spent}/{limit}] currentAttempt done. Last Error: {paid_by.name}::{error.message}"
    final = RunError(f"RetriesExhausted|{error.code}", message[:_MESSAGE_LIMIT], ErrorKind.USER)
    timed_out = error.code == "TimeoutExpired"
    change.fail(node, NodePhase.FAILED, final, "" if timed_out else _checkpoint(change, node, state))


def _end_attempt(change: Change, node: Node, error: RunError, seen: Observation) -> None:
    state = change.state(node.id)
    if state.handle is not None:
        change.ask(Abort(node.id, state.attempt, state.handle))
    failed = state._replace(task_phase=seen.phase)
    change.tell(_event(change, node, failed)._replace(error=error, links=seen.links))


def _show(change: Change, node: Node, state: NodeRun, seen: Observation) -> None:
    same_phase = seen.phase is state.task_phase
    if same_phase and (seen.reason == state.reason or not seen.reason):
        return
    if seen.phase < state.task_phase and state.task_phase is TaskPhase.RUNNING:
        return
    version = state.phase_version + 1 if same_phase else 0
    state = state._replace(task_phase=seen.phase, phase_version=version, reason=seen.reason or state.reason)
    change.put(node, state)
    change.tell(_event(change, node, state, seen)._replace(reason=seen.reason))


def _checkpoint(change: Change, node: Node, state: NodeRun) -> str:
    return layout.checkpoint_prefix(change.spec, node.id, state.attempt)


def _event(change: Change, node: Node, state: NodeRun, seen: Observation | None = None) -> TaskEvent:
    assert node.task is not None
    return TaskEvent(
        key=change.key, node_id=node.id, task_id=node.task.id, attempt=state.attempt, phase=state.task_phase,
        version=state.phase_version, at=seen.started_at if seen and seen.started_at else change.now,
        task_type=node.task.type,
        generated_name=generated_name(change.key.name, node.id, state.attempt),
        plugin=(state.handle or {}).get("plugin", ""),
        reason="" if state.task_phase.terminal else state.reason,
        input_uri=layout.input_uri(change.spec, node.id), links=seen.links if seen else (),
        interruptible=interruptible(change.graph, change.spec, node), reported_at=change.now,
    )  # fmt: skip
