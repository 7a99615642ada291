"""What a dynamic task came up with is compiled as a workflow of its own."""

import pytest
from drafts import INTEGER, STRING, Draft, Ref, bind, every_kind, give
from flyteidl.core import dynamic_job_pb2, identifier_pb2, tasks_pb2
from lacewing.compiler.dynamic import compile_dynamic, dynamic_workflow
from lacewing.compiler.problems import CompileError
from lacewing.compiler.requirements import requirements

EXECUTION = identifier_pb2.WorkflowExecutionIdentifier(
    project="flytesnacks", domain="development", name="a1b2c3"
)


def parent() -> tasks_pb2.TaskTemplate:
    draft = Draft()
    draft.task("fan", {"o0": INTEGER}, n=INTEGER)
    task = draft.tasks["fan"]
    task.container.image = "example.org/i:1"
    task.container.config.add(key="from", value="parent")
    return task


def spec_of(draft: Draft) -> dynamic_job_pb2.DynamicJobSpec:
    return dynamic_job_pb2.DynamicJobSpec(
        nodes=draft.template.nodes,
        outputs=draft.template.outputs,
        tasks=draft.tasks.values(),
        subworkflows=draft.subs.values(),
    )


def everything() -> Draft:
    """Every kind of node, none of which reads an input of the workflow."""
    draft = every_kind()
    give(draft.find("n0"), a=1)
    return draft


def test_every_kind_of_node_may_come_from_a_dynamic_task():
    draft = everything()
    spec = spec_of(draft)
    closure = compile_dynamic(spec, parent(), EXECUTION, "n0-0-n1", draft.plans.values())
    template = closure.primary.template
    assert (template.id.project, template.id.domain, template.id.name) == (
        "flytesnacks",
        "development",
        "dynamic_n0-0-n1",
    )
    assert len(template.id.version) == 10
    assert set(template.interface.outputs.variables) == {"o0"}
    assert not template.interface.inputs.variables
    assert not template.HasField("failure_node")
    assert [one.template.id.name for one in closure.tasks] == ["add", "all", "inc", "make"]
    assert [one.template.id.name for one in closure.sub_workflows] == ["sub"]


def test_a_replay_makes_the_same_and_another_spec_another_version():
    spec = spec_of(everything())
    one, other = (dynamic_workflow(spec, parent(), EXECUTION, "n0") for _ in range(2))
    assert one == other
    give(spec.nodes[0], b=3)
    assert dynamic_workflow(spec, parent(), EXECUTION, "n0").id.version != one.id.version


def test_its_launch_plans_are_told_before():
    spec = spec_of(everything())
    template = dynamic_workflow(spec, parent(), EXECUTION, "n0")
    assert [one.name for one in requirements(template, spec.subworkflows).launch_plans] == ["plan"]


def test_containers_get_the_configuration_of_the_parents():
    draft = Draft()
    draft.task("work", {"o0": INTEGER})
    draft.tasks["work"].container.image = "example.org/i:2"
    draft.tasks["work"].container.args.append("run")
    draft.tasks["work"].container.config.add(key="own", value="1")
    draft.run(draft.node("dn0"), "work")
    bind(draft.template.outputs.add(var="o0").binding, Ref("dn0"))
    spec = spec_of(draft)
    closure = compile_dynamic(spec, parent(), EXECUTION, "n0")
    assert [one.key for one in closure.tasks[0].template.container.config] == ["own", "from"]
    assert len(spec.tasks[0].container.config) == 1


def test_the_inputs_of_the_parent_are_not_there_to_read():
    draft = everything()
    give(draft.find("n0"), a=Ref("", "n"))
    with pytest.raises(CompileError, match=r"Variable \[n\] not found on node \[start-node\]"):
        compile_dynamic(spec_of(draft), parent(), EXECUTION, "n0", draft.plans.values())


def test_what_is_not_inside_of_it_is_missing_and_a_broken_task_is_told_with_the_rest():
    draft = everything()
    del draft.tasks["make"]
    draft.tasks["inc"].container.SetInParent()
    draft.tasks["add"].interface.inputs.variables["b"].type.CopyFrom(STRING)
    with pytest.raises(CompileError) as caught:
        compile_dynamic(spec_of(draft), parent(), EXECUTION, "n0")
    found = {(one.code, one.node_id) for one in caught.value.problems}
    assert {
        ("TaskReferenceNotFound", "n9"),
        ("ValueRequired", "inc"),
        ("MismatchingTypes", "n0"),
        ("WorkflowReferenceNotFound", "n6"),
    } <= found
