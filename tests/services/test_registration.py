"""Registration and uploads on a real SQLite and real files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, project_pb2, task_pb2
from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import identifier_pb2, workflow_pb2
from flyteidl.service import dataproxy_pb2
from lacewing.adapters.blob import LocalBlobStore
from lacewing.adapters.runs import SqlRunStore
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.demo.app import seed
from lacewing.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from lacewing.services.admin.dataproxy import DataProxy, Signer
from lacewing.services.admin.executions import Executions
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
    yield Registration(database, LocalBlobStore(), str(tmp_path / "store"))
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
    with pytest.raises(NotFound, match='missing entity of type TASK with identifier project:"p" domain:"d"'):
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
    executions = Executions(database, LocalBlobStore(), SqlRunStore(database), str(tmp_path / "file"))
    wanted = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development", name="run1")
    wanted.spec.launch_plan.CopyFrom(plan)
    created = await executions.CreateExecution(wanted, CALL)
    found = await executions.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=created.id), CALL)
    assert "cannot write" in found.closure.error.message
    with pytest.raises(AlreadyExists):
        await executions.CreateExecution(wanted, CALL)
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


async def test_an_upload_is_bound_to_its_path_its_content_and_its_time():
    signer = Signer(b"secret", lambda: "http://here")
    proxy = DataProxy("/store", signer)
    wanted = dataproxy_pb2.CreateUploadLocationRequest(
        project="p", domain="d", filename="f.tar.gz", content_md5=b"0" * 16
    )
    answer = await proxy.CreateUploadLocation(wanted, CALL)
    assert answer.native_url == "/store/uploads/p/d/GAYDAMBQGAYDAMBQGAYDAMBQGA======/f.tar.gz"
    query = dict(part.split("=", 1) for part in answer.signed_url.split("?")[1].split("&"))
    md5 = "MDAwMDAwMDAwMDAwMDAwMA=="
    assert not signer.refusal(answer.native_url, query["expires"], md5, query["signature"])
    assert "signature" in signer.refusal("/store/other", query["expires"], md5, query["signature"])
    wanted.filename_root = "../../x"
    with pytest.raises(InvalidArgument, match="may not hold"):
        await proxy.CreateUploadLocation(wanted, CALL)
