"""The end node: gathers the outputs of its workflow, and with them the workflow is done. Pure."""

from lacewing.engine import layout, outcome
from lacewing.engine.change import Change
from lacewing.model.events import RunEvent
from lacewing.model.graph import Node
from lacewing.model.phases import NodePhase, RunPhase
from lacewing.model.run import NodeRun
from lacewing.model.steps import Gather, Keep


def start(change: Change, node: Node) -> None:
    """Every node that matters is done: have the outputs written."""
    change.tell_node(node, NodePhase.QUEUED)
    change.put(node, NodeRun(NodePhase.QUEUED, queued_at=change.now))
    change.ask(Gather(node.id))


def gathered(change: Change, node: Node) -> None:
    """The outputs are there; what holds the workflow succeeded, or the run did."""
    outcome.succeed(change, node)
    holder = change.graph.holder_of(node.scope)
    if holder is not None:
        wrote = bool(node.message.inputs)
        attempt = change.state(holder.id).attempt
        if holder.cache is not None:
            change.ask(Keep(holder.id, attempt))
            return
        outcome.succeed(change, holder, layout.output_uri(change.spec, holder, attempt) if wrote else "")
        return
    change.tell(RunEvent(change.key, RunPhase.RUNNING, change.now, succeeding=True))
    change.phase, change.ended_at = RunPhase.SUCCEEDED, change.now
    output = layout.run_output_uri(change.spec)
    change.tell(RunEvent(change.key, RunPhase.SUCCEEDED, change.now, output_uri=output))
