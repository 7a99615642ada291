"""The demo with an unmodified flytekit: gRPC, HTTP, SQLite and real processes."""

import asyncio
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import grpc
import httpx
import pytest
from flyteidl.admin import common_pb2, execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import execution_pb2 as core_execution
from flyteidl.service import admin_pb2_grpc
from lacewing.demo.app import demo
from lacewing.demo.settings import DemoSettings

WORKFLOWS = """
import typing
from dataclasses import dataclass
from flytekit import task, workflow

@dataclass
class Point:
    x: int
    name: str

@task
def add(a: int, b: int = 10) -> int:
    return a + b

@task
def point(x: int) -> Point:
    return Point(x, "p")

@task
def tell(p: Point, xs: typing.List[int]) -> str:
    return f"{p.name} {p.x} {sum(xs)}"

@task
def wrong(a: int) -> int:
    raise ValueError(f"the value {a} is wrong")
    return a

@workflow
def good(x: int = 1) -> str:
    a = add(a=x)
    return tell(p=point(x=a), xs=[a, x, 7])

@workflow
def bad(x: int = 1) -> int:
    return add(a=wrong(a=x))
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def execution_name(printed: str) -> str:
    return printed.split("/executions/")[1].split()[0].strip("./\x1b")


async def pyflyte(folder: Path, port: int, workflow: str, argument: str = "--x") -> str:
    """What `pyflyte run --remote` prints; the name of the execution is in it."""
    (folder / "wf.py").write_text(textwrap.dedent(WORKFLOWS))
    (folder / "config.yaml").write_text(f"admin:\n  endpoint: dns:///127.0.0.1:{port}\n  insecure: true\n")
    command = [Path(sys.executable).parent / "pyflyte", "--config", "config.yaml", "run", "--remote", "wf.py"]
    done = await asyncio.to_thread(
        subprocess.run, [*command, workflow, argument, "3"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def finished(stub: admin_pb2_grpc.AdminServiceStub, name: str) -> execution_pb2.Execution:
    request = execution_pb2.WorkflowExecutionGetRequest()
    request.id.project, request.id.domain, request.id.name = "flytesnacks", "development", name
    for _ in range(600):
        execution = await stub.GetExecution(request)
        if execution.closure.phase in (4, 6, 7, 8):
            return execution
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} is still {execution.closure.phase}")


async def test_a_single_task_runs_and_is_listed(tmp_path: Path):
    port = free_port()
    async with demo(tmp_path / "home", DemoSettings(port=port)):
        name = execution_name(await pyflyte(tmp_path, port, "add", "--a"))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            execution = await finished(stub, name)
            wanted = common_pb2.ResourceListRequest(limit=5, filters="value_in(phase,SUCCEEDED;FAILED)")
            wanted.id.project, wanted.id.domain = "flytesnacks", "development"
            listed = (await stub.ListExecutions(wanted)).executions
            archive = execution_pb2.ExecutionUpdateRequest(id=execution.id, state=1)
            await stub.UpdateExecution(archive)
            after = (await stub.ListExecutions(wanted)).executions
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            seen = await client.get(f"/api/v1/executions/flytesnacks/development/{name}")
            measured = (await client.get("/metrics")).text
    assert core_execution.WorkflowExecution.Phase.Name(execution.closure.phase) == "SUCCEEDED"
    assert execution.closure.workflow_id.name == ".flytegen.wf.add"
    assert execution.spec.launch_plan.name == "wf.add"
    assert seen.json()["closure"]["phase"] == "SUCCEEDED"
    assert "lacewing_launches_total 1.0" in measured
    assert "flyte:propeller:all:main_depth 0.0" in measured
    assert [one.id.name for one in listed] == [name]
    assert not after


@pytest.mark.parametrize("workflow", ["good", "bad"])
async def test_an_unmodified_pyflyte_runs_a_workflow(tmp_path: Path, workflow: str):
    port = free_port()
    settings = DemoSettings(port=port)
    async with demo(tmp_path / "home", settings):
        name = execution_name(await pyflyte(tmp_path, port, workflow))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            execution = await finished(stub, name)
            data = await stub.GetExecutionData(execution_pb2.WorkflowExecutionGetDataRequest(id=execution.id))
            listing = node_execution_pb2.NodeExecutionListRequest(
                workflow_execution_id=execution.id, limit=100
            )
            nodes = (await stub.ListNodeExecutions(listing)).node_executions
            attempts = await stub.ListTaskExecutions(
                task_execution_pb2.TaskExecutionListRequest(node_execution_id=nodes[1].id, limit=10)
            )
            with pytest.raises(grpc.aio.AioRpcError) as missing:
                await stub.GetTask(common_pb2.ObjectGetRequest())
    phase = core_execution.WorkflowExecution.Phase.Name(execution.closure.phase)
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(attempts.task_executions) == 1
    if workflow == "good":
        assert phase == "SUCCEEDED", execution.closure.error
        assert data.full_outputs.literals["o0"].scalar.primitive.string_value == "p 13 23"
        assert all(node.closure.output_uri for node in nodes if node.id.node_id != "end-node")
        assert {node.id.node_id for node in nodes} == {"start-node", "n0", "n1", "n2", "end-node"}
    else:
        assert phase == "FAILED"
        assert "ValueError: the value 3 is wrong" in execution.closure.error.message
        assert execution.closure.error.code == "USER:RuntimeError"
