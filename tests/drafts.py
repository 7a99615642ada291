"""Workflow templates written by hand: tasks by their types, nodes by what they are given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyteidl.core import (
    compiler_pb2,
    identifier_pb2,
    interface_pb2,
    literals_pb2,
    tasks_pb2,
    types_pb2,
    workflow_pb2,
)
from flyteidl.core.types_pb2 import LiteralType
from lacewing.compiler.build import compile_workflow
from lacewing.compiler.nodes import LaunchPlanInterface

INTEGER, FLOAT, STRING, BOOLEAN, STRUCT, NONE = (
    LiteralType(simple=kind)
    for kind in (
        types_pb2.INTEGER,
        types_pb2.FLOAT,
        types_pb2.STRING,
        types_pb2.BOOLEAN,
        types_pb2.STRUCT,
        types_pb2.NONE,
    )
)
COLOUR = LiteralType(enum_type=types_pb2.EnumType(values=["red", "blue"]))


def listed(kind: LiteralType) -> LiteralType:
    """A list of that type."""
    return LiteralType(collection_type=kind)


def mapped(kind: LiteralType) -> LiteralType:
    """A map to that type."""
    return LiteralType(map_value_type=kind)


def union(*variants: LiteralType) -> LiteralType:
    """A union of those types."""
    return LiteralType(union_type=types_pb2.UnionType(variants=variants))


def dataclass_of(**fields: LiteralType) -> LiteralType:
    """A struct that tells its fields."""
    return LiteralType(simple=types_pb2.STRUCT, structure=types_pb2.TypeStructure(dataclass_type=fields))


@dataclass(frozen=True)
class Ref:
    """A promise: what another node gives. No node is the workflow's own input."""

    node: str
    var: str = "o0"
    path: tuple[str | int, ...] = ()


def identifier(name: str, kind: int) -> identifier_pb2.Identifier:
    """An identifier of version v1."""
    return identifier_pb2.Identifier(
        resource_type=kind,  # type: ignore[arg-type]
        project="flytesnacks",
        domain="development",
        name=name,
        version="v1",
    )


def scalar(value: Any) -> literals_pb2.Scalar:
    """A constant of Python as a scalar."""
    if value is None:
        return literals_pb2.Scalar(none_type=literals_pb2.Void())
    names = {bool: "boolean", int: "integer", float: "float_value", str: "string_value"}
    return literals_pb2.Scalar(primitive=literals_pb2.Primitive(**{names[type(value)]: value}))


def bind(data: literals_pb2.BindingData, value: Any) -> None:
    """Bind a promise, a constant, a message, or a list or map of them."""
    if isinstance(value, Ref):
        data.promise.node_id, data.promise.var = value.node, value.var
        for step in value.path:
            key = "int_value" if isinstance(step, int) else "string_value"
            data.promise.attr_path.add(**{key: step})
    elif isinstance(value, list):
        data.collection.SetInParent()
        for item in value:
            bind(data.collection.bindings.add(), item)
    elif isinstance(value, dict):
        data.map.SetInParent()
        for key, item in value.items():
            bind(data.map.bindings[key], item)
    elif isinstance(value, literals_pb2.LiteralOffloadedMetadata):
        data.offloaded_metadata.CopyFrom(value)
    else:
        data.scalar.CopyFrom(value if isinstance(value, literals_pb2.Scalar) else scalar(value))


def give(node: workflow_pb2.Node, **values: Any) -> workflow_pb2.Node:
    """Bind a node's inputs, those that are bound already anew."""
    for name, value in values.items():
        data = next((one.binding for one in node.inputs if one.var == name), None)
        if data is None:
            data = node.inputs.add(var=name).binding
        data.Clear()
        bind(data, value)
    return node


@dataclass
class Draft:
    """A workflow while it is written, with all that its nodes name."""

    template: workflow_pb2.WorkflowTemplate = field(default_factory=workflow_pb2.WorkflowTemplate)
    tasks: dict[str, tasks_pb2.TaskTemplate] = field(default_factory=dict)
    subs: dict[str, workflow_pb2.WorkflowTemplate] = field(default_factory=dict)
    plans: dict[str, LaunchPlanInterface] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.template.id.CopyFrom(identifier("wf", identifier_pb2.WORKFLOW))

    def task(self, name: str, outputs: Mapping[str, LiteralType], **inputs: LiteralType) -> None:
        """Declare a task."""
        template = tasks_pb2.TaskTemplate(type="python-task", id=identifier(name, identifier_pb2.TASK))
        for var, kind in inputs.items():
            template.interface.inputs.variables[var].type.CopyFrom(kind)
        for var, kind in outputs.items():
            template.interface.outputs.variables[var].type.CopyFrom(kind)
        self.tasks[name] = template

    def sub(self, name: str, task: str) -> None:
        """Declare a workflow of one node `n0` that runs a task."""
        template = workflow_pb2.WorkflowTemplate(id=identifier(name, identifier_pb2.WORKFLOW))
        template.interface.CopyFrom(self.tasks[task].interface)
        node = self.run(template.nodes.add(id="n0"), task)
        give(node, **{var: Ref("", var) for var in template.interface.inputs.variables})
        for var in template.interface.outputs.variables:
            bind(template.outputs.add(var=var).binding, Ref("n0", var))
        self.subs[name] = template

    def plan(self, name: str, task: str, *defaults: str) -> None:
        """Declare a launch plan with a task's interface, some inputs of which have defaults."""
        plan = LaunchPlanInterface(
            identifier(name, identifier_pb2.LAUNCH_PLAN),
            launch_plan_inputs(self.tasks[task], defaults),
            self.tasks[task].interface.outputs,
        )
        self.plans[name] = plan

    def node(self, node_id: str, **values: Any) -> workflow_pb2.Node:
        """Add a node that is no kind yet."""
        return give(self.template.nodes.add(id=node_id), **values)

    def run(self, node: workflow_pb2.Node, task: str, **values: Any) -> workflow_pb2.Node:
        """Make a node run a task."""
        node.task_node.reference_id.CopyFrom(self.tasks[task].id)
        return give(node, **values)

    def find(self, node_id: str) -> workflow_pb2.Node:
        """A node of the workflow itself."""
        return next(node for node in self.template.nodes if node.id == node_id)

    def compile(self) -> compiler_pb2.CompiledWorkflowClosure:
        """Compile it."""
        tasks = [compiler_pb2.CompiledTask(template=one) for one in self.tasks.values()]
        return compile_workflow(self.template, tasks, list(self.subs.values()), self.plans.values())


