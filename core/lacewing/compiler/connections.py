"""Which node comes after which, and whether that can be walked. Pure. Rules: propeller.md, section 1.2."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from flyteidl.core import compiler_pb2

from lacewing.compiler.problems import Problems
from lacewing.model.ids import END_NODE, START_NODE

Place = TypeVar("Place", bound=Hashable)


class Connections:
    """The edges of one workflow. An inner node has only upstream ones: whom it reads."""

    def __init__(self) -> None:
        self.upstream: defaultdict[str, set[str]] = defaultdict(set)
        self.downstream: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, before: str, after: str) -> None:
        """One node comes after another."""
        self.upstream[after].add(before)
        self.downstream[before].add(after)

    def adopt_orphans(self, nodes: Iterable[str]) -> None:
        """What comes after nothing comes after the start; what nothing comes after comes before the end."""
        for node_id in nodes:
            if not self.upstream[node_id]:
                self.add(START_NODE, node_id)
            if not self.downstream[node_id]:
                self.add(node_id, END_NODE)

    def check(self, nodes: Iterable[str], problems: Problems) -> None:
        """Note a cycle, or what cannot be reached."""
        cycle, visited = walk(START_NODE, lambda node_id: sorted(self.downstream.get(node_id, ())))
        if cycle:
            text = f"A cycle has been detected while traversing the Workflow [{'>'.join(cycle)}]."
            problems.add("CycleDetected", cycle[-1], text)
        elif lost := sorted(set(nodes) - visited):
            text = f"The Workflow contain unreachable nodes [{','.join(lost)}]."
            problems.add("UnreachableNodes", START_NODE, text)

    def write(self, place: compiler_pb2.ConnectionSet) -> None:
        """The edges as clients see them, sorted."""
        _fill(place.upstream, self.upstream)
        _fill(place.downstream, self.downstream)


def _fill(target: Any, edges: dict[str, set[str]]) -> None:
    for node_id in sorted(edges):
        if edges[node_id]:
            target[node_id].ids.extend(sorted(edges[node_id]))


def walk(start: Place, after: Callable[[Place], Iterable[Place]]) -> tuple[list[Place], set[Place]]:
    """Depth first: the first cycle, its first place repeated at its end, and all that was seen."""
    path, on_path, seen = [start], {start}, {start}
    waiting = [iter(after(start))]
    while path:
        found = next(waiting[-1], None)
        if found is None:
            on_path.discard(path.pop())
            waiting.pop()
        elif found in on_path:
            return [*path[path.index(found) :], found], seen
        elif found not in seen:
            path.append(found)
            on_path.add(found)
            seen.add(found)
            waiting.append(iter(after(found)))
    return [], seen
