"""A compiled workflow as an indexed, read-only graph. Built once per closure and shared by its runs.

Sub-workflows and the arms of branches are laid out flat beside the nodes that hold them, each node under the
id that clients see. A scope is one use of a workflow: the run's own, a sub-workflow's, what a dynamic task
made. A dynamic task's scope is added when it is known, by `grow`, which answers a new graph.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeAlias

from flyteidl.core import compiler_pb2, identifier_pb2, literals_pb2, tasks_pb2, workflow_pb2

from lacewing.errors import TaskError
from lacewing.model.cache import CachePolicy, cache_policy
from lacewing.model.closure import Key, arms, identifier_key
from lacewing.model.ids import END_NODE, START_NODE, node_uid

FAIL_LATE = workflow_pb2.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
Reads: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""The nodes whose outputs a node reads, by template id, each with the outputs that it reads in part."""
ROOT = 0
"""The run's own scope."""


class NodeKind(IntEnum):
    """What a node is. Each kind but the start has a pure file in `engine/nodes`."""

    START = 0
    END = 1
    TASK = 2
    SUBWORKFLOW = 3
    BRANCH = 4
    LAUNCH_PLAN = 5
    GATE = 6
    ARRAY = 7

    @property
    def counted(self) -> bool:
        """It takes a place of the run's parallelism while it is active."""
        return self in (NodeKind.TASK, NodeKind.LAUNCH_PLAN, NodeKind.ARRAY)

    @property
    def holder(self) -> bool:
        """It is at work through the nodes that it holds."""
        return self in (NodeKind.SUBWORKFLOW, NodeKind.BRANCH)


@dataclass(frozen=True, slots=True)
class Node:
    """One node, with what the engine needs read out of its messages."""

    index: int
    id: str
    """The unique id that clients see, as in propeller.md, section 2.7."""
    spec_id: str
    """The id in its template."""
    kind: NodeKind
    message: workflow_pb2.Node
    place: str
    """Its folder under the run's output root."""
    reads: Reads = ()
    scope: int = ROOT
    parent: int = -1
    """The node that holds it: a sub-workflow, a branch, a dynamic task; -1 at the top."""
    parent_attempt: int = 0
    dynamic: bool = False
    """Some node above it is a dynamic task."""
    task: tasks_pb2.TaskTemplate | None = None
    """Of an array, the task of its elements."""
    outputs: tuple[str, ...] = ()
    """What the task's interface gives, sorted."""
    max_attempts: int = 1
    """The user's budget: retries plus one."""
    timeout_seconds: float = 0.0
    """Of one attempt, from its launch; 0 is none."""
    interruptible: bool | None = None
    """None when the node leaves it to the run."""
    cache: CachePolicy | None = None
    """How a task's outputs are cached; of an array those of each element."""

    @property
    def name(self) -> str:
        """What the user called it."""
        return str(self.message.metadata.name)

    @property
    def target(self) -> workflow_pb2.Node:
        """The node that is run: of an array the one that it repeats, else this one."""
        return self.message.array_node.node if self.kind is NodeKind.ARRAY else self.message

    @property
    def launch_plan(self) -> identifier_pb2.Identifier:
        """What a launch plan node starts, or each element of an array over one."""
        return self.target.workflow_node.launchplan_ref


@dataclass(frozen=True, slots=True)
class Scope:
    """One use of a workflow. `ids` tells the index of each of its nodes by template id."""

    holder: int
    """The node that holds it; -1 for the run's own."""
    ids: Mapping[str, int]
    fail_late: bool
    """FAIL_AFTER_EXECUTABLE_NODES_COMPLETE."""
    interruptible: bool
    failure: int = -1
    """The node to run when it fails, or -1."""


