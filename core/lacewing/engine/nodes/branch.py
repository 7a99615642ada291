"""The branch node: runs the first of its arms whose condition holds. Pure.

Arms that are not chosen are skipped without a word; the outputs of the chosen one become the branch's.
"""

from lacewing.engine import layout, outcome
from lacewing.engine.change import Change
from lacewing.model.graph import Node
from lacewing.model.phases import NodePhase
from lacewing.model.run import NodeRun
from lacewing.model.steps import Decide, Decided


def start(change: Change, node: Node) -> None:
    """Have the conditions looked at."""
    change.tell_node(node, NodePhase.QUEUED)
    change.put(node, NodeRun(NodePhase.QUEUED, queued_at=change.now))
    change.ask(Decide(node.id))


def decided(change: Change, node: Node, stimulus: Decided) -> None:
    """One arm is chosen: it starts as soon as what it reads is there."""
    state = change.state(node.id)
    change.put(node, state._replace(phase=NodePhase.RUNNING, started_at=change.now))
    change.tell_node(node, NodePhase.RUNNING)
    for arm in change.graph.held(node):
        if arm.id != stimulus.arm:
            change.put(arm, NodeRun(NodePhase.SKIPPED))
    chosen = change.graph.node(stimulus.arm)
    if change.count_down(chosen.index):
        change.enlist(chosen)


def gathered(change: Change, node: Node) -> None:
    """The arm's outputs are the branch's now."""
    outcome.succeed(change, node, layout.output_uri(change.spec, node, 0))