def launch_plan_inputs(task: tasks_pb2.TaskTemplate, defaults: tuple[str, ...]) -> interface_pb2.ParameterMap:
    """What a launch plan may be given: all that a task takes, of which some have defaults."""
    expected = interface_pb2.ParameterMap()
    for name, variable in task.interface.inputs.variables.items():
        expected.parameters[name].var.CopyFrom(variable)
        if name in defaults:
            expected.parameters[name].default.scalar.none_type.SetInParent()
        else:
            expected.parameters[name].required = True
    return expected


def compare(node: workflow_pb2.Node, left: str, right: Any) -> workflow_pb2.Node:
    """Make a node a branch whose one case holds where `left` is more than `right`."""
    comparison = node.branch_node.if_else.case.condition.comparison
    comparison.operator = 2
    comparison.left_value.var = left
    comparison.right_value.primitive.CopyFrom(scalar(right).primitive)
    return node


def every_kind() -> Draft:
    """A workflow that has every kind of node and compiles.

    n0 task · n1 branch (arms n0: task, n1: sub-workflow) · n2 approve · n3 signal · n4 sleep · n5 array
    n6 launch plan · n7 array of launch plans · n8 task that takes many types · n9 task that gives them
    fn0 on failure
    """
    draft = Draft()
    draft.task("add", {"o0": INTEGER}, a=INTEGER, b=INTEGER)
    draft.task("inc", {"o0": INTEGER}, a=INTEGER)
    draft.task("clean", {}, x=INTEGER, err=union(LiteralType(simple=types_pb2.ERROR), NONE))
    point = dataclass_of(x=INTEGER, tags=listed(STRING))
    draft.task("make", {"o0": point, "o1": mapped(INTEGER)})
    takes = {
        "ints": listed(INTEGER),
        "colour": COLOUR,
        "either": union(INTEGER, STRING),
        "lists": union(listed(INTEGER), listed(STRING)),
        "maybe": union(STRING, NONE),
        "struct": point,
        "inner": INTEGER,
        "tag": STRING,
        "value": INTEGER,
    }
    draft.task("all", {"o0": INTEGER}, **takes)
    draft.sub("sub", "inc")
    draft.plan("plan", "add", "b")
    draft.template.interface.inputs.variables["x"].type.CopyFrom(INTEGER)
    draft.template.interface.outputs.variables["o0"].type.CopyFrom(INTEGER)
    draft.run(draft.node("n0"), "add", a=Ref("", "x"), b=2)
    branch = compare(draft.node("n1", which=Ref("n0")), "which", 3)
    choice = branch.branch_node.if_else
    choice.case.then_node.id = "n0"
    draft.run(choice.case.then_node, "add", a=Ref("n0"), b=1)
    choice.else_node.id = "n1"
    choice.else_node.workflow_node.sub_workflow_ref.CopyFrom(draft.subs["sub"].id)
    give(choice.else_node, a=Ref("n0"))
    draft.node("n2", ok=Ref("n1")).gate_node.approve.signal_id = "ok"
    signal = draft.node("n3").gate_node.signal
    signal.signal_id, signal.output_variable_name = "number", "number"
    signal.type.CopyFrom(INTEGER)
    draft.node("n4").gate_node.sleep.duration.seconds = 2
    array = draft.node("n5", a=[Ref("n2", "ok"), Ref("n3", "number"), 7], b=5).array_node
    draft.run(array.node, "add")
    array.is_original_sub_node_interface.value = True
    array.bound_inputs.append("b")
    plan = draft.plans["plan"].id
    draft.node("n6", a=Ref("n0")).workflow_node.launchplan_ref.CopyFrom(plan)
    draft.node("n7", a=Ref("n5")).array_node.node.workflow_node.launchplan_ref.CopyFrom(plan)
    draft.run(draft.node("n9"), "make")
    draft.run(
        draft.node("n8"),
        "all",
        ints=Ref("n7"),
        colour="red",
        either="text",
        lists=[1, Ref("n6")],
        struct=Ref("n9"),
        inner=Ref("n9", path=("x",)),
        tag=Ref("n9", path=("tags", 0)),
        value=Ref("n9", "o1", ("key",)),
    )
    draft.template.failure_node.id = "fn0"
    draft.run(draft.template.failure_node, "clean", x=Ref("", "x"), err=None)
    bind(draft.template.outputs.add(var="o0").binding, Ref("n8"))
    return draft
