"""What follows when a node ends: who may go on, which scope fails with it, what is aborted. Pure.

A failure climbs: from an arm to its branch, from a scope to the node that holds it, from the run's own scope
to the run. On the way a scope's failure node has its say.
"""

from typing import Any

from lacewing.engine.change import Change
from lacewing.engine.tell import tell_array, tell_array_aborted, tell_task_aborted
from lacewing.model.array import ArrayRun
from lacewing.model.events import RunEvent
from lacewing.model.graph import Node, NodeKind
from lacewing.model.phases import ErrorKind, NodePhase, RunPhase, TaskPhase
from lacewing.model.run import ARM, RunError
from lacewing.model.steps import Abort, Gather

_RUN_ABORTED = RunError("NodeAborted", "Workflow aborted.", ErrorKind.UNKNOWN)
_AUTO_ABORT = RunError("NodeAborted", "Some node execution failed, auto-abort.", ErrorKind.UNKNOWN)


def succeed(
    change: Change,
    node: Node,
    output_uri: str = "",
    phase: NodePhase = NodePhase.SUCCEEDED,
    **more: Any,
) -> None:
    """The node is done; `phase` is what the world is told. `more` are fields of its event."""
    change.put(node, change.state(node.id)._replace(phase=NodePhase.SUCCEEDED, handle=None))
    change.tell_node(node, phase, output_uri=output_uri, **more)
    _go_on(change, node)


def _go_on(change: Change, node: Node) -> None:
    parent = _branch_of(change, node)
    if parent is not None:
        change.put(parent, change.state(parent.id)._replace(handle={ARM: node.id}))
        change.ask(Gather(parent.id))
    elif change.graph.scope_of(node).failure == node.index:
        _close(change, node.scope)
    else:
        change.release(node)
        _fail_sealed(change)


def fail(
    change: Change, node: Node, error: RunError, phase: NodePhase = NodePhase.FAILED, **more: Any
) -> None:
    """The node failed for good, and what holds it fails with it, at once or when nothing else can run."""
    state = change.state(node.id)
    if state.array is not None and not state.task_phase.terminal:
        tell_array(change, node, state._replace(task_phase=TaskPhase.PERMANENT), (), error=error)
    change.put(node, state._replace(phase=phase, error=error, handle=None))
    change.tell_node(node, phase, error=error, **more)
    parent = _branch_of(change, node)
    if parent is not None:
        fail(change, parent, error)
        return
    scope = change.graph.scope_of(node)
    _note(change, node.scope, error)
    if scope.failure == node.index:
        _close(change, node.scope)
    elif scope.fail_late and node.kind is not NodeKind.END:
        change.release(node)
        _fail_sealed(change)
    else:
        _break(change, node.scope)


def abort(change: Change, node: Node, error: RunError) -> None:
    """End the node, and before it all that it holds."""
    state = change.state(node.id)
    if state.phase is NodePhase.READY:
        # Nobody was told of it.
        change.put(node, state._replace(phase=NodePhase.ABORTED, error=error))
    if not state.phase.active:
        return
    for inner in change.graph.held(node):
        abort(change, inner, error)
    if state.array is not None:
        abort_elements(change, node, state.array)
        tell_array_aborted(change, node)
    if node.kind is NodeKind.TASK and state.task_phase is TaskPhase.SUCCEEDED:
        pass  # The attempt is over; what it made was ended above.
    elif state.handle is not None and not node.kind.holder:
        change.ask(Abort(node.id, state.attempt, state.handle))
        tell_task_aborted(change, node)
    elif state.task_phase is TaskPhase.WAITING_FOR_RESOURCES:
        # It was told to wait, and waits no more.
        tell_task_aborted(change, node)
    change.put(node, state._replace(phase=NodePhase.ABORTED, error=error, handle=None))
    change.tell_node(node, NodePhase.ABORTED, error=error)


def abort_elements(change: Change, node: Node, array: ArrayRun) -> None:
    """End all elements of an array that are at work."""
    for at in array.active():
        one = array.element(at)
        if one.handle is not None:
            change.ask(Abort(node.id, one.attempt, one.handle, at))


def end_run(change: Change, phase: RunPhase, error: RunError) -> None:
    """Abort what is under way, and end the run as failed or aborted."""
    for node in change.graph.of_root():
        abort(change, node, _RUN_ABORTED if phase is RunPhase.ABORTED else _AUTO_ABORT)
    if phase is RunPhase.FAILED and change.phase is not RunPhase.FAILING:
        change.tell(RunEvent(change.key, RunPhase.FAILING, change.now, error=error))
    change.phase, change.error, change.ended_at = phase, error, change.now
    change.tell(RunEvent(change.key, phase, change.now, error=error))


def _branch_of(change: Change, node: Node) -> Node | None:
    parent = change.graph.nodes[node.parent] if node.parent >= 0 else None
    return parent if parent is not None and parent.kind is NodeKind.BRANCH else None


def _note(change: Change, scope: int, error: RunError) -> None:
    holder = change.graph.holder_of(scope)
    if holder is None:
        change.error = error
    else:
        change.put(holder, change.state(holder.id)._replace(error=error))


def _fail_sealed(change: Change) -> None:
    """Scopes of which nothing can run any more, since something before their end failed."""
    while change.sealed:
        _break(change, change.sealed.popleft())


def _break(change: Change, scope: int) -> None:
    """Abort what the scope holds; then its failure node runs, or the scope is closed."""
    if change.graph.holder_of(scope) is None:
        change.phase = RunPhase.FAILING
        change.tell(RunEvent(change.key, RunPhase.FAILING, change.now, error=change.error))
    for node in change.graph.of_scope(scope):
        abort(change, node, _AUTO_ABORT)
    failure = change.graph.scopes[scope].failure
    if failure >= 0:
        change.urgent.append(change.graph.nodes[failure])
    else:
        _close(change, scope)


def _close(change: Change, scope: int) -> None:
    """The scope is over and failed."""
    holder = change.graph.holder_of(scope)
    if holder is not None:
        error = change.state(holder.id).error
        assert error is not None
        fail(change, holder, error)
        return
    assert change.error is not None
    change.phase, change.ended_at = RunPhase.FAILED, change.now
    change.tell(RunEvent(change.key, RunPhase.FAILED, change.now, error=change.error))
