"""What each kind of node asks for and gives. Pure. Rules: propeller.md, section 1.3."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flyteidl.core import identifier_pb2, interface_pb2, tasks_pb2, types_pb2, workflow_pb2
from flyteidl.core.types_pb2 import LiteralType

from lacewing.compiler.bindings import Outputs, check_bindings, not_bound
from lacewing.compiler.branches import branch_outputs
from lacewing.compiler.problems import Problems
from lacewing.compiler.types import NONE, Types, union_of
from lacewing.model.closure import Key, arms, identifier_key

Variables = Mapping[str, interface_pb2.Variable]


@dataclass(frozen=True, slots=True)
class Interface:
    """What a node asks for, None where it takes anything; and gives, None where that cannot be known."""

    inputs: Types | None
    outputs: Types | None


BROKEN = Interface(None, None)
"""Of a node whose own problem is noted already: nothing that follows from it is told too."""
NOTHING = Interface({}, {})


@dataclass(frozen=True, slots=True)
class LaunchPlanInterface:
    """What a registered launch plan may be given and gives."""

    id: identifier_pb2.Identifier
    expected_inputs: interface_pb2.ParameterMap
    expected_outputs: interface_pb2.VariableMap


@dataclass(frozen=True, slots=True)
class Known:
    """What the nodes of a closure may refer to. `own` are the workflows that launch plans may name freely."""

    tasks: Mapping[Key, tasks_pb2.TaskTemplate]
    workflows: Mapping[Key, workflow_pb2.WorkflowTemplate]
    launch_plans: Mapping[Key, LaunchPlanInterface]
    own: Mapping[Key, workflow_pb2.WorkflowTemplate]
    interfaces: dict[tuple[str, Key], Interface] = field(default_factory=dict)
    """Of tasks and sub-workflows, read once."""


class NodeOutputs(dict[str, Types | None]):
    """What each node gives, by its id. Worked out when asked for: an approved value has its source's type."""

    def __init__(self, nodes: Mapping[str, workflow_pb2.Node], known: Known, problems: Problems) -> None:
        super().__init__()
        self.inputs: dict[str, Types | None] = {}
        self._nodes, self._known, self._problems = nodes, known, problems

    def __missing__(self, node_id: str) -> Types | None:
        node = self._nodes[node_id]
        self[node_id] = None  # If it asks for itself it is in a cycle, which is told elsewhere.
        found = interface_of(node, self._known, self, self._problems)
        self.inputs[node_id] = found.inputs
        self[node_id] = outputs = aliased(node, found.outputs, self._problems)
        return outputs


def interface_of(node: workflow_pb2.Node, known: Known, outputs: Outputs, problems: Problems) -> Interface:
    """The interface of a node; notes what is wrong with what it names."""
    kind = node.WhichOneof("target")
    if kind == "task_node":
        return _task(node.id, node.task_node, known, problems)
    if kind == "workflow_node":
        return _workflow(node, node.workflow_node, known, problems)
    if kind == "branch_node":
        # What is wrong with an arm is told when the arm itself is looked at.
        gives = {arm.id: interface_of(arm, known, outputs, Problems()).outputs for arm in arms(node)}
        return Interface(None, branch_outputs(gives, problems))
    if kind == "gate_node":
        return _gate(node, outputs, problems)
    if kind == "array_node":
        return _array(node, known, problems)
    problems.need(node.id, "Target")
    return Interface(None, {})


def read_variables(variables: Variables) -> dict[str, LiteralType]:
    """The types of variables."""
    return {name: variable.type for name, variable in variables.items()}


def check_variables(variables: Variables, place: str, problems: Problems) -> None:
    """Note a variable without a name or a type."""
    for name, variable in variables.items():
        if not name:
            problems.need(place, "paramName")
        if variable.type.WhichOneof("type") is None:
            problems.need(place, f"{name}.Type")


def _task(node_id: str, node: workflow_pb2.TaskNode, known: Known, problems: Problems) -> Interface:
    if not node.HasField("reference_id"):
        problems.need(node_id, "TaskNode.ReferenceId")
        return BROKEN
    key = identifier_key(node.reference_id)
    if key not in known.tasks:
        if _is_kind(node_id, node.reference_id, identifier_pb2.TASK, problems):
            text = f"Referenced Task [{':'.join(key)}] not found."
            problems.add("TaskReferenceNotFound", node_id, text)
        return BROKEN
    return _read("task", key, known.tasks[key].interface, known)


def _read(kind: str, key: Key, interface: interface_pb2.TypedInterface, known: Known) -> Interface:
    if (kind, key) not in known.interfaces:
        known.interfaces[kind, key] = Interface(
            read_variables(interface.inputs.variables), read_variables(interface.outputs.variables)
        )
    return known.interfaces[kind, key]


def _is_kind(node_id: str, found: identifier_pb2.Identifier, wanted: int, problems: Problems) -> bool:
    """Whether an identifier names what its place asks for, or does not say."""
    if found.resource_type in (identifier_pb2.UNSPECIFIED, wanted):
        return True
    names = [identifier_pb2.ResourceType.Name(kind) for kind in (wanted, found.resource_type)]
    problems.add("InconsistentTypes", node_id, f"Expected type: {names[0]} but found {names[1]}")
    return False


