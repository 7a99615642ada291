"""Every code of a problem: what makes it, and the node that it names."""

import typing
from collections.abc import Callable

import pytest
from drafts import FLOAT, NONE, STRING, Draft, Ref, bind, every_kind, give, union
from flyteidl.core import identifier_pb2, literals_pb2, types_pb2
from lacewing.compiler.problems import Code, CompileError, Problems
from lacewing.compiler.task import check_task

Break = Callable[[Draft], object]
CASES: list[tuple[str, str, Break]] = []


def case(code: str, node_id: str) -> Callable[[Break], Break]:
    """This breaks the workflow so."""

    def note(what: Break) -> Break:
        CASES.append((code, node_id, what))
        return what

    return note


def choice(draft: Draft) -> typing.Any:
    return draft.find("n1").branch_node.if_else


def retype(draft: Draft, task: str, kind: types_pb2.LiteralType) -> None:
    draft.tasks[task].interface.outputs.variables["o0"].type.CopyFrom(kind)


@case("NoNodesFound", "flytesnacks:development:wf:v1")
def _(draft: Draft) -> None:
    del draft.template.nodes[:]


@case("NoNodesFound", "flytesnacks:development:sub:v1")
def _(draft: Draft) -> None:
    del draft.subs["sub"].nodes[:]


@case("NoEntryNodeFound", "flytesnacks:development:wf:v1")
def _(draft: Draft) -> None:
    only = draft.find("n4")
    only.id = "end-node"
    del draft.template.nodes[:]
    draft.template.nodes.append(only)
    del draft.template.outputs[:]
    draft.template.interface.Clear()
    draft.template.ClearField("failure_node")


