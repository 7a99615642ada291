"""Templates in, a compiled closure out: checked, with start and end nodes, edges and sorted ids. Pure.

Rules: propeller.md, sections 1.1 to 1.3. The result is deterministic, since a digest of it tells whether a
workflow is registered again. Only task nodes compile; every other kind is refused by name.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from flyteidl.core import compiler_pb2, identifier_pb2, tasks_pb2, workflow_pb2

from lacewing.compiler.bindings import Interfaces, Variables, check_bindings, promises
from lacewing.compiler.problems import CompileError, Problems
from lacewing.errors import InvalidArgument, TaskError
from lacewing.model.ids import END_NODE, START_NODE
from lacewing.pods import quantity

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
Key = tuple[str, str, str, str]


def identifier_key(identifier: identifier_pb2.Identifier) -> Key:
    """Project, domain, name, version."""
    return identifier.project, identifier.domain, identifier.name, identifier.version


def compile_task(template: tasks_pb2.TaskTemplate) -> compiler_pb2.CompiledTask:
    """The checked task. Raises InvalidArgument that names what is wrong."""
    if template.HasField("container"):
        container = template.container
        if not container.image:
            raise InvalidArgument("missing image")
        speaks = template.interface.inputs.variables or template.interface.outputs.variables
        if speaks and not container.command and not container.args:
            raise InvalidArgument("a task with inputs or outputs needs a command or args")
        for entry in [*container.resources.requests, *container.resources.limits]:
            try:
                quantity(entry.value)
            except TaskError as error:
                kind = tasks_pb2.Resources.ResourceName.Name(entry.name)
                raise InvalidArgument(
                    f"Parsing of {kind} request failed for value {entry.value}: {error.message}"
                ) from error
    if template.HasField("k8s_pod"):
        for container in template.k8s_pod.pod_spec.fields["containers"].list_value.values:
            name = container.struct_value.fields["name"].string_value
            if not _LABEL.match(name):
                raise InvalidArgument(f"container name {name!r} is no DNS-1123 label")
    return compiler_pb2.CompiledTask(template=template)


def required_tasks(template: workflow_pb2.WorkflowTemplate) -> list[identifier_pb2.Identifier]:
    """The tasks that the workflow's nodes name, each once, sorted."""
    found = {
        identifier_key(node.task_node.reference_id): node.task_node.reference_id
        for node in template.nodes
        if node.WhichOneof("target") == "task_node"
    }
    return [found[key] for key in sorted(found)]


def compile_workflow(
    template: workflow_pb2.WorkflowTemplate, tasks: Iterable[compiler_pb2.CompiledTask]
) -> compiler_pb2.CompiledWorkflowClosure:
    """The compiled closure of a workflow over registered tasks. Raises CompileError with every problem."""
    known = {identifier_key(task.template.id): task for task in tasks}
    primary, problems = _Workflow(template, known).compile()
    if problems:
        raise CompileError(problems)
    used = [known[identifier_key(task)] for task in required_tasks(template)]
    return compiler_pb2.CompiledWorkflowClosure(primary=primary, tasks=used)


