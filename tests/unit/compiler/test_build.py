"""What the compiler makes of a workflow, and the words that the reference server used for broken ones."""

import json

import pytest
from drafts import INTEGER, NONE, STRING, Draft, Ref, compare, every_kind, give, identifier, union
from flyteidl.admin import workflow_pb2 as admin_pb2
from flyteidl.core import identifier_pb2
from google.protobuf.json_format import ParseDict
from lacewing.compiler.problems import CompileError
from lacewing.compiler.requirements import every_node, requirements
from lacewing.compiler.task import compile_task
from lacewing.errors import InvalidArgument
from lacewing.model.graph import NodeKind, build_graph
from recorded import DATA

RECORDED = [
    one
    for one in json.loads((DATA / "answers.json").read_text())
    if one.get("rpc") == "AdminService/CreateWorkflow" and "Collected Errors" in one.get("details", "")
]


def chain() -> Draft:
    """n0 reads the workflow's input, n1 reads n0, n2 comes after n1 and reads n0."""
    draft = Draft()
    draft.task("add", {"o0": INTEGER}, a=INTEGER, b=INTEGER)
    draft.template.interface.inputs.variables["x"].type.CopyFrom(INTEGER)
    draft.run(draft.node("n0"), "add", a=Ref("", "x"), b=1)
    node = draft.run(draft.node("n1"), "add", a=Ref("n0"), b=2)
    node.metadata.retries.retries, node.metadata.timeout.seconds = 2, 7
    draft.run(draft.node("n2"), "add", a=Ref("n0"), b=3).upstream_node_ids.extend(["n1", "n0"])
    return draft


def upstream(draft: Draft) -> dict[str, list[str]]:
    connections = draft.compile().primary.connections
    down = {(before, after) for before, ids in connections.downstream.items() for after in ids.ids}
    up = {(before, after) for after, ids in connections.upstream.items() for before in ids.ids}
    assert down <= up
    return {key: list(ids.ids) for key, ids in connections.upstream.items()}


def test_a_chain_gets_its_boundaries_and_edges():
    closure = chain().compile()
    nodes = closure.primary.template.nodes
    assert [node.id for node in nodes] == ["start-node", "end-node", "n0", "n1", "n2"]
    assert upstream(chain()) == {
        "n0": ["start-node"],
        "n1": ["n0"],
        "n2": ["n0", "n1"],
        "end-node": ["n2"],
    }
    assert nodes[2].inputs[0].binding.promise.node_id == "start-node"
    assert not nodes[2].upstream_node_ids, "the start node is never named there"
    assert list(nodes[4].upstream_node_ids) == ["n0", "n1"]
    graph = build_graph(closure)
    assert graph.node("end-node").kind is NodeKind.END
    assert (graph.node("n1").max_attempts, graph.node("n1").timeout_seconds) == (3, 7.0)


def test_a_node_that_reads_nothing_follows_the_start_and_one_that_nobody_reads_precedes_the_end():
    draft = chain()
    draft.run(draft.node("n3"), "add", a=1, b=2)
    found = upstream(draft)
    assert found["n3"] == ["start-node"]
    assert found["end-node"] == ["n2", "n3"]


def test_a_repeated_node_counts_once():
    draft = chain()
    draft.template.nodes.append(draft.find("n0"))
    assert len(draft.compile().primary.template.nodes) == 5


def test_what_is_given_is_left_as_it_was():
    draft = every_kind()
    before = draft.template.SerializeToString(deterministic=True)
    draft.compile()
    assert draft.template.SerializeToString(deterministic=True) == before


def test_the_same_comes_out_whatever_the_order_of_what_is_looked_up():
    one, other = every_kind(), every_kind()
    other.tasks = dict(reversed(other.tasks.items()))
    assert one.compile().SerializeToString(deterministic=True) == other.compile().SerializeToString(
        deterministic=True
    )


def test_a_branch_comes_after_all_that_its_arms_read():
    draft = chain()
    branch = compare(draft.node("n3", x=Ref("", "x")), "x", 1)
    choice = branch.branch_node.if_else
    choice.error.message = "neither"
    inner = choice.case.then_node
    inner.id = "n0"
    compare(give(inner, y=Ref("n0")), "y", 2).branch_node.if_else.error.message = "neither"
    inner.branch_node.if_else.case.then_node.id = "n0"
    inner.upstream_node_ids.append("nobody")
    draft.run(inner.branch_node.if_else.case.then_node, "add", a=Ref("n1"), b=0)
    found = upstream(draft)
    assert found["n3"] == ["n0", "n1", "start-node"]
    assert found["n3-n0"] == ["n0"]
    assert found["n3-n0-n0"] == ["n1"]
    assert [node.id for node in every_node(draft.compile().primary.template)][-3:] == [
        "n3",
        "n3-n0",
        "n3-n0-n0",
    ]


