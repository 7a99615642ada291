"""Lists of entities, active versions, names, descriptions, attributes and wrappers, on a real SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import (
    common_pb2,
    description_entity_pb2,
    launch_plan_pb2,
    matchable_resource_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
    task_pb2,
    workflow_attributes_pb2,
)
from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import identifier_pb2, types_pb2, workflow_pb2
from lacewing.adapters.blob import LocalBlobStore
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.demo.app import seed
from lacewing.errors import InvalidArgument, NotFound
from lacewing.services.admin.app import Combined
from lacewing.services.admin.attributes import Attributes
from lacewing.services.admin.descriptions import save_description
from lacewing.services.admin.entities import EntityLists, LaunchPlans
from lacewing.services.admin.named import Descriptions, NamedEntities
from lacewing.services.admin.registration import Registration
from lacewing.services.admin.rows import get_entity
from lacewing.services.admin.single_task import SingleTasks
from lacewing.services.rpc import Call
from lacewing.testing.factories import make_template

CALL = Call("test")
PLACE = {"project": "flytesnacks", "domain": "development"}
TASK, WORKFLOW, LAUNCH_PLAN = identifier_pb2.TASK, identifier_pb2.WORKFLOW, identifier_pb2.LAUNCH_PLAN
BY_NAME = common_pb2.Sort(key="name", direction=common_pb2.Sort.ASCENDING)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database = Database(engine)
    await seed(database)
    yield database
    database.close()


@pytest.fixture
async def admin(database: Database, tmp_path: Path) -> Combined:
    parts = [part(database) for part in (EntityLists, LaunchPlans, NamedEntities, Descriptions, Attributes)]
    admin = Combined(Registration(database, LocalBlobStore(), str(tmp_path / "store")), *parts)
    await register(admin, "example.a", "v1")
    await register(admin, "example.a", "v2")
    await register(admin, "example.b", "v1")
    return admin


def identifier(kind: Any, name: str, version: str = "v1") -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(resource_type=kind, name=name, version=version, **PLACE)


async def register(admin: Any, name: str, version: str) -> None:
    template = make_template("probe", "container", image="example.org/i:1", command=["/true"])
    task, workflow = identifier(TASK, name, version), identifier(WORKFLOW, name, version)
    template.interface.inputs.variables["x"].type.simple = types_pb2.INTEGER
    spec = task_pb2.TaskSpec(template=template)
    await admin.CreateTask(task_pb2.TaskCreateRequest(id=task, spec=spec), CALL)
    flow = workflow_pb2.WorkflowTemplate()
    flow.interface.inputs.variables["x"].type.simple = types_pb2.INTEGER
    node = flow.nodes.add(id="n0")
    node.task_node.reference_id.CopyFrom(task)
    node.inputs.add(var="x").binding.promise.var = "x"
    request = admin_workflow_pb2.WorkflowCreateRequest(
        id=workflow, spec=admin_workflow_pb2.WorkflowSpec(template=flow)
    )
    await admin.CreateWorkflow(request, CALL)
    plan = launch_plan_pb2.LaunchPlanCreateRequest(
        id=identifier(LAUNCH_PLAN, name, version), spec=launch_plan_pb2.LaunchPlanSpec(workflow_id=workflow)
    )
    await admin.CreateLaunchPlan(plan, CALL)


def ask(name: str = "", **options: Any) -> common_pb2.ResourceListRequest:
    options.setdefault("limit", 10)
    return common_pb2.ResourceListRequest(id={**PLACE, "name": name}, **options)


def versions(found: Any) -> list[str]:
    return [f"{one.id.name}:{one.id.version}" for one in found]


async def test_entities_are_listed_by_place_and_by_name(admin: Any):
    every = ["example.a:v1", "example.a:v2", "example.b:v1"]
    assert versions((await admin.ListTasks(ask(), CALL)).tasks) == every
    assert versions((await admin.ListWorkflows(ask("example.a"), CALL)).workflows) == every[:2]
    newest = ask("example.a", limit=1, sort_by=common_pb2.Sort(key="created_at"))
    plans = await admin.ListLaunchPlans(newest, CALL)
    assert (versions(plans.launch_plans), plans.token) == (["example.a:v2"], "1")
    elsewhere = common_pb2.ResourceListRequest(id={**PLACE, "project": "nope"}, limit=3)
    assert not (await admin.ListTasks(elsewhere, CALL)).tasks


async def test_a_listed_workflow_shows_its_interface_and_no_nodes(admin: Any):
    found = (await admin.ListWorkflows(ask(limit=1), CALL)).workflows[0]
    template = found.closure.compiled_workflow.primary.template
    assert found.id.name == "example.a"
    assert set(template.interface.inputs.variables) == {"x"}
    assert not template.HasField("id")
    assert not template.nodes
    assert found.closure.HasField("created_at")


async def test_launch_plans_are_found_by_their_workflow(admin: Any):
    request = ask(filters="eq(workflow.name,example.b)")
    assert versions((await admin.ListLaunchPlans(request, CALL)).launch_plans) == ["example.b:v1"]


async def test_a_list_without_a_place_is_refused(admin: Any):
    with pytest.raises(InvalidArgument, match="missing project"):
        await admin.ListTasks(common_pb2.ResourceListRequest(id={"domain": "development"}, limit=3), CALL)
    request = common_pb2.NamedEntityIdentifierListRequest(project="flytesnacks", limit=2)
    with pytest.raises(InvalidArgument, match="missing domain"):
        await admin.ListWorkflowIds(request, CALL)
    with pytest.raises(InvalidArgument, match="'w' entity is not allowed in filters"):
        await admin.ListTasks(ask(filters="eq(workflow.name,a)"), CALL)


@pytest.mark.parametrize("rpc", ["ListTaskIds", "ListWorkflowIds", "ListLaunchPlanIds"])
async def test_names_are_listed_once_and_a_page_at_a_time(admin: Any, rpc: str):
    request = common_pb2.NamedEntityIdentifierListRequest(**PLACE, limit=1, sort_by=BY_NAME)
    first = await getattr(admin, rpc)(request, CALL)
    request.token = first.token
    second = await getattr(admin, rpc)(request, CALL)
    assert [one.name for one in [*first.entities, *second.entities]] == ["example.a", "example.b"]
    filtered = common_pb2.NamedEntityIdentifierListRequest(**PLACE, limit=9, filters="contains(name,.b)")
    assert [one.name for one in (await getattr(admin, rpc)(filtered, CALL)).entities] == ["example.b"]


async def test_one_version_of_a_launch_plan_is_active_at_most(admin: Any):
    name = common_pb2.NamedEntityIdentifier(**PLACE, name="example.a")
    active = launch_plan_pb2.ActiveLaunchPlanRequest(id=name)
    with pytest.raises(NotFound, match="flytesnacks:development:example"):
        await admin.GetActiveLaunchPlan(active, CALL)
    for version in ("v1", "v2", "v2"):
        update = launch_plan_pb2.LaunchPlanUpdateRequest(
            id=identifier(0, "example.a", version), state=launch_plan_pb2.ACTIVE
        )
        await admin.UpdateLaunchPlan(update, CALL)
        assert (await admin.GetActiveLaunchPlan(active, CALL)).id.version == version
    listed = launch_plan_pb2.ActiveLaunchPlanListRequest(**PLACE, limit=5)
    assert versions((await admin.ListActiveLaunchPlans(listed, CALL)).launch_plans) == ["example.a:v2"]
    update.state = launch_plan_pb2.INACTIVE
    await admin.UpdateLaunchPlan(update, CALL)
    assert not (await admin.ListActiveLaunchPlans(listed, CALL)).launch_plans


async def test_a_launch_plan_that_is_not_there_cannot_be_activated(admin: Any):
    update = launch_plan_pb2.LaunchPlanUpdateRequest(id=identifier(LAUNCH_PLAN, "nope"), state=1)
    with pytest.raises(NotFound, match='missing entity of type LAUNCH_PLAN with identifier project:"flytes'):
        await admin.UpdateLaunchPlan(update, CALL)
    with pytest.raises(InvalidArgument, match="missing id"):
        await admin.UpdateLaunchPlan(launch_plan_pb2.LaunchPlanUpdateRequest(), CALL)
    update.state = 7
    with pytest.raises(InvalidArgument, match="unrecognized launch plan state 7"):
        await admin.UpdateLaunchPlan(update, CALL)


async def test_what_is_noted_of_a_name_is_kept_and_filtered(admin: Any):
    name = common_pb2.NamedEntityIdentifier(**PLACE, name="example.a")
    for noted in ({"description": "hello"}, {"state": common_pb2.NAMED_ENTITY_ARCHIVED}):
        update = common_pb2.NamedEntityUpdateRequest(resource_type=WORKFLOW, id=name, metadata=noted)
        await admin.UpdateNamedEntity(update, CALL)
    request = common_pb2.NamedEntityGetRequest(resource_type=WORKFLOW, id=name)
    found = await admin.GetNamedEntity(request, CALL)
    assert (found.metadata.description, found.metadata.state) == ("hello", common_pb2.NAMED_ENTITY_ARCHIVED)
    request.resource_type = TASK
    assert not (await admin.GetNamedEntity(request, CALL)).metadata.state
    listed = common_pb2.NamedEntityListRequest(resource_type=WORKFLOW, **PLACE, limit=9, sort_by=BY_NAME)
    assert [one.id.name for one in (await admin.ListNamedEntities(listed, CALL)).entities] == [
        "example.a",
        "example.b",
    ]
    for filters, name_left in (
        ("eq(state,0)", "example.b"),
        ("eq(named_entity_metadata.state,1)", "example.a"),
    ):
        listed.filters = filters
        assert [one.id.name for one in (await admin.ListNamedEntities(listed, CALL)).entities] == [name_left]


async def test_a_name_without_anything_registered_is_not_found(admin: Any):
    update = common_pb2.NamedEntityUpdateRequest(resource_type=TASK, id={**PLACE, "name": "nope"})
    with pytest.raises(NotFound, match="entry not found"):
        await admin.UpdateNamedEntity(update, CALL)
    with pytest.raises(InvalidArgument, match="invalid value for resource_type"):
        await admin.GetNamedEntity(common_pb2.NamedEntityGetRequest(), CALL)
    update.id.name, update.metadata.description = "example.a", "d" * 301
    with pytest.raises(InvalidArgument, match="300"):
        await admin.UpdateNamedEntity(update, CALL)


async def test_descriptions_are_kept_per_version_and_kind(admin: Any, database: Database):
    described = identifier(WORKFLOW, "example.a", "v2")
    text = description_entity_pb2.DescriptionEntity(
        short_description="short", long_description={"value": "long"}, source_code={"link": "l"}
    )
    await database.write(lambda c: save_description(c, described, text))
    found = await admin.GetDescriptionEntity(common_pb2.ObjectGetRequest(id=described), CALL)
    assert (found.id, found.long_description.value, found.short_description) == (described, "long", "short")
    listed = description_entity_pb2.DescriptionEntityListRequest(
        resource_type=WORKFLOW, id={**PLACE, "name": "example.a"}, limit=3
    )
    assert (await admin.ListDescriptionEntities(listed, CALL)).descriptionEntities == [found]
    listed.resource_type = described.resource_type = TASK
    assert not (await admin.ListDescriptionEntities(listed, CALL)).descriptionEntities
    with pytest.raises(NotFound, match="missing entity of type TASK"):
        await admin.GetDescriptionEntity(common_pb2.ObjectGetRequest(id=described), CALL)


def cpu(value: str) -> matchable_resource_pb2.MatchingAttributes:
    return matchable_resource_pb2.MatchingAttributes(task_resource_attributes={"defaults": {"cpu": value}})


async def test_the_most_specific_attributes_are_read(admin: Any):
    where = {**PLACE, "workflow": "example.a"}
    get = workflow_attributes_pb2.WorkflowAttributesGetRequest(**where)
    with pytest.raises(
        NotFound, match=r"Resource \[{Project:flytesnacks Domain:development Workflow:example.a "
    ):
        await admin.GetWorkflowAttributes(get, CALL)
    project = {"project": PLACE["project"], "matching_attributes": cpu("1")}
    request: Any = project_attributes_pb2.ProjectAttributesUpdateRequest(attributes=project)
    await admin.UpdateProjectAttributes(request, CALL)
    found = (await admin.GetWorkflowAttributes(get, CALL)).attributes
    assert (found.workflow, found.domain, found.matching_attributes) == ("", "", cpu("1"))
    for value in ("2", "3"):
        own = {**where, "matching_attributes": cpu(value)}
        request = workflow_attributes_pb2.WorkflowAttributesUpdateRequest(attributes=own)
        await admin.UpdateWorkflowAttributes(request, CALL)
    found = (await admin.GetWorkflowAttributes(get, CALL)).attributes
    assert (found.workflow, found.matching_attributes) == ("example.a", cpu("3"))
    domain = project_domain_attributes_pb2.ProjectDomainAttributesGetRequest(**PLACE)
    assert (await admin.GetProjectDomainAttributes(domain, CALL)).attributes.matching_attributes == cpu("1")
    listed = matchable_resource_pb2.ListMatchableAttributesRequest()
    rows = (await admin.ListMatchableAttributes(listed, CALL)).configurations
    assert [(row.project, row.workflow) for row in rows] == [
        ("flytesnacks", ""),
        ("flytesnacks", "example.a"),
    ]


async def test_deleting_attributes_leaves_deeper_ones(admin: Any):
    for place in ({"project": PLACE["project"]}, PLACE):
        kind = "ProjectDomain" if "domain" in place else "Project"
        module: Any = project_domain_attributes_pb2 if "domain" in place else project_attributes_pb2
        attributes = {**place, "matching_attributes": cpu("1")}
        update = getattr(module, f"{kind}AttributesUpdateRequest")(attributes=attributes)
        await getattr(admin, f"Update{kind}Attributes")(update, CALL)
    gone = project_attributes_pb2.ProjectAttributesDeleteRequest(project=PLACE["project"])
    for _ in range(2):
        await admin.DeleteProjectAttributes(gone, CALL)
    domain = project_domain_attributes_pb2.ProjectDomainAttributesGetRequest(**PLACE)
    assert (await admin.GetProjectDomainAttributes(domain, CALL)).attributes.domain == "development"
    get = project_attributes_pb2.ProjectAttributesGetRequest(project=PLACE["project"])
    with pytest.raises(NotFound, match="ResourceType:TASK_RESOURCE"):
        await admin.GetProjectAttributes(get, CALL)


async def test_how_executions_run_is_answered_from_the_defaults(admin: Any):
    get = project_attributes_pb2.ProjectAttributesGetRequest(project="flytesnacks", resource_type=6)
    found = (await admin.GetProjectAttributes(get, CALL)).attributes.matching_attributes
    assert found.workflow_execution_config.max_parallelism == 25


async def test_plugin_overrides_merge_by_task_type(admin: Any):
    for task_type, plugin in (("spark", "a"), ("ray", "b"), ("spark", "c")):
        override = {"task_type": task_type, "plugin_id": [plugin]}
        attributes = {**PLACE, "matching_attributes": {"plugin_overrides": {"overrides": [override]}}}
        request = project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(attributes=attributes)
        await admin.UpdateProjectDomainAttributes(request, CALL)
    get = project_domain_attributes_pb2.ProjectDomainAttributesGetRequest(**PLACE, resource_type=5)
    found = (await admin.GetProjectDomainAttributes(get, CALL)).attributes.matching_attributes
    merged = [(one.task_type, *one.plugin_id) for one in found.plugin_overrides.overrides]
    assert merged == [("ray", "b"), ("spark", "c")]


async def test_attributes_that_say_nothing_are_refused(admin: Any):
    request = project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(attributes=PLACE)
    with pytest.raises(InvalidArgument, match="missing matching_attributes"):
        await admin.UpdateProjectDomainAttributes(request, CALL)
    request.attributes.matching_attributes.quality_of_service.tier = 1
    with pytest.raises(InvalidArgument, match="Unrecognized matching attributes type"):
        await admin.UpdateProjectDomainAttributes(request, CALL)
    unknown = {"project": "nope", "matching_attributes": cpu("1")}
    with pytest.raises(InvalidArgument, match=r"project \[nope\] not found"):
        await admin.UpdateProjectAttributes(
            project_attributes_pb2.ProjectAttributesUpdateRequest(attributes=unknown), CALL
        )


async def test_a_single_task_gets_a_hidden_workflow_around_it_once(
    admin: Any, database: Database, tmp_path: Path
):
    blobs = LocalBlobStore()
    singles = SingleTasks(database, blobs, str(tmp_path / "store"))
    task = await database.read(lambda c: get_entity(c, TASK, identifier(TASK, "example.a", "v2")))
    plan, workflow = await singles.ensure_single_task_workflow(task)
    assert await singles.ensure_single_task_workflow(task) == (plan, workflow)
    assert (plan.name, plan.version, plan.workflow_id) == (".flytegen.example.a", "v2", workflow.id)
    data = await blobs.read(workflow.remote_closure_identifier)
    node = admin_workflow_pb2.WorkflowClosure.FromString(data).compiled_workflow.primary.template.nodes[2]
    assert (node.id, node.task_node.reference_id.name, node.inputs[0].var) == ("examplea", "example.a", "x")
    stored = await admin.GetLaunchPlan(
        common_pb2.ObjectGetRequest(id=identifier(LAUNCH_PLAN, plan.name, "v2")), CALL
    )
    assert stored.closure.expected_inputs.parameters["x"].required
    listed = common_pb2.NamedEntityListRequest(resource_type=WORKFLOW, **PLACE, limit=9)
    assert plan.name not in [one.id.name for one in (await admin.ListNamedEntities(listed, CALL)).entities]
    listed.filters = "eq(state,2)"
    assert [one.id.name for one in (await admin.ListNamedEntities(listed, CALL)).entities] == [plan.name]
