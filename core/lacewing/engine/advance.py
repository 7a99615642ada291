"""The whole scheduling policy, as one pure function: no clock, no I/O, no await.

    advance(graph, spec, run, stimuli, now) -> Step(run, instructions, timers)

A stimulus about a node or an attempt that is over is ignored: it was decided already, and replaying it must
change nothing. Iteration is in graph order or in the order of becoming ready, never in a map's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from lacewing.engine import attempts, outcome, recovery
from lacewing.engine.change import Change
from lacewing.engine.nodes import array, branch, dynamic, end, gate, launchplan, subworkflow, task
from lacewing.model.events import RunEvent
from lacewing.model.graph import ROOT, Graph, Node, NodeKind
from lacewing.model.phases import ErrorKind, NodePhase, RunPhase, TaskPhase
from lacewing.model.run import ARM, Run, RunError, RunSpec, engaged
from lacewing.model.steps import (
    AbortRequested,
    Begin,
    CacheAnswer,
    Decide,
    Decided,
    Delayed,
    Gather,
    Gathered,
    Grown,
    Launched,
    NodeStimulus,
    Observed,
    Open,
    Opened,
    Recalled,
    RunBroken,
    Sized,
    Step,
    Stimulus,
    TimerFired,
)


class Leaf(Protocol):
    """What the file of a kind of node that something outside works for has to say."""

    def launched(self, change: Change, node: Node, stimulus: Launched) -> None: ...
    def delayed(self, change: Change, node: Node, stimulus: Delayed) -> None: ...
    def observed(self, change: Change, node: Node, stimulus: Observed) -> None: ...
    def timer(self, change: Change, node: Node) -> bool: ...
    def timed_out(self, change: Change, node: Node) -> None: ...


LEAVES: dict[NodeKind, Leaf] = {
    NodeKind.TASK: task,
    NodeKind.LAUNCH_PLAN: launchplan,
    NodeKind.GATE: gate,
}
_TIMEOUT = RunError("Timeout", "Timeout in node")
GATHERED = {
    NodeKind.BRANCH: branch.gathered,
    NodeKind.END: end.gathered,
    NodeKind.ARRAY: array.gathered,
}
HOLDERS = {
    NodeKind.SUBWORKFLOW: subworkflow.start,
    NodeKind.BRANCH: branch.start,
    NodeKind.ARRAY: array.start,
    NodeKind.END: end.start,
}


def advance(graph: Graph, spec: RunSpec, run: Run, stimuli: Sequence[Stimulus], now: datetime) -> Step:
    """What follows from `stimuli`. `now` is an aware UTC datetime."""
    change = Change(graph, spec, run, now)
    for stimulus in stimuli:
        if change.phase.terminal:
            break
        _apply(change, stimulus)
        _start_ready(change)
    return change.step()


def _apply(change: Change, stimulus: Stimulus) -> None:
    if isinstance(stimulus, Begin):
        if change.phase is RunPhase.READY:
            change.phase, change.started_at = RunPhase.RUNNING, change.now
            change.tell(RunEvent(change.key, RunPhase.RUNNING, change.now))
            subworkflow.begin_scope(change, ROOT)
    elif isinstance(stimulus, AbortRequested):
        change.abort_cause = stimulus.cause
        outcome.end_run(change, RunPhase.ABORTED, RunError("", stimulus.cause))
    elif isinstance(stimulus, RunBroken):
        outcome.end_run(change, RunPhase.FAILED, stimulus.error)
    else:
        state, node = change.state(stimulus.node_id), change.graph.node(stimulus.node_id)
        if not engaged(node, state):
            if node.cache is not None:
                task.held(change, node, stimulus)
            return
        if stimulus.element >= 0:
            array.element(change, node, stimulus)
        elif state.attempt == stimulus.attempt:
            _apply_to_node(change, node, stimulus)


def _apply_to_node(change: Change, node: Node, stimulus: NodeStimulus) -> None:
    if change.state(node.id).past == recovery.SOUGHT:
        recovery.answered(change, node, stimulus, _start)
    elif isinstance(stimulus, TimerFired):
        _timer(change, node)
    elif isinstance(stimulus, Opened):
        subworkflow.opened(change, node)
    elif isinstance(stimulus, Decided):
        branch.decided(change, node, stimulus)
    elif isinstance(stimulus, Grown):
        dynamic.grown(change, node, stimulus)
    elif isinstance(stimulus, Gathered):
        GATHERED[node.kind](change, node)
    elif isinstance(stimulus, Sized):
        array.sized(change, node, stimulus)
    elif isinstance(stimulus, Recalled):
        return  # It was answered before.
    elif node.kind in LEAVES:
        _leaf(change, node, stimulus)
    elif isinstance(stimulus, Delayed):
        attempts.delay(change, node, stimulus)
    elif isinstance(stimulus, Observed) and stimulus.observation.phase is TaskPhase.PERMANENT:
        outcome.fail(change, node, _error(stimulus))
    elif isinstance(stimulus, Observed) and stimulus.observation.phase is TaskPhase.RETRYABLE:
        attempts.trouble(change, node, _error(stimulus))


def _error(stimulus: Observed) -> RunError:
    seen = stimulus.observation
    return stimulus.error or RunError(seen.code, seen.reason, seen.kind)


def _leaf(change: Change, node: Node, stimulus: Launched | Delayed | Observed | CacheAnswer) -> None:
    leaf = LEAVES[node.kind]
    if isinstance(stimulus, Launched):
        leaf.launched(change, node, stimulus)
    elif isinstance(stimulus, Delayed):
        leaf.delayed(change, node, stimulus)
    elif isinstance(stimulus, Observed):
        leaf.observed(change, node, stimulus)
    else:
        task.cached(change, node, stimulus)


def _timer(change: Change, node: Node) -> None:
    """What was asked for is due again, or the attempt has run out of time."""
    error = attempts.expired(change, node) if node.kind in LEAVES else None
    if error is not None and attempts.overdue(change, node):
        LEAVES[node.kind].timed_out(change, node)
        outcome.fail(change, node, _TIMEOUT, NodePhase.TIMED_OUT)
    elif error is not None:
        LEAVES[node.kind].timed_out(change, node)
        attempts.retry(change, node, error, ErrorKind.USER)
    elif node.kind in LEAVES:
        if not LEAVES[node.kind].timer(change, node) and change.state(node.id).handle is None:
            attempts.again(change, node)
    elif node.kind is NodeKind.ARRAY:
        array.timer(change, node)
    elif node.kind is NodeKind.SUBWORKFLOW:
        change.ask(Open(node.id))
    elif node.kind is NodeKind.BRANCH and ARM not in (change.state(node.id).handle or {}):
        change.ask(Decide(node.id))
    else:
        change.ask(Gather(node.id))


def _start_ready(change: Change) -> None:
    """After every stimulus: start what is ready and has a place."""
    while change.phase in (RunPhase.RUNNING, RunPhase.FAILING) and (node := change.next_ready()) is not None:
        (recovery.start if recovery.wanted(change, node) else _start)(change, node)


def _start(change: Change, node: Node) -> None:
    HOLDERS.get(node.kind, attempts.start)(change, node)