def _workflow(
    node: workflow_pb2.Node, target: workflow_pb2.WorkflowNode, known: Known, problems: Problems
) -> Interface:
    kind = target.WhichOneof("reference")
    if kind == "launchplan_ref":
        return _launch_plan(node, target.launchplan_ref, known, problems)
    if kind is None:
        problems.need(node.id, "WorkflowNode.Reference")
        return BROKEN
    key = identifier_key(target.sub_workflow_ref)
    if key in known.workflows:
        return _read("workflow", key, known.workflows[key].interface, known)
    if _is_kind(node.id, target.sub_workflow_ref, identifier_pb2.WORKFLOW, problems):
        text = f"Referenced Workflow [{':'.join(key)}] not found."
        problems.add("WorkflowReferenceNotFound", node.id, text)
    return BROKEN


def _launch_plan(
    node: workflow_pb2.Node, reference: identifier_pb2.Identifier, known: Known, problems: Problems
) -> Interface:
    key = identifier_key(reference)
    if key in known.own:
        return _read("workflow", key, known.own[key].interface, known)
    plan = known.launch_plans.get(key)
    if plan is None:
        if _is_kind(node.id, reference, identifier_pb2.LAUNCH_PLAN, problems):
            text = f"Referenced Workflow [{':'.join(key)}] not found."
            problems.add("WorkflowReferenceNotFound", node.id, text)
        return BROKEN
    given = {binding.var for binding in node.inputs}
    exposed = {
        name: parameter.var
        for name, parameter in plan.expected_inputs.parameters.items()
        if parameter.required or name in given
    }
    return Interface(read_variables(exposed), read_variables(plan.expected_outputs.variables))


def _gate(node: workflow_pb2.Node, outputs: Outputs, problems: Problems) -> Interface:
    condition = node.gate_node.WhichOneof("condition")
    if condition == "approve":
        return Interface(None, check_bindings(node.id, node.inputs, None, outputs, Problems()).types)
    if condition == "sleep":
        return NOTHING
    if condition is None:
        text = f"Can't find any condition in gate node [{node.id}]."
        problems.add("NoConditionFound", node.id, text)
        return BROKEN
    signal = node.gate_node.signal
    if not signal.HasField("type") or signal.type.WhichOneof("type") is None:
        problems.need(node.id, "GateNode.Signal.Type")
    elif not signal.output_variable_name:
        problems.need(node.id, "GateNode.Signal.OutputVariableName")
    else:
        return Interface({}, {signal.output_variable_name: signal.type})
    return BROKEN


def _array(node: workflow_pb2.Node, known: Known, problems: Problems) -> Interface:
    """That of the inner node. One which is not list-typed yet, as of a launch plan, is lifted to lists."""
    array, inner = node.array_node, node.array_node.node
    kind = inner.WhichOneof("target")
    if kind == "task_node":
        found = _task(node.id, inner.task_node, known, problems)
        lifted = array.is_original_sub_node_interface.value
    elif kind == "workflow_node" and inner.workflow_node.HasField("launchplan_ref"):
        found = _launch_plan(node, inner.workflow_node.launchplan_ref, known, problems)
        lifted = True
    else:
        text = f"An array runs a task or a launch plan; [{kind or 'nothing'}] was given."
        problems.add("WorkflowBuildError", node.id, text)
        return BROKEN
    if not lifted or found.inputs is None or found.outputs is None:
        return found
    may_fail = array.WhichOneof("success_criteria") == "min_success_ratio" and array.min_success_ratio != 1
    return Interface(
        {name: kind if name in array.bound_inputs else _listed(kind) for name, kind in found.inputs.items()},
        {name: _listed(union_of([kind, NONE]) if may_fail else kind) for name, kind in found.outputs.items()},
    )


def _listed(kind: LiteralType) -> LiteralType:
    return types_pb2.LiteralType(collection_type=kind)


def aliased(node: workflow_pb2.Node, outputs: Types | None, problems: Problems) -> Types | None:
    """What a node gives under the names that others see."""
    if outputs is None or not node.output_aliases:
        return outputs
    names: dict[str, str] = {}
    for alias in node.output_aliases:
        if alias.alias in names.values() or alias.var in names:
            text = f"Duplicate alias [{alias.alias}] found. An output alias can only be used once."
            problems.add("DuplicateAlias", node.id, text)
        elif alias.var not in outputs:
            not_bound(node.id, alias.alias, problems)
        else:
            names[alias.var] = alias.alias
    return {names.get(name, name): kind for name, kind in outputs.items()}


def index_tasks(
    templates: Iterable[tasks_pb2.TaskTemplate], problems: Problems
) -> dict[Key, tasks_pb2.TaskTemplate]:
    """Tasks by their names, the first of each; notes a second one that does not take and give the same."""
    found: dict[Key, tasks_pb2.TaskTemplate] = {}
    for template in templates:
        key = identifier_key(template.id)
        first = found.setdefault(key, template)
        if first is not template and first.interface != template.interface:
            text = f"Interfaces of two tasks of the name [{':'.join(key)}] do not match."
            problems.add("MismatchingInterfaces", template.id.name, text)
    for template in found.values():
        for variables in (template.interface.inputs.variables, template.interface.outputs.variables):
            check_variables(variables, template.id.name, problems)
    return found
