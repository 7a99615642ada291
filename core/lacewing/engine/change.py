"""One decision in the making: the run as it changes, the instructions and the timers that come of it.

It knows the graph's book-keeping (who is ready, who is active, who waits for whom) and nothing of what kinds
of nodes do. A change about one node touches that node and its neighbours only.
"""

from collections import deque
from datetime import datetime
from typing import Any

import immutables

from lacewing.engine import layout
from lacewing.model.events import Event, NodeEvent
from lacewing.model.graph import Graph, Node, NodeKind
from lacewing.model.phases import NodePhase
from lacewing.model.run import NodeRun, Run, RunSpec, engaged
from lacewing.model.steps import Emit, Instruction, Step, Timer

_WAITING = NodeRun()


class Change:
    """A run between two states. Node files call `put`, `tell` and `ask`; `advance` makes the `Step`."""

    def __init__(self, graph: Graph, spec: RunSpec, run: Run, now: datetime) -> None:
        self.graph, self.spec, self.now, self.run = graph, spec, now, run
        self.key = run.key
        self.phase, self.error = run.phase, run.error
        self.started_at, self.ended_at, self.abort_cause = run.started_at, run.ended_at, run.abort_cause
        self.nodes = run.nodes.mutate()
        self.open = run.open_upstreams.mutate()
        self.active = run.active.mutate()
        self.busy = run.busy
        self.ready: immutables.MapMutation[int, str] = run.ready.mutate()
        self.head, self.tail = run.ready_head, run.ready_tail
        self.urgent: deque[Node] = deque()
        """Failure nodes, which start though their scope is over."""
        self.due: deque[Node] = deque()
        """Nodes that are ready and take no place; they start before anything else happens."""
        self.sealed: deque[int] = deque()
        """Scopes whose end can no longer be reached."""
        self.instructions: list[Instruction] = []
        self.timers: list[Timer] = []
        self.touched: set[str] = set()

    def state(self, node_id: str) -> NodeRun:
        """What is known of the node."""
        return self.nodes.get(node_id, _WAITING)

    def put(self, node: Node, state: NodeRun) -> None:
        """Keep `state`, and the books with it."""
        before = self.state(node.id)
        self.nodes[node.id] = state
        self.touched.add(node.id)
        was, now = engaged(node, before), engaged(node, state)
        if was is now:
            return
        if now:
            self.active[node.index] = node.id
        else:
            del self.active[node.index]
        if node.kind.counted:
            self.busy += 1 if now else -1

    def ask(self, instruction: Instruction) -> None:
        """Have something done."""
        self.instructions.append(instruction)

    def tell(self, event: Event) -> None:
        """Tell the world."""
        self.instructions.append(Emit(event))

    def tell_node(self, node: Node, phase: NodePhase, **more: Any) -> None:
        """Tell that a node entered `phase`; `more` are fields of NodeEvent."""
        parent = self.graph.nodes[node.parent] if node.parent >= 0 else None
        self.tell(
            NodeEvent(
                key=self.key, node_id=node.id, spec_node_id=node.spec_id, phase=phase, at=self.now,
                name=node.name,
                input_uri="" if node.kind is NodeKind.START else layout.input_uri(self.spec, node),
                parent_id=parent.id if parent is not None else "",
                retry_group=str(node.parent_attempt) if parent is not None else "",
                is_parent=node.kind.holder,
                is_array=node.kind is NodeKind.ARRAY,
                in_dynamic_chain=node.dynamic,
                **more,
            )
        )  # fmt: skip

    def release(self, node: Node) -> None:
        """One upstream less for each node below; those without any become ready, or are skipped."""
        below = [node.index]
        while below:
            for at in self.graph.downstream[below.pop()]:
                if not self.count_down(at):
                    continue
                if self.poisoned(at):
                    self.skip(self.graph.nodes[at])
                    below.append(at)
                else:
                    self.enlist(self.graph.nodes[at])

    def count_down(self, at: int) -> bool:
        """One thing less that the node waits for; True when nothing is left."""
        other = self.graph.nodes[at]
        left = self.open.get(other.id, self.graph.wanted(at)) - 1
        if left:
            self.open[other.id] = left
            return False
        self.open.pop(other.id, None)
        return not self.state(other.id).phase.terminal

    def poisoned(self, at: int) -> bool:
        """Whether the node can never run, since something before it did not succeed."""
        return self.graph.scope_of(self.graph.nodes[at]).fail_late and any(
            self.state(self.graph.nodes[other].id).phase is not NodePhase.SUCCEEDED
            for other in self.graph.upstream[at]
        )

    def skip(self, node: Node) -> None:
        """The node is passed over, and says so."""
        self.put(node, self.state(node.id)._replace(phase=NodePhase.SKIPPED))
        self.tell_node(node, NodePhase.SKIPPED)
        if node.kind is NodeKind.END:
            self.sealed.append(node.scope)
        parent = self.graph.nodes[node.parent] if node.parent >= 0 else None
        if parent is not None and parent.kind is NodeKind.BRANCH:
            self.skip(parent)
            self.release(parent)

    def enlist(self, node: Node) -> None:
        """The node is ready: it starts at once, or waits for a place among those that are counted."""
        if node.kind.counted:
            self.ready[self.tail] = node.id
            self.tail += 1
        else:
            self.due.append(node)

    def next_ready(self) -> Node | None:
        """Take the node that has been ready longest, if there is a place for it and its scope is alive."""
        if self.urgent:
            return self.urgent.popleft()
        while self.due:
            node = self.due.popleft()
            if self.alive(node):
                return node
        limit = self.spec.max_parallelism
        while self.head < self.tail and not (limit and self.busy >= limit):
            node = self.graph.node(self.ready.pop(self.head))
            self.head += 1
            if self.alive(node):
                return node
        return None

    def alive(self, node: Node) -> bool:
        """Whether every scope around the node still starts nodes; a failed one only its failure node."""
        while True:
            scope, holder = self.graph.scope_of(node), self.graph.holder_of(node.scope)
            error = self.error if holder is None else self.state(holder.id).error
            if error is not None and not scope.fail_late and scope.failure != node.index:
                return False
            if holder is None:
                return True
            if self.state(holder.id).phase is not NodePhase.RUNNING:
                return False
            node = holder

    def step(self) -> Step:
        """The outcome."""
        run = Run(
            self.key, self.phase, self.nodes.finish(), self.open.finish(), self.ready.finish(), self.head,
            self.tail, self.active.finish(), self.busy, self.error, self.started_at, self.ended_at,
            self.abort_cause, self.run.touched | self.touched,
        )  # fmt: skip
        return Step(run, tuple(self.instructions), tuple(self.timers))
