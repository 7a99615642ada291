"""The launch plan node: starts an execution of its own and waits for its end. Pure.

Rules: propeller.md, section 2.8. Attempts cover the start only: a child that failed fails the node for good.
"""

from lacewing.engine import attempts, layout, outcome
from lacewing.engine.attempts import delay as delayed
from lacewing.engine.change import Change
from lacewing.model.graph import Node
from lacewing.model.ids import RunKey
from lacewing.model.phases import TaskPhase
from lacewing.model.run import CHILD, NodeRun, RunError
from lacewing.model.steps import Abort, Launched, Observed

__all__ = ["delayed", "launched", "observed", "timed_out", "timer"]


def launched(change: Change, node: Node, stimulus: Launched) -> None:
    """The child execution is there."""
    child = RunKey.parse(stimulus.handle[CHILD])
    change.put(node, attempts.running(change, node, stimulus, child=child))


def observed(change: Change, node: Node, stimulus: Observed) -> None:
    """The child ended, or could not be started."""
    seen, state = stimulus.observation, change.state(node.id)
    error = RunError(seen.code, seen.reason, seen.kind)
    if seen.phase is TaskPhase.SUCCEEDED:
        output = layout.output_uri(change.spec, node, state.attempt)
        outcome.succeed(change, node, output, child=child_of(state))
    elif seen.phase is TaskPhase.PERMANENT:
        outcome.fail(change, node, error, child=child_of(state))
    elif seen.phase is TaskPhase.RETRYABLE:
        attempts.retry(change, node, error, seen.kind)


def timer(change: Change, node: Node) -> bool:
    """Nothing of its own is due at any moment."""
    return False


def timed_out(change: Change, node: Node) -> None:
    """End the child: its time is up."""
    state = change.state(node.id)
    if state.handle is not None:
        change.ask(Abort(node.id, state.attempt, state.handle))


def child_of(state: NodeRun) -> RunKey | None:
    """The execution that the node started."""
    return RunKey.parse(state.handle[CHILD]) if state.handle else None
