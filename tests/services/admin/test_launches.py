"""Executions begin, over gRPC: names, configuration from every source, and executions asked for again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
    project_pb2,
    task_pb2,
    workflow_attributes_pb2,
    workflow_pb2,
)
from flyteidl.admin import event_pb2 as admin_event_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import admin_pb2_grpc
from google.protobuf.json_format import ParseDict
from lacewing.adapters.runs import SqlRunStore
from lacewing.model.ids import RunKey
from lacewing.model.run import RunSpec
from lacewing.services.gateway import ADMIN
from lacewing.testing.factories import make_template

PLACE = {"project": "flytesnacks", "domain": "development"}
WORKFLOW = {**PLACE, "name": "wf", "version": "v1", "resource_type": "WORKFLOW"}
PLAN = WORKFLOW | {"resource_type": "LAUNCH_PLAN"}
INTEGER = {"type": {"simple": "INTEGER"}}
Code = grpc.StatusCode


def parse(kind: Any, **values: Any) -> Any:
    return ParseDict(values, kind())


def number(value: int) -> dict[str, Any]:
    return {"scalar": {"primitive": {"integer": value}}}


@dataclass
class World:
    """A registered workflow `wf` of one task, with an input `x`, and the ways to use it."""

    admin: Any
    served: Any

    async def plan(self, name: str = "wf", **spec: Any) -> None:
        spec.setdefault("default_inputs", {"parameters": {"x": {"var": INTEGER, "default": number(1)}}})
        request = parse(
            launch_plan_pb2.LaunchPlanCreateRequest,
            id=PLAN | {"name": name},
            spec={"workflow_id": WORKFLOW, **spec},
        )
        await self.admin.CreateLaunchPlan(request)

    async def create(self, name: str = "run", plan: str = "wf", **more: Any) -> execution_pb2.Execution:
        spec = {"launch_plan": PLAN | {"name": plan}, **more.pop("spec", {})}
        request = parse(execution_pb2.ExecutionCreateRequest, **PLACE, name=name, spec=spec, **more)
        created = await self.admin.CreateExecution(request)
        return await self.get(created.id)

    async def get(self, identifier: Any) -> execution_pb2.Execution:
        return await self.admin.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=identifier))

    async def order(self, name: str) -> RunSpec:
        loaded = await SqlRunStore(self.served.database).load(RunKey(*PLACE.values(), name))
        assert loaded is not None
        return loaded.spec

    async def attributes(self, **given: Any) -> None:
        """Set attributes of the project, of its domain or of the workflow: by the keys that are given."""
        for level, matching in given.items():
            where: dict[str, Any] = {"project": "flytesnacks", "matching_attributes": matching}
            if level == "for_project":
                await self.admin.UpdateProjectAttributes(
                    parse(project_attributes_pb2.ProjectAttributesUpdateRequest, attributes=where)
                )
            elif level == "for_domain":
                where["domain"] = "development"
                await self.admin.UpdateProjectDomainAttributes(
                    parse(
                        project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest, attributes=where
                    )
                )
            else:
                where |= {"domain": "development", "workflow": "wf"}
                await self.admin.UpdateWorkflowAttributes(
                    parse(workflow_attributes_pb2.WorkflowAttributesUpdateRequest, attributes=where)
                )


@pytest.fixture
async def world(served: Any) -> World:
    admin = admin_pb2_grpc.AdminServiceStub(served.channel)
    template = make_template("work", "container", image="example.org/i:1", command=["/true"])
    await admin.CreateTask(task_pb2.TaskCreateRequest(id=template.id, spec={"template": template}))
    request = parse(
        workflow_pb2.WorkflowCreateRequest,
        id=WORKFLOW,
        spec={"template": {"interface": {"inputs": {"variables": {"x": INTEGER}}}}},
    )
    request.spec.template.nodes.add(id="n0").task_node.reference_id.CopyFrom(template.id)
    await admin.CreateWorkflow(request)
    return World(admin, served)


async def refused(call: Any, code: grpc.StatusCode, words: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert (error.value.code(), words in (error.value.details() or "")) == (code, True), error.value


async def test_the_most_specific_source_wins_field_by_field(world: World):
    await world.attributes(
        for_project={"workflow_execution_config": {"max_parallelism": 3, "interruptible": True}},
        for_domain={"workflow_execution_config": {"max_parallelism": 4, "envs": {"values": [{"key": "A"}]}}},
        for_workflow={
            "workflow_execution_config": {
                "max_parallelism": 5,
                "annotations": {"values": {"from": "workflow"}},
                "raw_output_data_config": {"output_location_prefix": "/workflow"},
                "security_context": {"run_as": {"k8s_service_account": "workflow"}},
            }
        },
    )
    await world.plan(
        max_parallelism=-1,
        raw_output_data_config={"output_location_prefix": "/plan"},
        labels={"values": {"from": "plan"}},
        overwrite_cache=True,
    )
    execution = await world.create(spec={"labels": {"values": {"from": "request"}}})
    order = await world.order("run")
    assert execution.spec.max_parallelism == order.max_parallelism == 5
    assert order.interruptible is True
    assert order.envs == {}, "the domain's row counts only where the workflow has none"
    assert (order.raw_output_root, order.labels) == ("/plan", {"from": "request"})
    assert (order.annotations, order.service_account) == ({"from": "workflow"}, "workflow")
    assert execution.spec.overwrite_cache
    assert order.overwrite_cache
    assert execution.spec.security_context.run_as.k8s_service_account == "workflow"


async def test_what_nobody_says_is_the_platforms(world: World):
    await world.plan()
    execution = await world.create(spec={"metadata": {"principal": "me", "nesting": 9}})
    order = await world.order("run")
    assert (execution.spec.max_parallelism, order.interruptible, order.overwrite_cache) == (25, None, False)
    assert execution.spec.security_context.HasField("run_as")
    assert (execution.spec.metadata.principal, execution.spec.metadata.nesting) == ("", 0)
    assert execution.spec.metadata.system_metadata.namespace == "flytesnacks-development"
    assert order.resource_limits == {"cpu": "4", "memory": "8Gi"}


async def test_deprecated_roles_count_where_nothing_newer_is_said(world: World):
    await world.plan(role="arn:old", auth_role={"kubernetes_service_account": "older"})
    execution = await world.create()
    assert execution.spec.security_context.run_as.k8s_service_account == "older"


async def test_resources_of_attributes_reach_the_run(world: World):
    await world.plan()
    row = {"defaults": {"cpu": "1", "gpu": "1"}, "limits": {"cpu": "2"}}
    await world.attributes(for_domain={"task_resource_attributes": row})
    await world.create()
    order = await world.order("run")
    assert order.default_resources == {"cpu": "1", "nvidia.com/gpu": "1"}
    assert order.resource_limits == {"cpu": "2", "memory": "8Gi"}
    bad = {"defaults": {"memory": "lots"}}
    call = world.attributes(for_domain={"task_resource_attributes": bad})
    await refused(call, Code.INVALID_ARGUMENT, "Parsing of memory request failed for value lots")


async def test_the_project_completes_labels(world: World):
    await world.plan(labels={"values": {"team": "plan"}})
    project = parse(
        project_pb2.Project,
        id="flytesnacks",
        name="flytesnacks",
        labels={"values": {"team": "p", "unit": "u"}},
    )
    await world.admin.UpdateProject(project)
    execution = await world.create()
    assert dict(execution.spec.labels.values) == {"team": "plan", "unit": "u"}


async def test_labels_and_tags_can_be_asked_for_in_lists(world: World):
    await world.plan()
    await world.create("tagged", spec={"tags": ["nightly"], "labels": {"values": {"team": "a"}}})
    await world.create("other")
    for filters in ("eq(admin_tag.name,nightly)", "eq(execution_tag.key,team)"):
        request = parse(common_pb2.ResourceListRequest, id=PLACE, limit=5, filters=filters)
        listed = await world.admin.ListExecutions(request)
        assert [one.id.name for one in listed.executions] == ["tagged"], filters


async def test_notifications_come_from_the_request_or_else_the_plan(world: World):
    mail = {"phases": ["FAILED"], "email": {"recipients_email": ["plan@example.org"]}}
    await world.plan(entity_metadata={"notifications": [mail]})
    mine = {"phases": ["SUCCEEDED"], "email": {"recipients_email": ["me@example.org"]}}
    told = {}
    for name, spec in {
        "plans": {"notifications": {"notifications": []}},
        "mine": {"notifications": {"notifications": [mine]}},
        "none": {"disable_all": True},
    }.items():
        closure = (await world.create(name, spec=spec)).closure
        told[name] = [one.email.recipients_email[0] for one in closure.notifications]
    assert told == {"plans": ["plan@example.org"], "mine": ["me@example.org"], "none": []}
    bad = {"notifications": {"notifications": [mine | {"phases": ["RUNNING"]}]}}
    await refused(world.create("bad", spec=bad), Code.INVALID_ARGUMENT, "invalid value for phase")


async def test_a_cluster_pool_is_kept_and_the_configured_one_is_the_only_one(world: World):
    await world.plan()
    execution = await world.create("free", spec={"cluster_assignment": {"cluster_pool_name": "gpu"}})
    assert execution.spec.cluster_assignment.cluster_pool_name == "gpu"
    await world.attributes(for_domain={"cluster_assignment": {"cluster_pool_name": "cpu"}})
    await world.attributes(for_project={"execution_cluster_label": {"value": "blue"}})
    execution = await world.create("given")
    assert execution.spec.cluster_assignment.cluster_pool_name == "cpu"
    assert execution.spec.execution_cluster_label.value == "blue"
    other = world.create("other", spec={"cluster_assignment": {"cluster_pool_name": "gpu"}})
    await refused(other, Code.INVALID_ARGUMENT, "cluster pool [gpu]")


async def test_a_relaunch_takes_the_inputs_that_were_given_and_the_configuration(world: World):
    await world.plan()
    source = await world.create(
        "source", inputs={"literals": {"x": number(7)}}, spec={"max_parallelism": 2, "overwrite_cache": True}
    )
    request = execution_pb2.ExecutionRelaunchRequest(id=source.id, name="again")
    again = await world.get((await world.admin.RelaunchExecution(request)).id)
    metadata = again.spec.metadata
    assert metadata.mode == execution_pb2.ExecutionMetadata.RELAUNCH
    assert metadata.reference_execution == source.id
    assert (again.id.name, again.spec.max_parallelism, again.spec.overwrite_cache) == ("again", 2, False)
    data = await world.admin.GetExecutionData(execution_pb2.WorkflowExecutionGetDataRequest(id=again.id))
    assert data.full_inputs.literals["x"].scalar.primitive.integer == 7
    request = execution_pb2.ExecutionRelaunchRequest(id=source.id, overwrite_cache=True)
    unnamed = await world.get((await world.admin.RelaunchExecution(request)).id)
    assert len(unnamed.id.name) == 20
    assert unnamed.spec.overwrite_cache
    listing = parse(common_pb2.ResourceListRequest, id=PLACE, limit=5, filters="eq(mode,3)")
    assert len((await world.admin.ListExecutions(listing)).executions) == 2


async def test_a_relaunch_that_cannot_be_says_why(world: World, tmp_path: Path):
    await world.plan()
    source = await world.create("source")
    launch = world.admin.RelaunchExecution
    request = execution_pb2.ExecutionRelaunchRequest
    await refused(launch(request(id=PLACE | {"name": "none"})), Code.NOT_FOUND, 'name:"none"')
    await refused(
        launch(request(id=source.id, name="Bad Name")),
        Code.INVALID_ARGUMENT,
        "invalid name format: bad name, does not match regex '^[a-z][a-z\\-0-9]*$'",
    )
    await refused(
        launch(request(id=source.id, name="source")), Code.ALREADY_EXISTS, "matching already exists"
    )
    (tmp_path / "store/metadata/flytesnacks/development/source/user_inputs").unlink()
    await refused(launch(request(id=source.id)), Code.FAILED_PRECONDITION, "inputs of execution source")


async def test_a_child_knows_its_parent(world: World):
    await world.plan()
    parent = await world.create("parent")
    node = {"node_id": "n0", "execution_id": PLACE | {"name": "parent"}}
    child = {"mode": "CHILD_WORKFLOW", "parent_node_execution": node}
    await refused(world.create("early", spec={"metadata": child}), Code.NOT_FOUND, 'node_id:"n0"')
    event = parse(
        admin_event_pb2.NodeExecutionEventRequest,
        event={"id": node, "phase": "RUNNING", "occurred_at": "2024-01-01T00:00:00Z"},
    )
    await world.admin.CreateNodeEvent(event)
    metadata = (await world.create("child", spec={"metadata": child})).spec.metadata
    assert (metadata.nesting, metadata.mode) == (1, execution_pb2.ExecutionMetadata.CHILD_WORKFLOW)
    found = await world.admin.GetNodeExecution(node_execution_pb2.NodeExecutionGetRequest(id=event.event.id))
    assert metadata.parent_node_execution == found.id
    assert parent.spec.metadata.nesting == 0
    lost = {"reference_execution": PLACE | {"name": "lost"}}
    await refused(world.create("other", spec={"metadata": lost}), Code.NOT_FOUND, 'name:"lost"')


async def test_a_launch_plan_that_skips_lets_no_more_than_its_limit_run(world: World):
    await world.plan("one", concurrency_policy={"max": 1, "behavior": 1})
    await world.create("first", plan="one")
    await refused(world.create("second", plan="one"), Code.ALREADY_EXISTS, "concurrency limit")
    end = parse(
        admin_event_pb2.WorkflowExecutionEventRequest,
        event={
            "execution_id": PLACE | {"name": "first"},
            "phase": "FAILED",
            "occurred_at": "2024-01-01T00:00:00Z",
        },
    )
    await world.admin.CreateWorkflowEvent(end)
    await world.create("second", plan="one")


async def test_a_bad_label_is_refused_in_kubernetes_words(world: World):
    await world.plan()
    call = world.create(spec={"labels": {"values": {"bad key!": "x"}}})
    await refused(call, Code.INVALID_ARGUMENT, "invalid label key [bad key!]: [name part must consist of")


async def test_a_task_by_itself_takes_the_attributes_of_its_place(world: World):
    await world.attributes(for_domain={"workflow_execution_config": {"max_parallelism": 6}})
    task = identifier_pb2.Identifier(resource_type=identifier_pb2.TASK, **PLACE, name="work", version="v1")
    request = execution_pb2.ExecutionCreateRequest(**PLACE, spec={"launch_plan": task})
    execution = await world.get((await world.admin.CreateExecution(request)).id)
    assert execution.spec.max_parallelism == 6
    assert execution.spec.launch_plan == task


async def test_what_a_server_did_not_finish_starting_is_told_as_failed(world: World):
    await world.plan()
    started, lost = await world.create("started"), await world.create("lost")
    await world.served.services[ADMIN].refuse_unstarted({RunKey(*PLACE.values(), "started")})
    phase = core_pb2.WorkflowExecution.Phase
    assert (await world.get(started.id)).closure.phase == phase.UNDEFINED
    failed = (await world.get(lost.id)).closure
    assert (failed.phase, "create it again" in failed.error.message) == (phase.FAILED, True)
