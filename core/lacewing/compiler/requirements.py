"""What a workflow needs besides itself: the tasks and launch plans that its nodes name. Pure.

Rules: propeller.md, section 1.1. Every node counts: in sub-workflows, branches, arrays, and for failures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flyteidl.core import identifier_pb2, workflow_pb2

from lacewing.model.closure import Key, arms, identifier_key


@dataclass(frozen=True)
class Requirements:
    """Identifiers, each once, sorted. A launch plan of the workflow itself is not asked for."""

    tasks: tuple[identifier_pb2.Identifier, ...]
    launch_plans: tuple[identifier_pb2.Identifier, ...]


def requirements(
    template: workflow_pb2.WorkflowTemplate, sub_workflows: Iterable[workflow_pb2.WorkflowTemplate] = ()
) -> Requirements:
    """What must be looked up before `compile_workflow`, for all sub-workflows that nodes lead to."""
    tasks: dict[Key, identifier_pb2.Identifier] = {}
    plans: dict[Key, identifier_pb2.Identifier] = {}
    primary = identifier_key(template.id)
    for workflow in reached(template, sub_workflows):
        own = {primary, identifier_key(workflow.id)}
        for node in every_node(workflow):
            if node.HasField("task_node") and node.task_node.HasField("reference_id"):
                tasks[identifier_key(node.task_node.reference_id)] = node.task_node.reference_id
            elif node.workflow_node.HasField("launchplan_ref"):
                key = identifier_key(node.workflow_node.launchplan_ref)
                if key not in own:
                    plans[key] = node.workflow_node.launchplan_ref
    return Requirements(*(tuple(found[key] for key in sorted(found)) for found in (tasks, plans)))


def reached(
    template: workflow_pb2.WorkflowTemplate, sub_workflows: Iterable[workflow_pb2.WorkflowTemplate]
) -> list[workflow_pb2.WorkflowTemplate]:
    """The workflow itself and the sub-workflows that it leads to, those in the order in which they came."""
    known = {identifier_key(one.id): one for one in sub_workflows}
    seen = {identifier_key(template.id)}
    waiting = [template]
    while waiting:
        for _, key in references(waiting.pop()):
            if key in known and key not in seen:
                seen.add(key)
                waiting.append(known[key])
    return [template, *(one for key, one in known.items() if key in seen and one is not template)]


def references(workflow: workflow_pb2.WorkflowTemplate) -> Iterator[tuple[str, Key]]:
    """The sub-workflows that a workflow's nodes name, each with the node's id."""
    for node in every_node(workflow):
        if node.workflow_node.HasField("sub_workflow_ref"):
            yield node.id, identifier_key(node.workflow_node.sub_workflow_ref)


def every_node(workflow: workflow_pb2.WorkflowTemplate) -> Iterator[workflow_pb2.Node]:
    """The nodes of a workflow, those inside of branches and arrays and the failure node too."""
    for node in workflow.nodes:
        yield from with_inner(node)
    if workflow.HasField("failure_node"):
        yield from with_inner(workflow.failure_node)


def with_inner(node: workflow_pb2.Node) -> Iterator[workflow_pb2.Node]:
    """A node and all that are inside of it."""
    yield node
    for arm in arms(node):
        yield from with_inner(arm)
    if node.HasField("array_node"):
        yield from with_inner(node.array_node.node)
