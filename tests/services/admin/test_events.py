"""Events into rows, on a real SQLite: what is refused, what repeats, and what adds up."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    node_execution_pb2,
    task_execution_pb2,
)
from flyteidl.admin import event_pb2 as admin_event_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.event import event_pb2
from lacewing.adapters.blob import LocalBlobStore
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.errors import AlreadyExists, FailedPrecondition, NotFound
from lacewing.services import db
from lacewing.services.admin.events import Events, ingest
from lacewing.services.admin.views import Views
from lacewing.services.rpc import Call

CALL = Call("test")
RUN = {"project": "p", "domain": "d", "name": "run"}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    found = Database(engine)
    closure = execution_pb2.ExecutionClosure()
    closure.created_at.FromSeconds(1)
    values = {f"execution_{name}": value for name, value in RUN.items()}
    row = {**values, "phase": "UNDEFINED", "closure": closure.SerializeToString(), "spec": b""}
    await found.write(lambda c: c.execute(db.executions.insert().values(row)))
    yield found
    found.close()


def timed(message: Any, kind: Any, phase: str, second: int) -> Any:
    message.phase = kind.Phase.Value(phase)
    message.occurred_at.FromSeconds(second)
    return message


def run_event(phase: str, second: int = 2, **more: Any) -> Any:
    message = event_pb2.WorkflowExecutionEvent(execution_id=RUN, **more)
    return timed(message, core_pb2.WorkflowExecution, phase, second)


def node_event(node_id: str, phase: str, second: int = 2, **more: Any) -> Any:
    message = event_pb2.NodeExecutionEvent(spec_node_id=node_id, event_version=1, **more)
    message.id.node_id = node_id
    message.id.execution_id.CopyFrom(run_event("RUNNING").execution_id)
    return timed(message, core_pb2.NodeExecution, phase, second)


def task_event(phase: str, second: int = 2, version: int = 0, **more: Any) -> Any:
    message = event_pb2.TaskExecutionEvent(phase_version=version, task_type="python-task", **more)
    message.task_id.resource_type, message.task_id.project, message.task_id.domain = 1, "p", "d"
    message.task_id.name, message.task_id.version = "t", "v"
    message.parent_node_execution_id.CopyFrom(node_event("n0", "RUNNING").id)
    return timed(message, core_pb2.TaskExecution, phase, second)


async def told(database: Database, *events: Any) -> None:
    services = Events(database)
    for event in events:
        if isinstance(event, event_pb2.WorkflowExecutionEvent):
            await services.CreateWorkflowEvent(
                admin_event_pb2.WorkflowExecutionEventRequest(event=event), CALL
            )
        elif isinstance(event, event_pb2.NodeExecutionEvent):
            await services.CreateNodeEvent(admin_event_pb2.NodeExecutionEventRequest(event=event), CALL)
        else:
            await services.CreateTaskEvent(admin_event_pb2.TaskExecutionEventRequest(event=event), CALL)


async def nodes(database: Database, parent: str = "") -> list[Any]:
    views = Views(database, LocalBlobStore())
    request = node_execution_pb2.NodeExecutionListRequest(
        workflow_execution_id=RUN, limit=10, unique_parent_id=parent
    )
    request.sort_by.CopyFrom(common_pb2.Sort(key="created_at", direction=common_pb2.Sort.ASCENDING))
    return list((await views.ListNodeExecutions(request, CALL)).node_executions)


async def attempt(database: Database) -> Any:
    identifier = node_event("n0", "RUNNING").id
    request = task_execution_pb2.TaskExecutionListRequest(node_execution_id=identifier, limit=10)
    (found,) = (await Views(database, LocalBlobStore()).ListTaskExecutions(request, CALL)).task_executions
    return found.closure


async def test_a_phase_is_recorded_once(database: Database):
    await told(database, run_event("RUNNING"))
    with pytest.raises(AlreadyExists, match="This phase RUNNING was already recorded"):
        await told(database, run_event("RUNNING"))
    with pytest.raises(FailedPrecondition, match="Invalid phase change from RUNNING to QUEUED"):
        await told(database, run_event("QUEUED"))


async def test_what_ended_stays_ended_and_says_so_in_a_detail(database: Database):
    await told(database, run_event("RUNNING"), run_event("SUCCEEDED", 9, output_uri="/o"))
    with pytest.raises(FailedPrecondition) as refused:
        await told(database, run_event("FAILED"))
    assert refused.value.details[0].already_in_terminal_state.current_phase == "SUCCEEDED"


async def test_the_event_of_a_cluster_that_does_not_own_the_run_is_refused(database: Database):
    await database.write(lambda c: c.execute(db.executions.update().values(cluster="here")))
    with pytest.raises(FailedPrecondition) as refused:
        await told(database, run_event("RUNNING", producer_id="elsewhere"))
    assert refused.value.details[0].incompatible_cluster.cluster == "here"


async def test_children_are_listed_under_their_parent_only(database: Database):
    child = node_event("n0-0-x", "QUEUED", 4, retry_group="0")
    child.parent_node_metadata.node_id = "n0"
    with pytest.raises(NotFound):
        await told(database, child)
    await told(database, node_event("n0", "QUEUED", 3, is_parent=True), child)
    assert [one.id.node_id for one in await nodes(database)] == ["n0"]
    (found,) = await nodes(database, parent="n0")
    assert (found.id.node_id, found.metadata.retry_group) == ("n0-0-x", "0")


async def test_nodes_are_listed_under_the_attempt_that_made_them(database: Database):
    await told(database, node_event("n0", "RUNNING"), task_event("RUNNING"))
    node = task_execution_pb2.TaskExecutionListRequest(
        node_execution_id=node_event("n0", "QUEUED").id, limit=1
    )
    views = Views(database, LocalBlobStore())
    made = (await views.ListTaskExecutions(node, CALL)).task_executions[0].id
    child = node_event("c0", "QUEUED", parent_task_metadata={"id": made})
    await told(database, child)
    wanted = node_execution_pb2.NodeExecutionForTaskListRequest(task_execution_id=made, limit=9)
    listed = await views.ListNodeExecutionsForTask(wanted, CALL)
    assert [one.id.node_id for one in listed.node_executions] == ["c0"]
    made.retry_attempt = 5
    wanted.task_execution_id.CopyFrom(made)
    with pytest.raises(NotFound, match="missing entity of type task execution"):
        await views.ListNodeExecutionsForTask(wanted, CALL)


async def test_flags_of_a_node_stay_and_its_outputs_are_kept(database: Database):
    await told(database, node_event("n0", "QUEUED", 3, is_parent=True), node_event("n0", "RUNNING", 4))
    await told(database, node_event("n0", "SUCCEEDED", 9, output_uri="/o"))
    (found,) = await nodes(database)
    assert found.metadata.is_parent_node
    assert (found.closure.output_uri, found.closure.duration.seconds) == ("/o", 5)


async def test_reasons_logs_and_resources_of_an_attempt_add_up(database: Database):
    first = task_event("QUEUED", 3, reason="submitted")
    running = task_event("RUNNING", 4, reason="started", logs=[{"uri": "u", "name": "l"}])
    running.metadata.external_resources.add(external_id="a", index=1)
    running.metadata.external_resources.add(external_id="b")
    later = task_event("RUNNING", 5, 1, reason="started", logs=[{"uri": "w", "name": "m"}])
    later.metadata.external_resources.add(external_id="a", index=1, phase=3)
    await told(database, node_event("n0", "RUNNING"), first, running, later, task_event("SUCCEEDED", 10))
    closure = await attempt(database)
    assert [one.message for one in closure.reasons] == ["submitted", "started"]
    assert [one.uri for one in closure.logs] == ["w", "u"]
    resources = [(one.index, one.external_id, one.phase) for one in closure.metadata.external_resources]
    assert resources == [(0, "b", 0), (1, "a", 3)]
    assert closure.duration.seconds == 6


async def test_an_aborted_attempt_has_no_error_and_an_attempt_needs_its_node(database: Database):
    with pytest.raises(NotFound, match="node execution"):
        await told(database, task_event("QUEUED"))
    await told(database, node_event("n0", "RUNNING"), task_event("RUNNING"))
    await told(database, task_event("ABORTED", 5, error={"code": "c", "message": "m"}))
    assert not (await attempt(database)).HasField("error")


async def test_a_batch_passes_over_what_was_recorded_before(database: Database):
    events = [run_event("RUNNING"), node_event("n0", "SUCCEEDED", 3), run_event("SUCCEEDED", 4)]
    write = ingest(database)
    await write(events)
    await write([*events, node_event("n1", "SUCCEEDED", 5)])
    assert [one.id.node_id for one in await nodes(database)] == ["n0", "n1"]
