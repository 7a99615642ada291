"""The task node: launch, watch, retry, time out, abort. Pure.

Rules: propeller.md, sections 2.2, 2.5, 2.6 and 7. Attempts and their budgets are in `engine/attempts.py`.
"""

from typing import Any

from lacewing.engine import attempts, layout, outcome
from lacewing.engine.change import Change
from lacewing.engine.tell import tell_task
from lacewing.model.graph import Node
from lacewing.model.phases import NodePhase, TaskPhase
from lacewing.model.run import GROWN, NodeRun, RunError
from lacewing.model.steps import (
    Abort,
    CacheAnswer,
    Delayed,
    Extend,
    Found,
    Grow,
    Keep,
    Kept,
    Launched,
    NodeStimulus,
    Observed,
    TimerFired,
)
from lacewing.model.task import Observation

HEARTBEAT_SECONDS = 10.0
"""How often whoever computes what others wait for says that it is still at it."""


def launched(change: Change, node: Node, stimulus: Launched) -> None:
    """The backend has it."""
    state = attempts.running(change, node, stimulus, deck_uri=_promised_deck(change, node))
    state = state._replace(task_phase=TaskPhase.QUEUED, phase_version=0, reason="task submitted")
    change.put(node, state)
    tell_task(change, node, state)
    _arm_heartbeat(change, node)


def delayed(change: Change, node: Node, stimulus: Delayed) -> None:
    """The backend refused it for now, or someone else computes its outputs; its siblings go on."""
    attempts.queue(change, node)
    state = change.state(node.id)
    if state.task_phase is TaskPhase.SUCCEEDED:
        attempts.delay(change, node, stimulus)
        return
    waiting = Observation.waiting(stimulus.reason)
    _show(change, node, state._replace(task_phase=TaskPhase.WAITING_FOR_RESOURCES), waiting)
    attempts.arm(change, node, stimulus.delay)


def observed(change: Change, node: Node, stimulus: Observed) -> None:
    """The backend saw something of the attempt."""
    if node.cache is not None:
        attempts.queue(change, node)
    seen = stimulus.observation
    if change.state(node.id).task_phase is TaskPhase.SUCCEEDED:
        _not_grown(change, node, stimulus)
        return
    if seen.phase.terminal and seen.started_at and change.state(node.id).task_phase < TaskPhase.RUNNING:
        # It began and ended between two looks: say that it ran.
        _show(change, node, change.state(node.id), Observation.running(started_at=seen.started_at))
    if seen.phase is TaskPhase.SUCCEEDED:
        _succeeded(change, node, stimulus)
    elif seen.phase in (TaskPhase.PERMANENT, TaskPhase.RETRYABLE):
        _failed(change, node, stimulus)
    else:
        _show(change, node, change.state(node.id), seen)


def regrow(change: Change, node: Node, attempt: int) -> None:
    """The nodes that an earlier run's attempt wrote are here: they run again, all that did not succeed."""
    state = NodeRun(
        NodePhase.RUNNING, attempt=attempt, handle={}, task_phase=TaskPhase.SUCCEEDED,
        queued_at=change.now, started_at=change.now, attempt_at=change.now,
    )  # fmt: skip
    change.put(node, state)
    change.tell_node(node, NodePhase.RUNNING)
    change.ask(Grow(node.id, attempt))


def timer(change: Change, node: Node) -> bool:
    """Whether the moment meant something to this kind of node."""
    state = change.state(node.id)
    if state.task_phase is TaskPhase.SUCCEEDED:
        change.ask(Grow(node.id, state.attempt))
        return True
    return state.handle is not None and _beat(change, node)


def cached(change: Change, node: Node, stimulus: CacheAnswer) -> None:
    """The catalog answered."""
    state = change.state(node.id)
    if isinstance(stimulus, Kept):
        _kept(change, node, stimulus)
    elif isinstance(stimulus, Found):
        output = layout.output_uri(change.spec, node, state.attempt)
        if state.task_phase is TaskPhase.WAITING_FOR_RESOURCES:
            # It was told to wait for the one who computed it.
            tell_task(change, node, state._replace(task_phase=TaskPhase.SUCCEEDED), output_uri=output)
        outcome.succeed(change, node, output, cache=stimulus.note)
    else:
        attempts.queue(change, node)
        attempts.begin(change, node, change.state(node.id))


