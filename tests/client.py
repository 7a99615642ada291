"""What tests of a running server do as its clients: pyflyte in a process, and admin asked over gRPC."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from flyteidl.admin import common_pb2, execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.admin import signal_pb2 as signal_messages
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.service import admin_pb2, admin_pb2_grpc, dataproxy_pb2, signal_pb2, signal_pb2_grpc
from google.protobuf import message_factory
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from lacewing.demo.app import demo
from lacewing.demo.settings import DemoSettings

PLACE = {"project": "flytesnacks", "domain": "development"}
ENDED = {"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"}
SERVICES = {
    one.name: one
    for module in (admin_pb2, dataproxy_pb2, signal_pb2)
    for one in module.DESCRIPTOR.services_by_name.values()
}
OLDEST_FIRST = common_pb2.Sort(key="created_at", direction=common_pb2.Sort.ASCENDING)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def shown(message: Message) -> Any:
    """A message as proto JSON with proto field names; what is at its default is absent."""
    return MessageToDict(message, preserving_proto_field_name=True)


@dataclass(frozen=True)
class Client:
    """A client of a server that runs on `port`."""

    port: int
    channel: grpc.aio.Channel

    @property
    def admin(self) -> Any:
        """The generated client of admin."""
        return admin_pb2_grpc.AdminServiceStub(self.channel)

    async def register(self, folder: Path, version: str, modules: Sequence[str]) -> None:
        """Register modules of `folder` with an unmodified pyflyte."""
        endpoint = f"admin:\n  endpoint: dns:///127.0.0.1:{self.port}\n  insecure: true\n"
        (folder / "config.yaml").write_text(endpoint)
        command = [Path(sys.executable).parent / "pyflyte", "--config", "config.yaml", "register"]
        command += [
            "--version",
            version,
            "--image",
            "localhost/flytekit:1",
            *(f"{one}.py" for one in modules),
        ]
        done = await asyncio.to_thread(subprocess.run, command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    async def ask(self, rpc: str, request: dict[str, Any]) -> dict[str, Any]:
        """Call `Service/Method` with proto JSON: its `answer`, or `code` and `details`."""
        service, _, name = rpc.partition("/")
        method = SERVICES[service].methods_by_name[name]
        question, answer = (
            message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type)
        )
        call = self.channel.unary_unary(
            f"/{method.containing_service.full_name}/{name}",
            request_serializer=question.SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return {"answer": shown(await call(ParseDict(request, question())))}
        except grpc.aio.AioRpcError as error:
            return {"code": error.code().name, "details": error.details()}

    async def start(self, name: str, version: str, inputs: dict[str, int], spec: dict[str, Any]) -> Any:
        """Start an execution of a launch plan; its identifier."""
        plan = {**PLACE, "resource_type": "LAUNCH_PLAN", "name": name, "version": version}
        literals = {key: {"scalar": {"primitive": {"integer": value}}} for key, value in inputs.items()}
        wanted = {**PLACE, "spec": {**spec, "launch_plan": plan}, "inputs": {"literals": literals}}
        request = ParseDict(wanted, execution_pb2.ExecutionCreateRequest())
        return (await self.admin.CreateExecution(request)).id

    async def abort_at(self, identifier: Any, node_id: str, cause: str) -> None:
        """Terminate an execution once that node runs."""
        running = core_pb2.NodeExecution.Phase.RUNNING
        for _ in range(600):
            if any(
                one.id.node_id == node_id and one.closure.phase == running
                for one in await self._nodes(identifier)
            ):
                break
            await asyncio.sleep(0.1)
        await self.admin.TerminateExecution(
            execution_pb2.ExecutionTerminateRequest(id=identifier, cause=cause)
        )

    async def signal(self, identifier: Any, values: dict[str, dict[str, Any]]) -> None:
        """Set signals of an execution as soon as it waits for them."""
        stub = signal_pb2_grpc.SignalServiceStub(self.channel)
        for name, value in values.items():
            wanted = {"id": {"execution_id": shown(identifier), "signal_id": name}}
            wanted |= {"value": {"scalar": {"primitive": value}}}
            request = ParseDict(wanted, signal_messages.SignalSetRequest())
            for _ in range(600):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stub.SetSignal(request)
                    break
                await asyncio.sleep(0.1)

    async def end(self, identifier: Any) -> str:
        """Wait for an execution's end; the phase in which it ended."""
        request = execution_pb2.WorkflowExecutionGetRequest(id=identifier)
        for _ in range(900):
            execution = await self.admin.GetExecution(request)
            phase: str = core_pb2.WorkflowExecution.Phase.Name(execution.closure.phase)
            if phase in ENDED:
                return phase
            await asyncio.sleep(0.1)
        raise AssertionError(f"{identifier.name} is still {phase}")

    async def view(self, identifier: Any) -> dict[str, Any]:
        """All that a client can read of an execution, its nodes and their attempts."""
        execution = execution_pb2.WorkflowExecutionGetRequest(id=identifier)
        data = execution_pb2.WorkflowExecutionGetDataRequest(id=identifier)
        return {
            "execution": shown(await self.admin.GetExecution(execution)),
            "data": shown(await self.admin.GetExecutionData(data)),
            "nodes": [await self._node_view(one) for one in await self._nodes(identifier)],
        }

    async def _nodes(self, identifier: Any, parent: str = "") -> Any:
        request = node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=identifier, limit=100, sort_by=OLDEST_FIRST, unique_parent_id=parent
        )
        return (await self.admin.ListNodeExecutions(request)).node_executions

    async def _node_view(self, node: Any) -> dict[str, Any]:
        data = node_execution_pb2.NodeExecutionGetDataRequest(id=node.id)
        found = {
            "node": shown(node),
            "data": shown(await self.admin.GetNodeExecutionData(data)),
            "tasks": await self._tasks(node.id),
        }
        if node.metadata.is_parent_node:
            children = await self._nodes(node.id.execution_id, node.id.node_id)
            found["children"] = [await self._node_view(one) for one in children]
        if node.closure.HasField("workflow_node_metadata"):
            found["child_execution"] = await self.view(node.closure.workflow_node_metadata.executionId)
        return found

    async def _tasks(self, node_id: Any) -> list[Any]:
        request = task_execution_pb2.TaskExecutionListRequest(
            node_execution_id=node_id, limit=100, sort_by=OLDEST_FIRST
        )
        found = []
        for task in (await self.admin.ListTaskExecutions(request)).task_executions:
            data = task_execution_pb2.TaskExecutionGetDataRequest(id=task.id)
            found.append({"task": shown(task), "data": shown(await self.admin.GetTaskExecutionData(data))})
        return found


@contextlib.asynccontextmanager
async def running_demo(home: Path, slots: int) -> AsyncIterator[Client]:
    """A demo of its own while the context lasts, and a client of it."""
    port = free_port()
    serving = demo(home, DemoSettings(port=port, slots=slots))
    async with serving, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(port, channel)