def test_an_alias_is_what_others_read():
    draft = chain()
    draft.find("n0").output_aliases.add(var="o0", alias="sum")
    give(draft.find("n1"), a=Ref("n0", "sum"))
    give(draft.find("n2"), a=Ref("n0", "sum"))
    assert upstream(draft)["n1"] == ["n0"]


def test_an_approved_value_keeps_its_type_through_many_gates_in_any_order():
    draft = chain()
    for at in range(1, 30):
        before = Ref("n0") if at == 29 else Ref(f"g{at + 1}", "v")
        draft.node(f"g{at}", v=before).gate_node.approve.signal_id = f"s{at}"
    give(draft.find("n2"), b=Ref("g1", "v"))
    draft.compile()
    draft.task("read", {}, text=STRING)
    draft.run(draft.node("n4"), "read", text=Ref("g1", "v"))
    with pytest.raises(CompileError, match=r"'g1.v' has type \[simple:INTEGER\]"):
        draft.compile()


def test_an_optional_input_may_stay_unbound():
    draft = chain()
    draft.task("maybe", {}, a=union(INTEGER, NONE))
    draft.run(draft.node("n3"), "maybe")
    draft.compile()


def test_a_launch_plan_of_the_workflow_itself_is_not_looked_up():
    draft = chain()
    itself = identifier("wf", identifier_pb2.LAUNCH_PLAN)
    draft.node("n3", x=Ref("n0")).workflow_node.launchplan_ref.CopyFrom(itself)
    assert not requirements(draft.template).launch_plans
    draft.compile()
    give(draft.find("n3"), x="text")
    with pytest.raises(CompileError, match="Node Id: n3"):
        draft.compile()


def test_what_a_workflow_needs_is_named_once_and_sorted():
    draft = every_kind()
    found = requirements(draft.template, draft.subs.values())
    assert [one.name for one in found.tasks] == ["add", "all", "clean", "inc", "make"]
    assert [one.name for one in found.launch_plans] == ["plan"]
    assert [one.template.id.name for one in draft.compile().tasks] == ["add", "all", "clean", "inc", "make"]


def test_a_sub_workflow_that_nothing_leads_to_is_left_out():
    draft = every_kind()
    draft.task("unused", {})
    draft.sub("other", "unused")
    draft.subs["other"].nodes[0].task_node.reference_id.name = "gone"
    assert [one.template.id.name for one in draft.compile().sub_workflows] == ["sub"]
    assert "gone" not in [one.name for one in requirements(draft.template, draft.subs.values()).tasks]


def test_a_hundred_levels_of_sub_workflows_compile():
    draft = chain()
    draft.sub("level0", "add")
    for at in range(1, 100):
        draft.sub(f"level{at}", "add")
        node = draft.subs[f"level{at}"].nodes[0]
        node.workflow_node.sub_workflow_ref.CopyFrom(draft.subs[f"level{at - 1}"].id)
    top = draft.node("n3", a=1, b=2)
    top.workflow_node.sub_workflow_ref.CopyFrom(draft.subs["level99"].id)
    assert len(draft.compile().sub_workflows) == 100


@pytest.mark.parametrize("answer", RECORDED, ids=lambda one: one["request"]["id"]["name"])
def test_a_broken_workflow_is_told_in_the_recorded_words(answer: dict):
    draft = Draft()
    draft.task("probe.t", {"o0": INTEGER}, a=INTEGER)
    request = ParseDict(answer["request"], admin_pb2.WorkflowCreateRequest())
    draft.template.CopyFrom(request.spec.template)
    with pytest.raises(CompileError) as caught:
        draft.compile()
    assert answer["details"].endswith(f"with err: {caught.value.message}")


def test_a_task_that_cannot_run_is_refused_by_name():
    broken = chain().tasks["add"]
    broken.container.SetInParent()
    with pytest.raises(InvalidArgument, match="missing image; a task with inputs or outputs needs"):
        compile_task(broken)
    broken.container.image = "example.org/i"
    broken.container.args.append("run")
    broken.container.resources.requests.add(name=1, value="lots")
    with pytest.raises(InvalidArgument, match="CPU request failed for value lots"):
        compile_task(broken)
