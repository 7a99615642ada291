"""What connectors answer, as observations; and a service that is not there."""

import base64

import pytest
from flyteidl.admin import agent_pb2
from flyteidl.core import execution_pb2
from lacewing import ConfigError, TaskPhase, TransientError
from lacewing.testing import MemoryCluster, make_task
from lacewing_connector import ConnectorBackend, ConnectorSettings
from lacewing_connector.backend import observation, template_of
from lacewing_connector.service import Connector, discover

Phase = execution_pb2.TaskExecution
NOWHERE = ConnectorSettings(endpoint="127.0.0.1:1", timeout_seconds=0.5, poll_seconds=3)


@pytest.mark.parametrize(
    ("answer", "phase"),
    [
        ({"phase": Phase.QUEUED}, TaskPhase.QUEUED),
        ({"phase": Phase.INITIALIZING}, TaskPhase.INITIALIZING),
        ({"phase": Phase.WAITING_FOR_RESOURCES}, TaskPhase.WAITING_FOR_RESOURCES),
        ({"phase": Phase.RUNNING}, TaskPhase.RUNNING),
        ({"phase": Phase.SUCCEEDED}, TaskPhase.SUCCEEDED),
        ({"phase": Phase.FAILED}, TaskPhase.PERMANENT),
        ({"phase": Phase.ABORTED}, TaskPhase.PERMANENT),
        ({"state": agent_pb2.PENDING}, TaskPhase.QUEUED),
        ({"state": agent_pb2.RUNNING}, TaskPhase.RUNNING),
        ({"state": agent_pb2.SUCCEEDED}, TaskPhase.SUCCEEDED),
        ({"state": agent_pb2.RETRYABLE_FAILURE}, TaskPhase.RETRYABLE),
        ({"state": agent_pb2.PERMANENT_FAILURE}, TaskPhase.PERMANENT),
    ],
)
def test_each_answer_means_its_phase(answer: dict[str, int], phase: TaskPhase):
    assert observation(agent_pb2.Resource(**answer)).phase is phase


def test_a_recoverable_failure_is_tried_again_and_keeps_its_code():
    error = agent_pb2.AgentError(code="Busy", kind=agent_pb2.AgentError.RECOVERABLE)
    seen = observation(agent_pb2.Resource(phase=Phase.FAILED, message="later", agent_error=error))
    assert (seen.phase, seen.code, seen.reason) == (TaskPhase.RETRYABLE, "Busy", "later")


def test_the_command_is_rendered_for_the_connector():
    task = make_task("spark", args=["{{.input}}"])
    assert list(template_of(task).container.args) == [task.input_uri]


def test_a_service_that_is_not_there_is_told_at_start():
    with pytest.raises(ConfigError, match=r"127.0.0.1:1 does not answer .*pyflyte serve connector"):
        discover(NOWHERE)


async def test_work_cannot_be_created_while_the_service_is_away():
    backend = ConnectorBackend(NOWHERE, {"python-task": Connector(False)})
    with pytest.raises(TransientError, match="the connector service could not create the task"):
        await backend.launch(MemoryCluster(), make_task())


async def test_work_that_cannot_be_looked_at_waits_and_is_looked_at_again():
    backend = ConnectorBackend(NOWHERE, {"python-task": Connector(False)})
    seen = await backend.observe(MemoryCluster(), make_task(), {"meta": ""})
    assert (seen.phase, seen.look_again_seconds) == (TaskPhase.WAITING_FOR_RESOURCES, 3)
    assert "could not tell the task's state" in seen.reason


async def test_what_a_sync_connector_answered_is_in_the_handle():
    done = agent_pb2.Resource(phase=Phase.SUCCEEDED).SerializeToString()
    backend = ConnectorBackend(NOWHERE, {"python-task": Connector(True)})
    handle = {"done": base64.b64encode(done).decode()}
    assert (await backend.observe(MemoryCluster(), make_task(), handle)).phase is TaskPhase.SUCCEEDED
    await backend.abort(MemoryCluster(), make_task(), handle)


def test_a_type_is_asked_for_in_a_version_that_the_service_has():
    connector = Connector(False, frozenset({0, 2}))
    assert [connector.version(wanted) for wanted in (0, 1, 2)] == [0, 2, 2]
