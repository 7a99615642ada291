"""Tasks run by a real connector service, as an unmodified flytekit starts one."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from client import Client, free_port
from flyteidl.admin import execution_pb2
from flyteidl.core import literals_pb2
from lacewing.demo.app import demo
from lacewing.demo.settings import DemoSettings

CODE = Path(__file__).parents[1] / "data/e2e/connectors.py"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a connector service."""
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    shutil.copy(CODE, folder)
    command = [Path(sys.executable).parent / "pyflyte", "serve", "connector", "--port", str(port)]
    command += ["--prometheus_port", str(free_port()), "--modules", "connectors"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    yield port
    process.terminate()
    process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: int, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    connector = {"endpoint": f"127.0.0.1:{service}", "poll_seconds": 0.1, "timeout_seconds": 60}
    settings = DemoSettings(
        port=port,
        plugins=["container", "connector"],
        plugin_settings={"connector": connector},
        hold_seconds=0,
    )
    shutil.copy(CODE, folder)
    serving = demo(folder / "home", settings)
    async with serving, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        found = Client(port, channel)
        await found.register(folder, "1", ["connectors"])
        yield found


async def outputs(client: Client, identifier: Any) -> literals_pb2.LiteralMap:
    request = execution_pb2.WorkflowExecutionGetDataRequest(id=identifier)
    return (await client.admin.GetExecutionData(request)).full_outputs


async def test_async_and_sync_connectors_run_beside_tasks_of_ours(client: Client):
    identifier = await client.start("connectors.both", "1", {}, {})
    assert await client.end(identifier) == "SUCCEEDED"
    answer = (await outputs(client, identifier)).literals["o0"]
    assert answer.scalar.primitive.string_value == "HELLO YOU 42"


async def test_a_failure_of_the_connector_is_told_in_its_words(client: Client):
    identifier = await client.start("connectors.both", "1", {"number": -1}, {})
    assert await client.end(identifier) == "FAILED"
    request = execution_pb2.WorkflowExecutionGetRequest(id=identifier)
    error = (await client.admin.GetExecution(request)).closure.error
    assert "negative numbers are refused" in error.message


async def test_a_connector_runs_the_elements_of_a_map(client: Client):
    identifier = await client.start("connectors.many", "1", {}, {})
    assert await client.end(identifier) == "SUCCEEDED", (await client.view(identifier))["execution"][
        "closure"
    ]["error"]
    found = (await outputs(client, identifier)).literals["o0"].collection.literals
    assert [one.scalar.primitive.integer for one in found] == [2, 4, 6]


async def test_a_sensor_waits_for_what_it_senses_and_can_be_aborted(client: Client, tmp_path: Path):
    plan = {"resource_type": 3, "project": "flytesnacks", "domain": "development"}
    request = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development")
    request.spec.launch_plan.CopyFrom(
        type(request.spec.launch_plan)(**plan, name="connectors.wait", version="1")
    )
    path = request.inputs.literals["path"].scalar.primitive
    path.string_value = str(tmp_path / "ready")
    first, second = [(await client.admin.CreateExecution(request)).id for _ in range(2)]
    await client.abort_at(second, "n0", "enough")
    assert await client.end(second) == "ABORTED"
    await asyncio.to_thread((tmp_path / "ready").touch)
    assert await client.end(first) == "SUCCEEDED"