@case("CycleDetected", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").upstream_node_ids.append("n6")


@case("CycleDetected", "n1")
def _(draft: Draft) -> None:
    # An arm waits for what waits for the branch.
    give(choice(draft).case.then_node, a=Ref("n2", "ok"))


@case("CycleDetected", "n0")
def _(draft: Draft) -> None:
    # A workflow inside of itself.
    draft.subs["sub"].nodes[0].workflow_node.sub_workflow_ref.CopyFrom(draft.subs["sub"].id)


@case("UnreachableNodes", "start-node")
def _(draft: Draft) -> None:
    give(draft.find("n6"), a=Ref("n6"))


@case("BranchNodeHasNoCondition", "n1")
def _(draft: Draft) -> None:
    choice(draft).case.ClearField("condition")


@case("BranchNodeHasNoCondition", "n1")
def _(draft: Draft) -> None:
    choice(draft).ClearField("case")


@case("BranchNodeHasNoDefault", "n1")
def _(draft: Draft) -> None:
    choice(draft).ClearField("else_node")


@case("BranchNodeIdNotFound", "n1")
def _(draft: Draft) -> None:
    choice(draft).case.ClearField("then_node")


@case("ValueRequired", "n1")
def _(draft: Draft) -> None:
    choice(draft).case.condition.comparison.ClearField("right_value")


@case("ValueRequired", "n1")
def _(draft: Draft) -> None:
    choice(draft).case.condition.Clear()
    choice(draft).case.condition.SetInParent()


@case("ValueRequired", "n4")
def _(draft: Draft) -> None:
    draft.find("n4").ClearField("gate_node")


@case("ValueRequired", "n3")
def _(draft: Draft) -> None:
    draft.find("n3").gate_node.signal.ClearField("type")


@case("ValueRequired", "n3")
def _(draft: Draft) -> None:
    draft.find("n3").gate_node.signal.output_variable_name = ""


@case("ValueRequired", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").inputs[1].ClearField("binding")


@case("ValueRequired", "n6")
def _(draft: Draft) -> None:
    draft.find("n6").workflow_node.ClearField("launchplan_ref")


@case("ValueRequired", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").task_node.ClearField("reference_id")


@case("ValueRequired", "<node>")
def _(draft: Draft) -> None:
    draft.find("n4").id = ""


@case("ValueRequired", "start-node")
def _(draft: Draft) -> None:
    draft.template.interface.inputs.variables["y"].description = "of no type"


@case("ValueRequired", "end-node")
def _(draft: Draft) -> None:
    draft.template.interface.outputs.variables[""].type.CopyFrom(NONE)


@case("InvalidValue", "n1")
def _(draft: Draft) -> None:
    # None has no order, though it may be compared for equality.
    choice(draft).case.condition.comparison.right_value.scalar.none_type.SetInParent()


@case("NodeReferenceNotFound", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), ints=[Ref("nope")])


@case("NodeReferenceNotFound", "n8")
def _(draft: Draft) -> None:
    # Nobody may read an arm; only the branch.
    give(draft.find("n8"), either=Ref("n1-n0"))


@case("NodeReferenceNotFound", "n8")
def _(draft: Draft) -> None:
    # In a list for a union the missing node explains more than that no variant fits.
    give(draft.find("n8"), lists=[Ref("nope")])


@case("NodeReferenceNotFound", "n4")
def _(draft: Draft) -> None:
    draft.find("n4").upstream_node_ids.append("nope")


@case("TaskReferenceNotFound", "n1-n0")
def _(draft: Draft) -> None:
    choice(draft).case.then_node.task_node.reference_id.version = "v2"


@case("TaskReferenceNotFound", "n5")
def _(draft: Draft) -> None:
    draft.find("n5").array_node.node.task_node.reference_id.version = "v2"


@case("TaskReferenceNotFound", "fn0")
def _(draft: Draft) -> None:
    draft.template.failure_node.task_node.reference_id.version = "v2"


@case("WorkflowReferenceNotFound", "n1-n1")
def _(draft: Draft) -> None:
    draft.subs.clear()


@case("WorkflowReferenceNotFound", "n6")
def _(draft: Draft) -> None:
    draft.plans.clear()


@case("InconsistentTypes", "n6")
def _(draft: Draft) -> None:
    draft.find("n6").workflow_node.launchplan_ref.CopyFrom(draft.tasks["add"].id)


@case("InconsistentTypes", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").task_node.reference_id.resource_type = identifier_pb2.LAUNCH_PLAN
    draft.find("n0").task_node.reference_id.name = "plan"


@case("VariableNameNotFound", "n0")
def _(draft: Draft) -> None:
    give(draft.find("n0"), z=1)


@case("VariableNameNotFound", "n2")
def _(draft: Draft) -> None:
    give(draft.find("n5"), a=[Ref("n2", "nope")])


@case("VariableNameNotFound", "n1")
def _(draft: Draft) -> None:
    choice(draft).case.condition.comparison.left_value.var = "nope"


@case("VariableNameNotFound", "n6")
def _(draft: Draft) -> None:
    give(draft.find("n6"), fixed=1)


@case("VariableNameNotFound", "end-node")
def _(draft: Draft) -> None:
    bind(draft.template.outputs.add(var="o1").binding, 1)


@case("DuplicateAlias", "n0")
def _(draft: Draft) -> None:
    draft.tasks["add"].interface.outputs.variables["o1"].type.CopyFrom(NONE)
    for name in ("o0", "o1"):
        draft.find("n0").output_aliases.add(var=name, alias="same")


@case("ParameterNotBound", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").output_aliases.add(var="nope", alias="other")


@case("ParameterNotBound", "n0")
def _(draft: Draft) -> None:
    del draft.find("n0").inputs[1]


@case("ParameterNotBound", "n7")
def _(draft: Draft) -> None:
    del draft.find("n7").inputs[:]


@case("ParameterNotBound", "end-node")
def _(draft: Draft) -> None:
    del draft.template.outputs[:]


@case("DuplicateId", "flytesnacks:development:sub:v1")
def _(draft: Draft) -> None:
    draft.subs["again"] = draft.subs["sub"]


@case("MismatchingTypes", "n0")
def _(draft: Draft) -> None:
    give(draft.find("n0"), b=0.5)


@case("MismatchingTypes", "n1-n0")
def _(draft: Draft) -> None:
    give(choice(draft).case.then_node, b="text")


@case("MismatchingTypes", "n1-n1")
def _(draft: Draft) -> None:
    # Arms that give different types under one name.
    draft.subs["sub"].interface.outputs.variables["o0"].type.CopyFrom(STRING)


@case("MismatchingTypes", "n1")
def _(draft: Draft) -> None:
    choice(draft).case.condition.comparison.right_value.primitive.string_value = "three"


@case("MismatchingTypes", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), inner=Ref("n6", "[0].o0"))


@case("MismatchingTypes", "n8")
def _(draft: Draft) -> None:
    draft.find("n7").array_node.min_success_ratio = 0.5


@case("MismatchingTypes", "fn0")
def _(draft: Draft) -> None:
    give(draft.template.failure_node, x="text")


@case("MismatchingTypes", "n0")
def _(draft: Draft) -> None:
    # In a sub-workflow: the node is named by its id there, the workflow in the words.
    retype(draft, "inc", FLOAT)
    draft.subs["sub"].nodes[0].inputs[0].binding.promise.var = "a"
    give(draft.subs["sub"].nodes[0], a=True)


@case("MismatchingBindings", "n0")
def _(draft: Draft) -> None:
    give(draft.find("n0"), b=[1])


@case("MismatchingBindings", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), ints={"a": 1})


@case("MismatchingInterfaces", "add")
def _(draft: Draft) -> None:
    draft.tasks["other"] = type(draft.tasks["add"])()
    draft.tasks["other"].CopyFrom(draft.tasks["add"])
    retype(draft, "other", STRING)


@case("ParameterBoundMoreThanOnce", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").inputs.append(draft.find("n0").inputs[0])


@case("ValueCollision", "n1")
def _(draft: Draft) -> None:
    choice(draft).else_node.id = "n0"


@case("ValueCollision", "n1-n0")
def _(draft: Draft) -> None:
    draft.find("n4").id = "n1-n0"


@case("SyntaxError", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), inner=Ref("n7", "[x].o0"))


@case("SyntaxError", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").metadata.timeout.seconds = -1


@case("IllegalEnumValue", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), colour="green")


@case("AmbiguousBindingUnionValue", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), lists=[])


@case("AmbiguousBindingUnionValue", "n8")
def _(draft: Draft) -> None:
    twice = draft.tasks["all"].interface.inputs.variables["either"].type
    twice.CopyFrom(union(STRING, STRING))


@case("IncompatibleBindingUnionValue", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), lists=[1, "two"])


