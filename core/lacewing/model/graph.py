"""A compiled workflow as an indexed, read-only graph. Built once per closure and shared by its runs."""

from dataclasses import dataclass
from enum import IntEnum

from flyteidl.core import compiler_pb2, identifier_pb2, tasks_pb2, workflow_pb2

from lacewing.errors import TaskError
from lacewing.model.ids import END_NODE, START_NODE


class NodeKind(IntEnum):
    """What a node is. Each kind but the start has a pure file in `engine/nodes`."""

    START = 0
    END = 1
    TASK = 2


@dataclass(frozen=True, slots=True)
class Node:
    """One node, with what the engine needs read out of its messages."""

    index: int
    id: str
    kind: NodeKind
    message: workflow_pb2.Node
    task: tasks_pb2.TaskTemplate | None = None
    max_attempts: int = 1
    """The user's budget: retries plus one."""
    timeout_seconds: float = 0.0
    """Of one attempt, from its launch; 0 is none."""
    interruptible: bool | None = None
    """None when the node leaves it to the run."""

    @property
    def name(self) -> str:
        """What the user called it."""
        return str(self.message.metadata.name)


@dataclass(frozen=True)
class Graph:
    """The nodes in template order, with edges as indices. `outputs` are the workflow's output bindings."""

    id: identifier_pb2.Identifier
    nodes: tuple[Node, ...]
    index: dict[str, int]
    upstream: tuple[tuple[int, ...], ...]
    downstream: tuple[tuple[int, ...], ...]
    fail_late: bool
    """FAIL_AFTER_EXECUTABLE_NODES_COMPLETE."""
    interruptible: bool

    def node(self, node_id: str) -> Node:
        """The node of that id; a KeyError is a bug."""
        return self.nodes[self.index[node_id]]


EMPTY_GRAPH = Graph(identifier_pb2.Identifier(), (), {}, (), (), False, False)
"""Stands in where a run's graph cannot be had."""


def build_graph(closure: compiler_pb2.CompiledWorkflowClosure) -> Graph:
    """The graph of the closure's primary workflow.

    Raises TaskError for a node of a kind that this engine does not run.
    """
    primary = closure.primary
    tasks = {_key(task.template.id): task.template for task in closure.tasks}
    nodes = tuple(_node(at, message, tasks) for at, message in enumerate(primary.template.nodes))
    index = {node.id: node.index for node in nodes}
    upstream: list[tuple[int, ...]] = [()] * len(nodes)
    downstream: list[list[int]] = [[] for _ in nodes]
    for node_id, ids in primary.connections.upstream.items():
        at = index[node_id]
        upstream[at] = tuple(sorted({index[other] for other in ids.ids}))
    for at, before in enumerate(upstream):
        for other in before:
            downstream[other].append(at)
    policy = primary.template.metadata.on_failure
    late = workflow_pb2.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    return Graph(
        id=primary.template.id,
        nodes=nodes,
        index=index,
        upstream=tuple(upstream),
        downstream=tuple(tuple(after) for after in downstream),
        fail_late=policy == late,
        interruptible=primary.template.metadata_defaults.interruptible,
    )


def _key(identifier: identifier_pb2.Identifier) -> tuple[str, str, str, str]:
    return identifier.project, identifier.domain, identifier.name, identifier.version


def _node(
    at: int, message: workflow_pb2.Node, tasks: dict[tuple[str, str, str, str], tasks_pb2.TaskTemplate]
) -> Node:
    if message.id == START_NODE:
        return Node(at, message.id, NodeKind.START, message)
    if message.id == END_NODE:
        return Node(at, message.id, NodeKind.END, message)
    target = message.WhichOneof("target")
    if target != "task_node":
        raise TaskError(
            f"node {message.id!r} is a {target}, which is not supported yet", code="UnsupportedNode"
        )
    task = tasks[_key(message.task_node.reference_id)]
    metadata = message.metadata
    interruptible = metadata.interruptible if metadata.WhichOneof("interruptible_value") else None
    retries = metadata.retries.retries or task.metadata.retries.retries
    timeout = metadata.timeout.ToTimedelta().total_seconds()
    return Node(at, message.id, NodeKind.TASK, message, task, retries + 1, timeout, interruptible)
