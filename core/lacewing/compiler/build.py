"""Templates in, a compiled closure out: checked, with start and end nodes, edges and sorted ids. Pure.

Rules: propeller.md, sections 1.1 to 1.3 and 1.9. The result is deterministic, since a digest of it tells
whether a workflow is registered again. What the closure holds:

- `primary`, and `sub_workflows`: those that nodes lead to, each once, in the order in which they were given;
- `tasks`: those that nodes name, each once, sorted; `launch_plans` stays empty;
- in each workflow `template.nodes`: the start and the end node, then the others as given. A branch's arms
  stay inside of it, under their full ids; the failure node stays in `template.failure_node`. Every promise
  names its node;
- `connections`: both ways for nodes, upstream only for arms and the failure node: whom they read. A branch
  comes after all that its arms read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from flyteidl.core import compiler_pb2, workflow_pb2

from lacewing.compiler.bindings import check_bindings
from lacewing.compiler.branches import check_branch, collision, name_arms
from lacewing.compiler.connections import Connections, walk
from lacewing.compiler.nodes import (
    Known,
    LaunchPlanInterface,
    NodeOutputs,
    aliased,
    check_variables,
    index_tasks,
    interface_of,
    read_variables,
)
from lacewing.compiler.problems import CompileError, Problem, Problems
from lacewing.compiler.requirements import references
from lacewing.compiler.task import bad_quantities
from lacewing.compiler.types import Types
from lacewing.model.closure import Key, arms, identifier_key
from lacewing.model.ids import END_NODE, START_NODE


def compile_workflow(
    template: workflow_pb2.WorkflowTemplate,
    tasks: Iterable[compiler_pb2.CompiledTask],
    sub_workflows: Sequence[workflow_pb2.WorkflowTemplate] = (),
    launch_plans: Iterable[LaunchPlanInterface] = (),
) -> compiler_pb2.CompiledWorkflowClosure:
    """The compiled closure, over what `requirements` asked for. Raises CompileError with every problem."""
    problems = Problems()
    own = {identifier_key(template.id): template}
    known = Known(
        index_tasks((task.template for task in tasks), problems),
        {**_index_workflows(sub_workflows, problems), **own},
        {identifier_key(plan.id): plan for plan in launch_plans},
        own,
    )
    closure = compiler_pb2.CompiledWorkflowClosure()
    for key in _inside(known, template, problems):
        found, workflow = Problems(), known.workflows[key]
        place = closure.primary if key in own else closure.sub_workflows.add()
        _Workflow(place, replace(known, own={**own, key: workflow}), found).compile(workflow)
        problems += found if key in own else [_in_words(problem, workflow) for problem in found]
    if problems:
        raise CompileError(problems)
    used = sorted(key for kind, key in known.interfaces if kind == "task")
    closure.tasks.extend(compiler_pb2.CompiledTask(template=known.tasks[key]) for key in used)
    return closure


def _index_workflows(
    sub_workflows: Iterable[workflow_pb2.WorkflowTemplate], problems: Problems
) -> dict[Key, workflow_pb2.WorkflowTemplate]:
    found: dict[Key, workflow_pb2.WorkflowTemplate] = {}
    for workflow in sub_workflows:
        key = identifier_key(workflow.id)
        if key in found:
            text = "Trying to insert two nodes with the same id."
            problems.add("DuplicateId", ":".join(key), text)
        found[key] = workflow
    return found


def _inside(known: Known, template: workflow_pb2.WorkflowTemplate, problems: Problems) -> list[Key]:
    """The workflow and those inside of it, as they came; notes one inside of itself.

    A workflow that starts itself by a launch plan is not inside of itself.
    """
    names = {key: list(references(one)) for key, one in known.workflows.items()}
    primary = identifier_key(template.id)
    cycle, seen = walk(primary, lambda key: [other for _, other in names[key] if other in names])
    if cycle:
        place = next(node_id for node_id, other in names[cycle[-2]] if other == cycle[-1])
        path = ">".join(":".join(key) for key in cycle)
        problems.add("CycleDetected", place, f"A workflow may not be inside of itself [{path}].")
    return [primary, *(key for key in known.workflows if key in seen and key != primary)]


def _in_words(problem: Problem, workflow: workflow_pb2.WorkflowTemplate) -> Problem:
    return replace(problem, description=f"{problem.description} In sub-workflow [{workflow.id.name}].")


class _Workflow:
    """One workflow while it is compiled, in the place where it will be kept."""

    def __init__(self, place: compiler_pb2.CompiledWorkflow, known: Known, problems: Problems) -> None:
        self.place, self.template = place, place.template
        self.known, self.problems = known, problems
        self.nodes: dict[str, workflow_pb2.Node] = {}
        self.outputs = NodeOutputs(self.nodes, known, problems)
        self.connections = Connections()

    def compile(self, template: workflow_pb2.WorkflowTemplate) -> None:
        """Fill the place; what is there is of no use where problems were noted."""
        name = ":".join(identifier_key(template.id))
        if not template.nodes:
            self.problems.add("NoNodesFound", name, f"Can't find any nodes in workflow [{name}].")
            return
        self._copy(template)
        inputs, outputs = (getattr(template.interface, side).variables for side in ("inputs", "outputs"))
        check_variables(inputs, START_NODE, self.problems)
        check_variables(outputs, END_NODE, self.problems)
        self.outputs[START_NODE] = read_variables(inputs)
        for node in self.nodes.values():
            self._check_node(node)
        if template.HasField("failure_node"):
            self._check_failure_node(self.template.failure_node)
        self._check_end(read_variables(outputs))
        self.connections.adopt_orphans(self.nodes)
        self.connections.check(self.nodes, self.problems)
        if not self.nodes and not self.problems:
            text = f"Can't find a node to start executing Workflow [{name}]."
            self.problems.add("NoEntryNodeFound", name, text)
        self.connections.write(self.place.connections)

    def _copy(self, template: workflow_pb2.WorkflowTemplate) -> None:
        """The template with start and end before its nodes: a repeated one but once, arms under full ids."""
        self.template.CopyFrom(template)
        del self.template.nodes[:]
        self.template.nodes.add(id=START_NODE)
        self.template.nodes.add(id=END_NODE)
        inner: dict[str, workflow_pb2.Node] = {}
        for node in template.nodes:
            if not node.id:
                self.problems.need("<node>", "Id")
            elif node.id not in self.nodes and node.id not in (START_NODE, END_NODE):
                copied = self.nodes[node.id] = self.template.nodes.add()
                copied.CopyFrom(node)
                name_arms(copied, inner, self.problems)
        if template.HasField("failure_node"):
            name_arms(self.template.failure_node, inner, self.problems)
        for node_id in inner.keys() & self.nodes.keys():
            collision(node_id, node_id, self.problems)

    def _check_node(self, node: workflow_pb2.Node) -> None:
        _ = self.outputs[node.id]
        before = {other or START_NODE for other in node.upstream_node_ids}
        before |= self._reads(node, self.outputs.inputs[node.id])
        before |= self._check_arms(node)
        del node.upstream_node_ids[:]
        for other in sorted(before):
            if other != START_NODE and other not in self.nodes:
                text = f"Referenced node [{other}] not found."
                self.problems.add("NodeReferenceNotFound", node.id, text)
                continue
            self.connections.add(other, node.id)
            if other != START_NODE:
                # flytekit looks each of these up among the workflow's own nodes.
                node.upstream_node_ids.append(other)

    def _check_failure_node(self, node: workflow_pb2.Node) -> None:
        found = interface_of(node, self.known, self.outputs, self.problems)
        aliased(node, found.outputs, self.problems)
        node.upstream_node_ids.sort()
        self.connections.upstream[node.id] |= self._reads(node, found.inputs) | self._check_arms(node)

    def _check_arms(self, node: workflow_pb2.Node) -> set[str]:
        """The nodes that the arms of a branch read, those of its arms' arms too; none for another kind."""
        reads: set[str] = set()
        for arm in arms(node):
            inputs = interface_of(arm, self.known, self.outputs, self.problems).inputs
            self.connections.upstream[arm.id] |= self._reads(arm, inputs)
            arm.upstream_node_ids.sort()
            reads |= self.connections.upstream[arm.id] | self._check_arms(arm)
        return reads

    def _reads(self, node: workflow_pb2.Node, wanted: Types | None) -> set[str]:
        """The nodes whose values a node is given, after a look at all that it holds."""
        bound = check_bindings(node.id, node.inputs, wanted, self.outputs, self.problems)
        kind = node.WhichOneof("target")
        if kind == "branch_node":
            check_branch(node, bound.types, self.problems)
        elif kind == "task_node":
            for text in bad_quantities(node.task_node.overrides.resources):
                self.problems.add("WorkflowBuildError", node.id, text)
        timeout = node.metadata.timeout
        if timeout.seconds < 0 or timeout.nanos < 0:
            self.problems.add("SyntaxError", node.id, "Failed to parse element [node:metadata:timeout].")
        return bound.sources

    def _check_end(self, wanted: Types) -> None:
        end = self.template.nodes[1]
        bound = check_bindings(END_NODE, self.template.outputs, wanted, self.outputs, self.problems)
        end.inputs.extend(self.template.outputs)
        for source in bound.sources:
            self.connections.add(source, END_NODE)