@dataclass(frozen=True)
class Graph:
    """The nodes, each scope's in template order, with edges as indices."""

    id: identifier_pb2.Identifier
    nodes: tuple[Node, ...]
    index: dict[str, int]
    upstream: tuple[tuple[int, ...], ...]
    downstream: tuple[tuple[int, ...], ...]
    scopes: tuple[Scope, ...]
    inner: Mapping[int, int]
    """The scope that a node holds, for sub-workflows and for dynamic tasks that have grown one."""
    arms: Mapping[int, tuple[int, ...]]
    """The nodes of a branch, in the order of its cases."""

    def node(self, node_id: str) -> Node:
        """The node of that id; a KeyError is a bug."""
        return self.nodes[self.index[node_id]]

    def scope_of(self, node: Node) -> Scope:
        """The scope that the node is in."""
        return self.scopes[node.scope]

    def start_of(self, scope: int) -> Node:
        """The start node of a scope."""
        return self.nodes[self.scopes[scope].ids[START_NODE]]

    def end_of(self, scope: int) -> Node:
        """The end node of a scope."""
        return self.nodes[self.scopes[scope].ids[END_NODE]]

    def wanted(self, at: int) -> int:
        """What must happen before the node is ready: its upstreams, and for an arm its branch's choice."""
        parent = self.nodes[at].parent
        chosen = parent >= 0 and self.nodes[parent].kind is NodeKind.BRANCH
        return len(self.upstream[at]) + chosen

    def held(self, node: Node) -> Iterator[Node]:
        """The nodes that `node` holds itself, in graph order."""
        for at in self.arms.get(node.index, ()):
            yield self.nodes[at]
        if node.index in self.inner:
            yield from self.of_scope(self.inner[node.index])

    def holder_of(self, scope: int) -> Node | None:
        """The node that holds the scope; None for the run's own."""
        at = self.scopes[scope].holder
        return self.nodes[at] if at >= 0 else None

    def of_root(self) -> Iterator[Node]:
        """The nodes of the run's own scope; none where the graph is empty."""
        return self.of_scope(ROOT) if self.scopes else iter(())

    def of_scope(self, scope: int) -> Iterator[Node]:
        """The nodes of a scope, but for the arms of its branches."""
        for at in self.scopes[scope].ids.values():
            node = self.nodes[at]
            if node.parent == self.scopes[scope].holder:
                yield node

    def grow(self, node: Node, attempt: int, closure: compiler_pb2.CompiledWorkflowClosure) -> "Graph":
        """This graph with what an attempt of a dynamic task made, held by its node."""
        layout = _Layout(closure, self)
        layout.add_scope(closure.primary, replace(node, dynamic=True), attempt)
        return layout.graph(self.id)


EMPTY_GRAPH = Graph(identifier_pb2.Identifier(), (), {}, (), (), (), {}, {})
"""Stands in where a run's graph cannot be had."""


def build_graph(closure: compiler_pb2.CompiledWorkflowClosure) -> Graph:
    """The graph of the closure's primary workflow, with every sub-workflow laid out.

    Raises TaskError for what the closure lacks, and for sub-workflows that hold each other.
    """
    layout = _Layout(closure, EMPTY_GRAPH)
    layout.add_scope(closure.primary, None, 0)
    return layout.graph(closure.primary.template.id)


