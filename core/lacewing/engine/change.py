"""One decision in the making: the run as it changes, the instructions and the timers that come of it.

It knows the graph's book-keeping (who is ready, who is active, how many are left) and nothing of what kinds
of nodes do. A change about one node touches that node and its neighbours only.
"""

from datetime import datetime

import immutables

from lacewing.engine import layout
from lacewing.model.events import Event, NodeEvent, RunEvent
from lacewing.model.graph import Graph, Node, NodeKind
from lacewing.model.ids import START_NODE
from lacewing.model.phases import NodePhase, RunPhase
from lacewing.model.run import NodeRun, Run, RunError, RunSpec
from lacewing.model.steps import Emit, Instruction, Step, Timer

_WAITING = NodeRun()


class Change:
    """A run between two states. Node files call `enter`, `tell` and `ask`; `advance` makes the `Step`."""

    def __init__(self, graph: Graph, spec: RunSpec, run: Run, now: datetime) -> None:
        self.graph, self.spec, self.now, self.run = graph, spec, now, run
        self.key = run.key
        self.phase, self.error, self.failed_node = run.phase, run.error, run.failed_node
        self.started_at, self.ended_at, self.abort_cause = run.started_at, run.ended_at, run.abort_cause
        self.remaining = run.remaining
        self.nodes = run.nodes.mutate()
        self.open = run.open_upstreams.mutate()
        self.active = run.active.mutate()
        self.ready: immutables.MapMutation[int, str] = run.ready.mutate()
        self.head, self.tail = run.ready_head, run.ready_tail
        self.instructions: list[Instruction] = []
        self.timers: list[Timer] = []
        self.touched: set[str] = set()

    def state(self, node_id: str) -> NodeRun:
        """What is known of the node."""
        return self.nodes.get(node_id, _WAITING)

    def put(self, node: Node, state: NodeRun) -> None:
        """Keep `state`, and the books with it."""
        before = self.state(node.id).phase
        self.nodes[node.id] = state
        self.touched.add(node.id)
        if state.phase is before:
            return
        if state.phase.active and not before.active:
            self.active[node.index] = node.id
        elif before.active and not state.phase.active:
            del self.active[node.index]
        if state.phase.terminal and not before.terminal:
            self.remaining -= 1

    def ask(self, instruction: Instruction) -> None:
        """Have something done."""
        self.instructions.append(instruction)

    def tell(self, event: Event) -> None:
        """Tell the world."""
        self.instructions.append(Emit(event))

    def tell_node(
        self,
        node: Node,
        phase: NodePhase,
        *,
        output_uri: str = "",
        error: RunError | None = None,
        checkpoint_uri: str = "",
    ) -> None:
        """Tell that a node entered `phase`."""
        started = node.kind is not NodeKind.START
        self.tell(
            NodeEvent(
                key=self.key, node_id=node.id, spec_node_id=node.id, phase=phase, at=self.now, name=node.name,
                input_uri=layout.input_uri(self.spec, node.id) if started else "",
                output_uri=output_uri, error=error, checkpoint_uri=checkpoint_uri,
            )
        )  # fmt: skip

    def begin(self) -> None:
        """The start node is done; what hangs on it only is ready."""
        self.phase, self.started_at = RunPhase.RUNNING, self.now
        self.tell(RunEvent(self.key, RunPhase.RUNNING, self.now))
        self.remaining = len(self.graph.nodes)
        self.succeed(self.graph.node(START_NODE), layout.run_input_uri(self.spec))

    def succeed(self, node: Node, output_uri: str = "", checkpoint_uri: str = "") -> None:
        """The node is done and what waits for it may go on."""
        self.put(node, self.state(node.id)._replace(phase=NodePhase.SUCCEEDED, handle=None))
        self.tell_node(node, NodePhase.SUCCEEDED, output_uri=output_uri, checkpoint_uri=checkpoint_uri)
        self.release(node)

    def fail(self, node: Node, phase: NodePhase, error: RunError, checkpoint_uri: str = "") -> None:
        """The node failed for good. The run fails with it, at once or when nothing else can run."""
        self.put(node, self.state(node.id)._replace(phase=phase, error=error, handle=None))
        self.tell_node(node, phase, error=error, checkpoint_uri=checkpoint_uri)
        self.error, self.failed_node = error, node.id
        if self.graph.fail_late:
            self.release(node)

    def release(self, node: Node) -> None:
        """One upstream less for each node below; those without any become ready, or are skipped."""
        below = [node.index]
        while below:
            for at in self.graph.downstream[below.pop()]:
                other = self.graph.nodes[at]
                left = self.open.get(other.id, len(self.graph.upstream[at])) - 1
                if left:
                    self.open[other.id] = left
                    continue
                self.open.pop(other.id, None)
                if self._poisoned(at):
                    self.put(other, self.state(other.id)._replace(phase=NodePhase.SKIPPED))
                    self.tell_node(other, NodePhase.SKIPPED)
                    below.append(at)
                else:
                    self.ready[self.tail] = other.id
                    self.tail += 1

    def _poisoned(self, at: int) -> bool:
        return self.graph.fail_late and any(
            self.state(self.graph.nodes[other].id).phase is not NodePhase.SUCCEEDED
            for other in self.graph.upstream[at]
        )

    def active_nodes(self) -> list[Node]:
        """What a backend may hold something for, in graph order."""
        active = self.active.finish()
        self.active = active.mutate()
        return [self.graph.nodes[at] for at in sorted(active)]

    def next_ready(self) -> str | None:
        """Take the node that has been ready longest, if there is a place for it."""
        limit = self.spec.max_parallelism
        if self.head == self.tail or (limit and len(self.active) >= limit):
            return None
        node_id = self.ready.pop(self.head)
        self.head += 1
        return node_id

    def step(self) -> Step:
        """The outcome."""
        run = Run(
            self.key, self.phase, self.nodes.finish(), self.open.finish(), self.ready.finish(), self.head,
            self.tail, self.active.finish(), self.remaining, self.error, self.failed_node, self.started_at,
            self.ended_at, self.abort_cause, self.run.touched | self.touched,
        )  # fmt: skip
        return Step(run, tuple(self.instructions), tuple(self.timers))