@case("NoConditionFound", "n4")
def _(draft: Draft) -> None:
    draft.find("n4").gate_node.ClearField("sleep")


@case("FieldNotFound", "n8")
def _(draft: Draft) -> None:
    give(draft.find("n8"), inner=Ref("n9", path=("z",)))


@case("InvalidLiteralType", "n0")
def _(draft: Draft) -> None:
    give(draft.find("n0"), b=literals_pb2.Scalar())


@case("InvalidLiteralType", "n0")
def _(draft: Draft) -> None:
    give(draft.find("n0"), b=literals_pb2.LiteralOffloadedMetadata(uri="s3://b/x"))


@case("WorkflowBuildError", "n0")
def _(draft: Draft) -> None:
    draft.find("n0").task_node.overrides.resources.requests.add(name=1, value="lots")


@case("WorkflowBuildError", "n5")
def _(draft: Draft) -> None:
    draft.find("n5").array_node.node.workflow_node.sub_workflow_ref.CopyFrom(draft.subs["sub"].id)


@pytest.mark.parametrize(
    ("code", "node_id", "what"), CASES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_workflow_that_is_broken_so_is_refused_with_the_code_and_the_node(
    code: str, node_id: str, what: Break
):
    draft = every_kind()
    what(draft)
    with pytest.raises(CompileError) as caught:
        draft.compile()
    assert (code, node_id) in [(one.code, one.node_id) for one in caught.value.problems], caught.value.message


def test_the_workflow_that_they_break_compiles():
    assert len(every_kind().compile().primary.template.nodes) == 12


def test_a_task_is_refused_with_the_code_and_its_name():
    draft = every_kind()
    problems = Problems()
    container, pod = draft.tasks["add"], draft.tasks["inc"]
    container.container.resources.requests.add(name=1, value="lots")
    pod.k8s_pod.pod_spec.update({"containers": [{"name": "Not a label"}]})
    for one in (container, pod, draft.tasks["clean"]):
        check_task(one, problems)
    assert [(one.code, one.node_id) for one in problems] == [
        ("ValueRequired", "add"),
        ("ValueRequired", "add"),
        ("UnrecognizedValue", "add"),
        ("InvalidValue", "inc"),
    ]


def test_every_code_is_among_them():
    assert {code for code, _, _ in CASES} | {"UnrecognizedValue"} == set(typing.get_args(Code))


def test_problems_of_many_places_are_told_together_and_those_of_a_sub_workflow_name_it():
    draft = every_kind()
    give(draft.find("n0"), b="text")
    give(draft.subs["sub"].nodes[0], a=True)
    give(draft.template.failure_node, x=[])
    with pytest.raises(CompileError) as caught:
        draft.compile()
    found = [(one.code, one.node_id, "[sub]" in one.description) for one in caught.value.problems]
    assert found == [
        ("MismatchingBindings", "fn0", False),
        ("MismatchingTypes", "n0", True),
        ("MismatchingTypes", "n0", False),
    ]


def test_many_problems_are_cut_in_the_message_and_none_is_lost():
    draft = every_kind()
    for at in range(200):
        draft.run(draft.node(f"extra{at}"), "inc", a="text")
    with pytest.raises(CompileError) as caught:
        draft.compile()
    assert len(caught.value.problems) == 200
    assert len(caught.value.message) < 5_000
    assert caught.value.message.startswith("Collected Errors: 200\n\tError 0: Code: MismatchingTypes")
    assert caught.value.message.endswith(" more\n")


def test_what_follows_from_a_missing_task_is_not_told_too():
    draft = every_kind()
    draft.find("n0").task_node.reference_id.version = "v2"
    with pytest.raises(CompileError) as caught:
        draft.compile()
    assert [(one.code, one.node_id) for one in caught.value.problems] == [("TaskReferenceNotFound", "n0")]
