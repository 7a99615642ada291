"""What a dynamic task made: its nodes run under it, as a scope of its own. Pure.

Rules: propeller.md, section 6. The task's attempt has succeeded by then; the node goes on until the nodes are
done, and fails for good with the first of them that does.
"""

from lacewing.engine.change import Change
from lacewing.engine.nodes.subworkflow import begin_scope
from lacewing.model.graph import Node
from lacewing.model.phases import NodePhase
from lacewing.model.run import GROWN
from lacewing.model.steps import Grown


def grown(change: Change, node: Node, stimulus: Grown) -> None:
    """The nodes are part of the graph: they begin."""
    change.put(node, change.state(node.id)._replace(handle={GROWN: stimulus.uri}))
    change.tell_node(node, NodePhase.RUNNING, is_dynamic=True, grown=stimulus.workflow)
    begin_scope(change, change.graph.inner[node.index])