class _Workflow:
    """One workflow while it is compiled."""

    def __init__(
        self, template: workflow_pb2.WorkflowTemplate, tasks: dict[Key, compiler_pb2.CompiledTask]
    ) -> None:
        self.template = workflow_pb2.WorkflowTemplate()
        self.template.CopyFrom(template)
        self.tasks = tasks
        self.problems = Problems()
        self.nodes: dict[str, workflow_pb2.Node] = {}
        self.upstream: defaultdict[str, set[str]] = defaultdict(set)
        self.downstream: defaultdict[str, set[str]] = defaultdict(set)

    def compile(self) -> tuple[compiler_pb2.CompiledWorkflow, Problems]:
        """The compiled workflow and what is wrong with it."""
        if not self.template.nodes:
            self.problems.add("NoNodesFound", START_NODE, "The workflow has no nodes.")
            return compiler_pb2.CompiledWorkflow(), self.problems
        for node in self.template.nodes:
            if node.id not in (START_NODE, END_NODE):
                self.nodes.setdefault(node.id, node)
        interfaces = self._interfaces()
        for node in self.nodes.values():
            self._check_node(node, interfaces)
        wanted = self.template.interface.outputs.variables
        check_bindings(END_NODE, self.template.outputs, wanted, interfaces, self.problems)
        self._connect()
        self._walk()
        return self._compiled(), self.problems

    def _interfaces(self) -> Interfaces:
        found: dict[str, Variables] = {START_NODE: self.template.interface.inputs.variables}
        for node in self.nodes.values():
            task = self._task(node)
            if task is not None:
                found[node.id] = self._aliased(node, task.template.interface.outputs.variables)
            elif node.WhichOneof("target") is None:
                found[node.id] = {}
        return found

    def _aliased(self, node: workflow_pb2.Node, outputs: Variables) -> Variables:
        renamed = dict(outputs)
        seen: set[str] = set()
        for alias in node.output_aliases:
            if alias.alias in seen:
                self.problems.add("DuplicateAlias", node.id, f"Alias [{alias.alias}] is used twice.")
            elif alias.var not in outputs:
                self.problems.add("ParameterNotBound", node.id, f"Parameter not bound [{alias.var}].")
            else:
                renamed[alias.alias] = renamed.pop(alias.var)
            seen.add(alias.alias)
        return renamed

    def _task(self, node: workflow_pb2.Node) -> compiler_pb2.CompiledTask | None:
        if node.WhichOneof("target") != "task_node":
            return None
        return self.tasks.get(identifier_key(node.task_node.reference_id))

    def _check_node(self, node: workflow_pb2.Node, interfaces: Interfaces) -> None:
        kind = node.WhichOneof("target")
        if kind is None:
            self.problems.add("ValueRequired", node.id, "Value required [Target].")
            return
        if kind != "task_node":
            text = f"Nodes of kind [{kind}] are not supported yet."
            self.problems.add("WorkflowBuildError", node.id, text)
            return
        task = self._task(node)
        if task is None:
            name = ":".join(identifier_key(node.task_node.reference_id))
            self.problems.add("TaskReferenceNotFound", node.id, f"Referenced task [{name}] not found.")
            return
        wanted = task.template.interface.inputs.variables
        check_bindings(node.id, node.inputs, wanted, interfaces, self.problems)

    def _connect(self) -> None:
        for node in self.nodes.values():
            before = set(node.upstream_node_ids)
            for binding in node.inputs:
                for promise in promises(binding.binding):
                    promise.node_id = promise.node_id or START_NODE
                    before.add(promise.node_id)
            del node.upstream_node_ids[:]
            for other in sorted(before):
                if other != START_NODE and other not in self.nodes:
                    text = f"Referenced node [{other}] not found."
                    self.problems.add("NodeReferenceNotFound", node.id, text)
                    continue
                self._edge(other, node.id)
                if other != START_NODE:
                    # flytekit looks each of these up among the workflow's own nodes.
                    node.upstream_node_ids.append(other)
        for binding in self.template.outputs:
            for promise in promises(binding.binding):
                promise.node_id = promise.node_id or START_NODE
                if promise.node_id == START_NODE or promise.node_id in self.nodes:
                    self._edge(promise.node_id, END_NODE)
        for node_id in self.nodes:
            if not self.upstream[node_id]:
                self._edge(START_NODE, node_id)
            if not self.downstream[node_id]:
                self._edge(node_id, END_NODE)

    def _edge(self, before: str, after: str) -> None:
        self.upstream[after].add(before)
        self.downstream[before].add(after)

    def _walk(self) -> None:
        """Depth first from the start: a back edge is a cycle, what is left over is unreachable."""
        done: set[str] = set()
        path: list[str] = [START_NODE]
        on_path = {START_NODE}
        waiting = [iter(sorted(self.downstream[START_NODE]))]
        while path:
            after = next(waiting[-1], None)
            if after is None:
                done.add(path[-1])
                on_path.discard(path.pop())
                waiting.pop()
            elif after in on_path:
                cycle = ">".join([*path[path.index(after) :], after])
                self.problems.add("CycleDetected", after, f"A cycle has been detected [{cycle}].")
                return
            elif after not in done:
                path.append(after)
                on_path.add(after)
                waiting.append(iter(sorted(self.downstream[after])))
        if lost := sorted(set(self.nodes) - done):
            text = f"The Workflow contain unreachable nodes [{','.join(lost)}]."
            self.problems.add("UnreachableNodes", START_NODE, text)

    def _compiled(self) -> compiler_pb2.CompiledWorkflow:
        start, end = workflow_pb2.Node(id=START_NODE), workflow_pb2.Node(id=END_NODE)
        end.inputs.extend(self.template.outputs)
        nodes = [start, end, *self.nodes.values()]
        del self.template.nodes[:]
        self.template.nodes.extend(nodes)
        compiled = compiler_pb2.CompiledWorkflow(template=self.template)
        _fill(compiled.connections.upstream, self.upstream)
        _fill(compiled.connections.downstream, self.downstream)
        return compiled


def _fill(target: Any, edges: dict[str, set[str]]) -> None:
    for node_id in sorted(edges):
        if edges[node_id]:
            target[node_id].ids.extend(sorted(edges[node_id]))