class _Layout:
    """A graph while it is laid out, on top of one that is there."""

    def __init__(self, closure: compiler_pb2.CompiledWorkflowClosure, base: Graph) -> None:
        self.tasks = {identifier_key(task.template.id): task.template for task in closure.tasks}
        self.workflows = {identifier_key(one.template.id): one for one in closure.sub_workflows}
        self.nodes = list(base.nodes)
        self.index = dict(base.index)
        self.upstream = list(base.upstream)
        self.first = len(self.nodes)
        self.downstream = list(base.downstream)
        self.scopes = list(base.scopes)
        self.inner, self.arms = dict(base.inner), dict(base.arms)
        self.open: list[Key] = []

    def add_scope(self, workflow: compiler_pb2.CompiledWorkflow, holder: Node | None, attempt: int) -> None:
        """Lay out one use of the workflow, and all that it holds."""
        key = identifier_key(workflow.template.id)
        if key in self.open:
            raise TaskError(f"workflow {':'.join(key)} holds itself", code="WorkflowBuildError")
        self.open.append(key)
        at = len(self.scopes)
        ids: dict[str, int] = {}
        template = workflow.template
        failure = template.failure_node if template.HasField("failure_node") else None
        scope = Scope(
            holder=holder.index if holder else -1,
            ids=ids,
            fail_late=template.metadata.on_failure == FAIL_LATE,
            interruptible=template.metadata_defaults.interruptible,
        )
        self.scopes.append(scope)
        if holder is not None:
            self.inner[holder.index] = at
        messages = [*template.nodes, failure] if failure is not None else template.nodes
        for message in messages:
            self._add(message, at, ids, holder, attempt)
        if failure is not None:
            self.scopes[at] = replace(scope, failure=ids[failure.id])
        self._connect(workflow, ids)
        if failure is not None:
            # It is started by a failure, never by what comes before it.
            self.upstream[ids[failure.id]] = ()
        for node in [self.nodes[i] for i in ids.values()]:
            if node.kind is NodeKind.SUBWORKFLOW:
                self._add_subworkflow(node)
        self.open.pop()

    def _add(
        self, message: workflow_pb2.Node, scope: int, ids: dict[str, int], parent: Node | None, attempt: int
    ) -> Node:
        kind = _kind(message)
        uid = node_uid(parent.id if parent else "", attempt, message.id)
        folder = f"{parent.place}/{attempt}/{message.id}" if parent else f"{message.id}/data"
        node = Node(
            index=len(self.nodes), id=uid, spec_id=message.id, kind=kind, message=message, place=folder,
            reads=_reads(message.inputs), scope=scope, parent=parent.index if parent else -1,
            parent_attempt=attempt, dynamic=parent.dynamic if parent else False,
        )  # fmt: skip
        if kind in (NodeKind.TASK, NodeKind.ARRAY, NodeKind.LAUNCH_PLAN, NodeKind.GATE):
            node = self._with_budget(node)
        self.nodes.append(node)
        self.upstream.append(())
        self.index[uid] = ids[message.id] = node.index
        if kind is NodeKind.BRANCH:
            inside = [self._add(arm, scope, ids, node, 0) for arm in arms(message)]
            self.arms[node.index] = tuple(arm.index for arm in inside)
        return node

    def _with_budget(self, node: Node) -> Node:
        inner = node.target
        task = None
        if inner.WhichOneof("target") == "task_node":
            task = self.tasks.get(identifier_key(inner.task_node.reference_id))
            if task is None:
                name = ":".join(identifier_key(inner.task_node.reference_id))
                raise TaskError(f"node {node.id!r} runs task {name}, which the closure lacks")
        metadata = inner.metadata
        retries = metadata.retries.retries or (task.metadata.retries.retries if task is not None else 0)
        return replace(
            node,
            task=task,
            outputs=tuple(sorted(task.interface.outputs.variables)) if task is not None else (),
            max_attempts=retries + 1,
            timeout_seconds=metadata.timeout.ToTimedelta().total_seconds(),
            interruptible=metadata.interruptible if metadata.WhichOneof("interruptible_value") else None,
            cache=cache_policy(task, node.message.metadata, metadata) if task is not None else None,
        )

    def _add_subworkflow(self, node: Node) -> None:
        key = identifier_key(node.message.workflow_node.sub_workflow_ref)
        if key not in self.workflows:
            raise TaskError(f"node {node.id!r} holds workflow {':'.join(key)}, which the closure lacks")
        self.add_scope(self.workflows[key], node, 0)

    def _connect(self, workflow: compiler_pb2.CompiledWorkflow, ids: Mapping[str, int]) -> None:
        for node_id, before in workflow.connections.upstream.items():
            if node_id in ids:
                self.upstream[ids[node_id]] = tuple(sorted({ids[one] for one in before.ids}))

    def graph(self, identifier: identifier_pb2.Identifier) -> Graph:
        """What was laid out."""
        after: list[list[int]] = [[] for _ in self.nodes[self.first :]]
        for at in range(self.first, len(self.nodes)):
            for other in self.upstream[at]:
                after[other - self.first].append(at)
        self.downstream += [tuple(one) for one in after]
        return Graph(
            identifier, tuple(self.nodes), self.index, tuple(self.upstream), tuple(self.downstream),
            tuple(self.scopes), self.inner, self.arms,
        )  # fmt: skip


def _reads(bindings: Iterable[literals_pb2.Binding]) -> Reads:
    found: dict[str, set[str]] = {}
    waiting: list[literals_pb2.BindingData] = [one.binding for one in bindings]
    while waiting:
        data = waiting.pop()
        kind = data.WhichOneof("value")
        if kind == "promise":
            parts = found.setdefault(data.promise.node_id or START_NODE, set())
            if data.promise.attr_path or data.promise.var.startswith("["):
                parts.add(data.promise.var.rpartition("].")[2])
        elif kind == "collection":
            waiting.extend(data.collection.bindings)
        elif kind == "map":
            waiting.extend(data.map.bindings.values())
    return tuple((name, tuple(sorted(found[name]))) for name in sorted(found))


def _kind(message: workflow_pb2.Node) -> NodeKind:
    if message.id == START_NODE:
        return NodeKind.START
    if message.id == END_NODE:
        return NodeKind.END
    target = message.WhichOneof("target")
    if target == "workflow_node":
        launches = message.workflow_node.WhichOneof("reference") == "launchplan_ref"
        return NodeKind.LAUNCH_PLAN if launches else NodeKind.SUBWORKFLOW
    kinds = {
        "task_node": NodeKind.TASK,
        "branch_node": NodeKind.BRANCH,
        "gate_node": NodeKind.GATE,
        "array_node": NodeKind.ARRAY,
    }
    if target not in kinds:
        raise TaskError(f"node {message.id!r} is a {target}, which no engine runs", code="UnsupportedNode")
    return kinds[target]
