"""The whole scheduling policy, as one pure function: no clock, no I/O, no await.

    advance(graph, spec, run, stimuli, now) -> Step(run, instructions, timers)

A stimulus about a node or an attempt that is over is ignored: it was decided already, and replaying it must
change nothing. Iteration is in graph order or in the order of becoming ready, never in a map's.
"""

from collections.abc import Sequence
from datetime import datetime

from lacewing.engine.change import Change
from lacewing.engine.nodes import end, task
from lacewing.model.events import RunEvent
from lacewing.model.graph import Graph, NodeKind
from lacewing.model.phases import ErrorKind, NodePhase, RunPhase
from lacewing.model.run import Run, RunError, RunSpec
from lacewing.model.steps import (
    AbortRequested,
    Begin,
    Delayed,
    Gathered,
    Launched,
    Observed,
    RunBroken,
    Step,
    Stimulus,
    TimerFired,
)


def advance(graph: Graph, spec: RunSpec, run: Run, stimuli: Sequence[Stimulus], now: datetime) -> Step:
    """What follows from `stimuli`. `now` is an aware UTC datetime."""
    change = Change(graph, spec, run, now)
    for stimulus in stimuli:
        if change.phase.terminal:
            break
        _apply(change, stimulus)
        _settle(change)
    return change.step()


def _apply(change: Change, stimulus: Stimulus) -> None:
    if isinstance(stimulus, Begin):
        if change.phase is RunPhase.READY:
            change.begin()
    elif isinstance(stimulus, AbortRequested):
        change.abort_cause = stimulus.cause
        _end(change, RunPhase.ABORTED, RunError("", stimulus.cause), "Workflow aborted.")
    elif isinstance(stimulus, RunBroken):
        _end(change, RunPhase.FAILED, stimulus.error, "Some node execution failed, auto-abort.")
    elif isinstance(stimulus, Gathered):
        if change.state(stimulus.node_id).phase.active:
            end.gathered(change, change.graph.node(stimulus.node_id))
    else:
        _apply_to_node(change, stimulus)


def _apply_to_node(change: Change, stimulus: Launched | Delayed | Observed | TimerFired) -> None:
    state = change.state(stimulus.node_id)
    if not state.phase.active or state.attempt != stimulus.attempt:
        return
    node = change.graph.node(stimulus.node_id)
    if isinstance(stimulus, Launched):
        task.launched(change, node, stimulus)
    elif isinstance(stimulus, Delayed):
        task.delayed(change, node, stimulus)
    elif isinstance(stimulus, TimerFired):
        task.timer(change, node, stimulus)
    elif node.kind is NodeKind.END and stimulus.error is not None:
        change.fail(node, NodePhase.FAILED, stimulus.error)
    else:
        task.observed(change, node, stimulus)


def _settle(change: Change) -> None:
    """After every stimulus: fail the run if it must, else start what is ready."""
    if change.phase is not RunPhase.RUNNING:
        return
    if change.error is not None and not change.graph.fail_late:
        _end(change, RunPhase.FAILED, change.error, "Some node execution failed, auto-abort.")
        return
    while (node_id := change.next_ready()) is not None:
        node = change.graph.node(node_id)
        if node.kind is NodeKind.END:
            end.start(change, node)
        else:
            task.start(change, node)
    if change.error is not None and not change.active and change.head == change.tail:
        _end(change, RunPhase.FAILED, change.error, "")


def _end(change: Change, phase: RunPhase, error: RunError, reason: str) -> None:
    """Abort what is active, in graph order, and end the run."""
    if phase is RunPhase.FAILED:
        change.tell(RunEvent(change.key, RunPhase.FAILING, change.now, error=error))
    for node in change.active_nodes():
        task_error = RunError("NodeAborted", reason, ErrorKind.UNKNOWN)
        if node.kind is NodeKind.TASK:
            task.abort(change, node, task_error)
    change.phase, change.error, change.ended_at = phase, error, change.now
    change.tell(RunEvent(change.key, phase, change.now, error=error))
