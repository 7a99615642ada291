"""Registration and uploads on a real SQLite and real files."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, project_pb2, task_pb2
from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import identifier_pb2, types_pb2, workflow_pb2
from google.protobuf.json_format import ParseDict
from lacewing.adapters.blob import LocalBlobStore
from lacewing.adapters.runs import SqlRunStore
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.demo.app import seed
from lacewing.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from lacewing.services.admin.entities import LaunchPlans
from lacewing.services.admin.executions import Executions
from lacewing.services.admin.launches import Launches
from lacewing.services.admin.named import Descriptions
from lacewing.services.admin.projects import Projects
from lacewing.services.admin.registration import Registration
from lacewing.services.rpc import Call
from lacewing.testing.factories import make_template

CALL = Call("test")


@pytest.fixture
async def registration(tmp_path: Path) -> AsyncIterator[Registration]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database = Database(engine)
    await seed(database)
    yield Registration(database, LocalBlobStore(), str(tmp_path / "store"), {"cpu": "2", "memory": "1Gi"})
    database.close()


def request(**changes: str) -> task_pb2.TaskCreateRequest:
    template = make_template("probe", "container", image="example.org/i:1", command=["/true"])
    for name, value in changes.items():
        setattr(template.id, name, value)
    return task_pb2.TaskCreateRequest(id=template.id, spec=task_pb2.TaskSpec(template=template))


async def test_registering_again_is_told_apart_from_registering_something_else(registration: Registration):
    await registration.CreateTask(request(), CALL)
    with pytest.raises(AlreadyExists, match="task with identical structure already exists"):
        await registration.CreateTask(request(), CALL)
    other = request()
    other.spec.template.container.image = "example.org/i:2"
    with pytest.raises(InvalidArgument, match="different structure already exists"):
        await registration.CreateTask(other, CALL)
    stored = await registration.GetTask(common_pb2.ObjectGetRequest(id=request().id), CALL)
    assert stored.closure.compiled_task.template.container.image == "example.org/i:1"
    assert stored.closure.HasField("created_at")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": ""}, "missing version"),
        ({"domain": "nope"}, r"domain \[nope\] is unrecognized by system"),
        ({"project": "nope"}, r"project \[nope\] not found"),
    ],
)
async def test_a_bad_identifier_is_refused_in_words_that_name_it(
    registration: Registration, changes: dict[str, str], words: str
):
    with pytest.raises(InvalidArgument, match=words):
        await registration.CreateTask(request(**changes), CALL)


async def test_what_was_never_registered_is_not_found(registration: Registration):
    identifier = identifier_pb2.Identifier(project="p", domain="d", name="n", version="v")
    with pytest.raises(NotFound, match=r'missing entity of type TASK with identifier project:"p" domain:"d"'):
        await registration.GetTask(common_pb2.ObjectGetRequest(id=identifier), CALL)


async def test_an_execution_that_cannot_be_started_says_why_under_its_name(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database = Database(engine)
    await seed(database)
    registration = Registration(database, LocalBlobStore(), str(tmp_path / "store"))
    task = request()
    await registration.CreateTask(task, CALL)
    template = workflow_pb2.WorkflowTemplate()
    template.nodes.add(id="n0").task_node.reference_id.CopyFrom(task.id)
    names = {"project": "flytesnacks", "domain": "development", "name": "wf", "version": "v1"}
    workflow = identifier_pb2.Identifier(resource_type=identifier_pb2.WORKFLOW, **names)
    plan = identifier_pb2.Identifier(resource_type=identifier_pb2.LAUNCH_PLAN, **names)
    spec = admin_workflow_pb2.WorkflowSpec(template=template)
    await registration.CreateWorkflow(admin_workflow_pb2.WorkflowCreateRequest(id=workflow, spec=spec), CALL)
    plan_spec = launch_plan_pb2.LaunchPlanSpec(workflow_id=workflow)
    await registration.CreateLaunchPlan(
        launch_plan_pb2.LaunchPlanCreateRequest(id=plan, spec=plan_spec), CALL
    )
    (tmp_path / "file").touch()
    runs = SqlRunStore(database)
    executions = Executions(database, LocalBlobStore(), runs)
    launches = Launches(database, LocalBlobStore(), runs, str(tmp_path / "file"))
    wanted = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development", name="run1")
    wanted.spec.launch_plan.CopyFrom(plan)
    created = await launches.CreateExecution(wanted, CALL)
    found = await executions.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=created.id), CALL)
    assert "cannot write" in found.closure.error.message
    with pytest.raises(AlreadyExists):
        await launches.CreateExecution(wanted, CALL)
    with pytest.raises(FailedPrecondition, match="already terminated"):
        await executions.TerminateExecution(
            execution_pb2.ExecutionTerminateRequest(id=created.id, cause="x"), CALL
        )
    database.close()


async def test_a_conflict_of_workflows_says_which_in_its_details(registration: Registration):
    task = request()
    await registration.CreateTask(task, CALL)
    names = {"project": "flytesnacks", "domain": "development", "name": "wf", "version": "v1"}
    workflow = identifier_pb2.Identifier(resource_type=identifier_pb2.WORKFLOW, **names)
    wanted = admin_workflow_pb2.WorkflowCreateRequest(id=workflow)
    wanted.spec.template.nodes.add(id="n0").task_node.reference_id.CopyFrom(task.id)
    await registration.CreateWorkflow(wanted, CALL)
    with pytest.raises(AlreadyExists) as same:
        await registration.CreateWorkflow(wanted, CALL)
    assert same.value.details[0].exists_identical_structure.id == workflow
    wanted.spec.template.nodes[0].id = "n1"
    with pytest.raises(InvalidArgument) as other:
        await registration.CreateWorkflow(wanted, CALL)
    assert other.value.details[0].exists_different_structure.id == workflow


async def test_a_description_is_kept_with_what_it_describes(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database = Database(engine)
    await seed(database)
    registration = Registration(database, LocalBlobStore(), str(tmp_path / "store"))
    described = request()
    described.spec.description.long_description.value = "long"
    await registration.CreateTask(described, CALL)
    get = common_pb2.ObjectGetRequest(id=described.id)
    found = await Descriptions(database).GetDescriptionEntity(get, CALL)
    assert found.long_description.value == "long"
    archived = project_pb2.Project(id="flytesnacks", state=project_pb2.Project.ARCHIVED)
    await Projects(database).UpdateProject(archived, CALL)
    with pytest.raises(InvalidArgument, match="is not active") as refused:
        await registration.CreateTask(described, CALL)
    assert refused.value.details == (project_pb2.InactiveProject(id="flytesnacks"),)
    database.close()


WORKFLOW = {"project": "flytesnacks", "domain": "development", "name": "wf", "version": "v1"}


async def register_workflow(registration: Registration) -> None:
    """A workflow with a required integer `x` and a required time `at`."""
    task = request()
    await registration.CreateTask(task, CALL)
    wanted = admin_workflow_pb2.WorkflowCreateRequest(
        id=identifier_pb2.Identifier(resource_type=identifier_pb2.WORKFLOW, **WORKFLOW)
    )
    template = wanted.spec.template
    template.nodes.add(id="n0").task_node.reference_id.CopyFrom(task.id)
    template.interface.inputs.variables["x"].type.simple = types_pb2.INTEGER
    template.interface.inputs.variables["at"].type.simple = types_pb2.DATETIME
    await registration.CreateWorkflow(wanted, CALL)


def plan(**spec: Any) -> launch_plan_pb2.LaunchPlanCreateRequest:
    identifier = {**WORKFLOW, "resource_type": "LAUNCH_PLAN"}
    spec = {"workflow_id": {**WORKFLOW, "resource_type": "WORKFLOW"}, "labels": {}, **spec}
    return ParseDict({"id": identifier, "spec": spec}, launch_plan_pb2.LaunchPlanCreateRequest())


BOUND = {"literals": {"x": {"scalar": {"primitive": {"integer": 3}}}}}
CRON = {"cron_schedule": {"schedule": "0 9 * * mon-fri"}, "kickoff_time_input_arg": "at"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"entity_metadata": {"schedule": CRON}}, "unbound required input. [x] is required"),
        (
            {"fixed_inputs": BOUND, "entity_metadata": {"schedule": {"rate": {"value": 5}}}},
            "unbound required input. [at] is required",
        ),
        (
            {"fixed_inputs": BOUND, "entity_metadata": {"schedule": CRON | {"kickoff_time_input_arg": "x"}}},
            "unbound required input. [at] is required",
        ),
        (
            {
                "fixed_inputs": BOUND,
                "entity_metadata": {"schedule": CRON | {"cron_schedule": {"schedule": "61 * * * *"}}},
            },
            "invalid cron schedule [61 * * * *]",
        ),
        (
            {
                "fixed_inputs": BOUND,
                "entity_metadata": {"schedule": CRON | {"cron_schedule": {"schedule": "* * * * * *"}}},
            },
            "write five fields",
        ),
        (
            {"entity_metadata": {"notifications": [{"phases": ["FAILED"], "email": {}}]}},
            "missing recipients",
        ),
        (
            {"entity_metadata": {"notifications": [{"phases": ["FAILED"]}]}},
            "invalid value for notification type",
        ),
        (
            {
                "entity_metadata": {
                    "notifications": [{"phases": ["RUNNING"], "slack": {"recipients_email": ["a@b"]}}]
                }
            },
            "invalid value for phase",
        ),
        ({"labels": {"values": {"a": "b c"}}}, "invalid label value [b c]"),
    ],
)
async def test_a_launch_plan_is_checked_when_it_is_registered(
    registration: Registration, spec: dict[str, Any], words: str
):
    await register_workflow(registration)
    with pytest.raises(InvalidArgument) as refused:
        await registration.CreateLaunchPlan(plan(**spec), CALL)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("schedule", "kind"),
    [
        (CRON, "CRON"),
        (CRON | {"cron_schedule": {"schedule": "@every 1h30m"}}, "CRON"),
        (CRON | {"cron_schedule": {"schedule": "@hourly"}}, "CRON"),
        ({"rate": {"value": 5, "unit": "MINUTE"}, "kickoff_time_input_arg": "at"}, "RATE"),
    ],
)
async def test_a_schedule_that_is_good_shows_in_lists(
    registration: Registration, schedule: dict[str, Any], kind: str
):
    await register_workflow(registration)
    await registration.CreateLaunchPlan(
        plan(fixed_inputs=BOUND, entity_metadata={"schedule": schedule}), CALL
    )
    listing = common_pb2.ResourceListRequest(limit=5, filters=f"eq(schedule_type,{kind})")
    listing.id.project, listing.id.domain = "flytesnacks", "development"
    found = await LaunchPlans(registration._database).ListLaunchPlans(listing, CALL)
    assert [one.id.name for one in found.launch_plans] == ["wf"]


async def test_a_conflict_says_what_differs(registration: Registration):
    await register_workflow(registration)
    await registration.CreateLaunchPlan(plan(), CALL)
    with pytest.raises(InvalidArgument) as refused:
        await registration.CreateLaunchPlan(plan(labels={"values": {"a": "b"}}), CALL)
    assert refused.value.message == (
        "wf launch plan with different structure already exists. (Please register a new version of the"
        " launch plan):\n/labels/values:\n\t- <nil> \n\t+ map[a:b]"
    )
    other = request()
    other.spec.template.container.image = "example.org/i:2"
    with pytest.raises(InvalidArgument) as refused:
        await registration.CreateTask(other, CALL)
    assert refused.value.message.endswith(
        "/template/container/image:\n\t- example.org/i:1 \n\t+ example.org/i:2"
    )
    workflow = admin_workflow_pb2.WorkflowCreateRequest(
        id=identifier_pb2.Identifier(resource_type=identifier_pb2.WORKFLOW, **WORKFLOW)
    )
    workflow.spec.template.nodes.add(id="n0").task_node.reference_id.CopyFrom(request().id)
    with pytest.raises(InvalidArgument, match="/primary/template/interface:"):
        await registration.CreateWorkflow(workflow, CALL)


def amounts(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def asking(**resources: list[dict[str, str]]) -> task_pb2.TaskCreateRequest:
    task = request()
    ParseDict(resources, task.spec.template.container.resources)
    return task


@pytest.mark.parametrize(
    ("requests", "limits", "words"),
    [
        (
            {"CPU": "lots"},
            {},
            "Parsing of CPU request failed for value lots - reason  quantities must match the regular"
            " expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'. Please follow K8s conventions",
        ),
        (
            {"CPU": "2"},
            {"CPU": "1"},
            "Requested CPU default [2] is greater than the limit [1]. Please fix your configuration",
        ),
        (
            {},
            {"MEMORY": "4Gi"},
            "Requested MEMORY limit [4Gi] is greater than current limit set in the platform configuration"
            " [1Gi]. Please contact Flyte Admins to change these limits or consult the configuration",
        ),
        ({"CPU": "3"}, {}, "Requested CPU default [3] is greater than current limit set in the platform"),
        ({"GPU": "1"}, {"GPU": "2"}, "the default value must equal the limit value"),
        ({"GPU": "500m"}, {}, "must be a whole number, got: 500m instead"),
    ],
)
async def test_a_task_asks_for_no_more_than_there_is(
    registration: Registration, requests: dict[str, str], limits: dict[str, str], words: str
):
    task = asking(requests=amounts(requests), limits=amounts(limits))
    with pytest.raises(InvalidArgument) as refused:
        await registration.CreateTask(task, CALL)
    assert words in refused.value.message


async def test_a_resource_is_named_once(registration: Registration):
    task = asking(requests=amounts({"CPU": "1"}) * 2)
    with pytest.raises(InvalidArgument, match=r"can't specify CPU limit for task .* multiple times"):
        await registration.CreateTask(task, CALL)


def workflow_named(name: str) -> admin_workflow_pb2.WorkflowCreateRequest:
    wanted = admin_workflow_pb2.WorkflowCreateRequest()
    wanted.id.resource_type, wanted.id.name, wanted.id.version = identifier_pb2.WORKFLOW, name, "v1"
    wanted.id.project, wanted.id.domain = "flytesnacks", "development"
    return wanted


async def test_a_workflow_needs_its_tasks_and_launch_plans_registered_those_of_sub_workflows_too(
    registration: Registration,
):
    inner, outer = workflow_named("inner"), workflow_named("outer")
    inner.spec.template.nodes.add(id="n0").task_node.reference_id.CopyFrom(request().id)
    inner.spec.template.id.CopyFrom(inner.id)
    outer.spec.template.nodes.add(id="n0").workflow_node.sub_workflow_ref.CopyFrom(inner.id)
    outer.spec.sub_workflows.append(inner.spec.template)
    with pytest.raises(InvalidArgument, match=r'missing entity of type TASK with identifier .*name:"probe"'):
        await registration.CreateWorkflow(outer, CALL)
    await registration.CreateTask(request(), CALL)
    await registration.CreateWorkflow(inner, CALL)
    plan = identifier_pb2.Identifier()
    plan.CopyFrom(inner.id)
    plan.resource_type = identifier_pb2.LAUNCH_PLAN
    outer.spec.template.nodes.add(id="n1").workflow_node.launchplan_ref.CopyFrom(plan)
    with pytest.raises(InvalidArgument, match=r'missing entity of type LAUNCH_PLAN .*name:"inner"'):
        await registration.CreateWorkflow(outer, CALL)
    asked = launch_plan_pb2.LaunchPlanCreateRequest(id=plan)
    asked.spec.workflow_id.CopyFrom(inner.id)
    await registration.CreateLaunchPlan(asked, CALL)
    give = outer.spec.template.nodes[1].inputs.add(var="unknown")
    give.binding.scalar.primitive.integer = 1
    with pytest.raises(InvalidArgument, match=r"Variable \[unknown\] not found on node \[n1\]"):
        await registration.CreateWorkflow(outer, CALL)
