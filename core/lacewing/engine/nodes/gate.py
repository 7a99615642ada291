"""The gate node: waits for a signal, an approval, or for some time. Pure.

Rules: propeller.md, section 2.8. A signal wakes its run when it is set.
"""

from datetime import timedelta

from lacewing.engine import attempts, layout, outcome
from lacewing.engine.attempts import delay as delayed
from lacewing.engine.change import Change
from lacewing.model.graph import Node
from lacewing.model.phases import TaskPhase
from lacewing.model.run import RunError
from lacewing.model.steps import Launched, Observed

__all__ = ["delayed", "launched", "observed", "timed_out", "timer"]


def launched(change: Change, node: Node, stimulus: Launched) -> None:
    """It waits from now on."""
    change.put(node, attempts.running(change, node, stimulus))
    if _sleeps(node):
        attempts.arm(change, node, attempts.sleep_seconds(node))


def observed(change: Change, node: Node, stimulus: Observed) -> None:
    """The signal is there, or was refused."""
    seen, state = stimulus.observation, change.state(node.id)
    if seen.phase is TaskPhase.SUCCEEDED:
        outcome.succeed(change, node, layout.output_uri(change.spec, node, state.attempt))
    elif seen.phase is TaskPhase.PERMANENT:
        outcome.fail(change, node, RunError(seen.code, seen.reason, seen.kind))
    elif seen.phase is TaskPhase.RETRYABLE:
        attempts.retry(change, node, RunError(seen.code, seen.reason, seen.kind), seen.kind)


def timer(change: Change, node: Node) -> bool:
    """The sleep may be over."""
    state = change.state(node.id)
    if not _sleeps(node) or state.handle is None or state.attempt_at is None:
        return False
    if change.now >= state.attempt_at + timedelta(seconds=attempts.sleep_seconds(node)):
        outcome.succeed(change, node)
    return True


def timed_out(change: Change, node: Node) -> None:
    """Nothing has to be ended."""


def _sleeps(node: Node) -> bool:
    return bool(node.message.gate_node.WhichOneof("condition") == "sleep")
