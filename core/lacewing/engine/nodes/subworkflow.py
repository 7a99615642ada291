"""The sub-workflow node: a scope of its own, whose nodes run beside those around it. Pure.

Its inputs become the outputs of the start node inside; the end node inside writes its outputs.
"""

from lacewing.engine import layout
from lacewing.engine.change import Change
from lacewing.model.graph import Node
from lacewing.model.phases import NodePhase
from lacewing.model.run import NodeRun
from lacewing.model.steps import Open


def start(change: Change, node: Node) -> None:
    """Have its inputs written for the nodes inside."""
    change.tell_node(node, NodePhase.QUEUED)
    change.put(node, NodeRun(NodePhase.QUEUED, queued_at=change.now))
    change.ask(Open(node.id))


def opened(change: Change, node: Node) -> None:
    """The inputs are there: what is inside begins."""
    state = change.state(node.id)
    change.put(node, state._replace(phase=NodePhase.RUNNING, started_at=change.now))
    change.tell_node(node, NodePhase.RUNNING)
    begin_scope(change, change.graph.inner[node.index])


def begin_scope(change: Change, scope: int) -> None:
    """The scope's start node is done; what hangs on it only is ready."""
    begin = change.graph.start_of(scope)
    change.put(begin, NodeRun(NodePhase.SUCCEEDED))
    change.tell_node(begin, NodePhase.SUCCEEDED, output_uri=layout.output_uri(change.spec, begin, 0))
    change.release(begin)