def held(change: Change, node: Node, stimulus: NodeStimulus) -> None:
    """What still matters to a cached dynamic task when its nodes run, or are done."""
    state = change.state(node.id)
    if state.phase is not NodePhase.RUNNING or state.attempt != stimulus.attempt:
        return
    if isinstance(stimulus, Kept):
        _kept(change, node, stimulus)
    elif isinstance(stimulus, TimerFired):
        _beat(change, node)


def timed_out(change: Change, node: Node) -> None:
    """The attempt has run out of time."""
    state = change.state(node.id)
    if state.handle is not None:
        change.ask(Abort(node.id, state.attempt, state.handle))
    tell_task(change, node, state._replace(task_phase=TaskPhase.ABORTED))


def _succeeded(change: Change, node: Node, stimulus: Observed) -> None:
    seen, state = stimulus.observation, change.state(node.id)
    output = layout.output_uri(change.spec, node, state.attempt)
    done = state._replace(task_phase=TaskPhase.SUCCEEDED, reason=seen.reason)
    tell_task(change, node, done, output_uri=output, links=seen.links)
    if stimulus.dynamic:
        change.put(node, done)
        change.ask(Grow(node.id, state.attempt))
    elif node.cache is not None:
        change.put(node, done)
        change.ask(Keep(node.id, state.attempt))
    else:
        outcome.succeed(change, node, output, **_last_words(change, node, stimulus))


def _kept(change: Change, node: Node, stimulus: Kept) -> None:
    output = layout.output_uri(change.spec, node, stimulus.attempt)
    grown = GROWN in (change.state(node.id).handle or {})
    more = {} if grown else _last_words(change, node, stimulus)
    outcome.succeed(change, node, output, cache=stimulus.note, **more)


def _arm_heartbeat(change: Change, node: Node) -> None:
    if node.cache is not None and node.cache.serialize:
        attempts.arm(change, node, HEARTBEAT_SECONDS)


def _beat(change: Change, node: Node) -> bool:
    """Keep the reservation of a serialised cache; whether there is one."""
    if node.cache is None or not node.cache.serialize:
        return False
    change.ask(Extend(node.id, change.state(node.id).attempt))
    _arm_heartbeat(change, node)
    return True


def _failed(change: Change, node: Node, stimulus: Observed) -> None:
    seen, state = stimulus.observation, change.state(node.id)
    error = stimulus.error or RunError(seen.code, seen.reason, seen.kind)
    if state.handle is not None:
        change.ask(Abort(node.id, state.attempt, state.handle))
    tell_task(change, node, state._replace(task_phase=seen.phase), error=error, links=seen.links)
    if seen.phase is TaskPhase.PERMANENT:
        outcome.fail(change, node, error, **_last_words(change, node, stimulus))
    else:
        attempts.retry(change, node, error, seen.kind, **_last_words(change, node, stimulus))


def _not_grown(change: Change, node: Node, stimulus: Observed) -> None:
    """The attempt itself is over and well; what it made could not become part of the graph."""
    seen = stimulus.observation
    if seen.phase is TaskPhase.PERMANENT:
        outcome.fail(change, node, RunError(seen.code, seen.reason, seen.kind))
    elif seen.phase is TaskPhase.RETRYABLE:
        attempts.retry(change, node, RunError(seen.code, seen.reason, seen.kind), seen.kind)


def _promised_deck(change: Change, node: Node) -> str:
    """Where the deck will be, if the task said that it makes one: it can be read while the task runs."""
    assert node.task is not None
    if not node.task.metadata.generates_deck.value:
        return ""
    return layout.deck_uri(change.spec, node, change.state(node.id).attempt)


def _last_words(change: Change, node: Node, stimulus: Observed | Kept) -> dict[str, Any]:
    """What a node's last event tells of its last attempt."""
    attempt = change.state(node.id).attempt
    deck = layout.deck_uri(change.spec, node, attempt) if stimulus.deck else ""
    return {"checkpoint_uri": layout.checkpoint_prefix(change.spec, node.id, attempt), "deck_uri": deck}


def _show(change: Change, node: Node, state: NodeRun, seen: Observation) -> None:
    same_phase = seen.phase is state.task_phase
    if same_phase and (seen.reason == state.reason or not seen.reason):
        return
    if seen.phase < state.task_phase and state.task_phase is TaskPhase.RUNNING:
        return
    version = state.phase_version + 1 if same_phase else 0
    state = state._replace(task_phase=seen.phase, phase_version=version, reason=seen.reason or state.reason)
    change.put(node, state)
    at = seen.started_at or change.now
    tell_task(change, node, state, at=at, reason=seen.reason, links=seen.links)
