"""A run that recovers another one: each node is looked for there first. Pure.

Rules: propeller.md, section 7.4. What succeeded there is taken over as it is. What did not runs here, with
what is left of it: a task's checkpoint, the nodes that a dynamic task wrote, a child execution.
"""

from collections.abc import Callable

from lacewing.engine import attempts, layout, outcome
from lacewing.engine.change import Change
from lacewing.engine.nodes import task
from lacewing.model.graph import Node, NodeKind
from lacewing.model.phases import NodePhase
from lacewing.model.run import NodeRun
from lacewing.model.steps import Delayed, NodeStimulus, Observed, Past, Recall, Recalled, TimerFired

SOUGHT = "?"
"""Past of a node while it is looked for."""
Start = Callable[[Change, Node], None]


def wanted(change: Change, node: Node) -> bool:
    """Whether the node is looked for in the run that this one recovers. Ends are put together anew."""
    failing = change.graph.scope_of(node).failure == node.index
    return bool(change.spec.recovers) and node.kind is not NodeKind.END and not failing


def start(change: Change, node: Node) -> None:
    """Look for it. Nobody is told before it is known what becomes of the node."""
    change.put(node, NodeRun(NodePhase.READY, past=SOUGHT))
    change.ask(Recall(node.id))


def answered(change: Change, node: Node, stimulus: NodeStimulus, otherwise: Start) -> None:
    """It is known what became of the node there, or not yet; `otherwise` is how one starts that is new."""
    if isinstance(stimulus, Recalled):
        _recalled(change, node, stimulus.past, otherwise)
    elif isinstance(stimulus, TimerFired):
        change.ask(Recall(node.id))
    elif isinstance(stimulus, Delayed):
        attempts.delay(change, node, stimulus)
    elif isinstance(stimulus, Observed):
        # What is left of it cannot be read any more.
        otherwise(change, node)


def _recalled(change: Change, node: Node, past: Past | None, otherwise: Start) -> None:
    if past is not None and past.done:
        output = layout.output_uri(change.spec, node, 0) if past.outputs is not None else ""
        outcome.succeed(
            change, node, output, phase=NodePhase.RECOVERED, deck_uri=past.deck_uri, child=past.child
        )
        return
    if past is not None and past.grown_attempt >= 0:
        task.regrow(change, node, past.grown_attempt)
        return
    otherwise(change, node)
    if past is not None and past.left:
        change.put(node, change.state(node.id)._replace(past=past.left))
