"""Tasks run by a connector service. Rules: the contract of flyteidl's agent services.

An async connector creates its work and is asked for its state; a sync one answers with the end of it, which
is kept in the handle until the engine looks.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from functools import cached_property

import grpc
from flyteidl.admin import agent_pb2
from flyteidl.core import execution_pb2, tasks_pb2
from flyteidl.service import agent_pb2_grpc
from grpc import aio
from lacewing import (
    ErrorKind,
    Handle,
    Link,
    Observation,
    RemoteBackend,
    TaskContext,
    TaskError,
    TransientError,
)

from lacewing_connector.service import Connector, refusal
from lacewing_connector.settings import ConnectorSettings

_LARGEST_ANSWER = 128 * 2**10
_Phase = execution_pb2.TaskExecution
_STATES = {
    agent_pb2.RETRYABLE_FAILURE: _Phase.FAILED,
    agent_pb2.PERMANENT_FAILURE: _Phase.FAILED,
    agent_pb2.PENDING: _Phase.QUEUED,
    agent_pb2.RUNNING: _Phase.RUNNING,
    agent_pb2.SUCCEEDED: _Phase.SUCCEEDED,
}


class ConnectorBackend(RemoteBackend):
    """Runs the task types of `connectors`."""

    name = "connector"

    def __init__(self, settings: ConnectorSettings, connectors: Mapping[str, Connector]) -> None:
        self._settings, self._connectors = settings, dict(connectors)
        self.task_types = tuple(sorted(connectors))
        self.poll_seconds = settings.poll_seconds

    @cached_property
    def _channel(self) -> aio.Channel:
        """Made on first use, inside the running loop."""
        if self._settings.secure:
            return aio.secure_channel(self._settings.endpoint, grpc.ssl_channel_credentials())
        return aio.insecure_channel(self._settings.endpoint)

    async def create(self, task: TaskContext) -> Handle:
        """Have the work begun; of a sync connector have it done."""
        try:
            if self._connectors[task.template.type].sync:
                return await self._do(task)
            request = agent_pb2.CreateTaskRequest(
                inputs=task.inputs, template=self._template(task), output_prefix=task.output_prefix,
                task_execution_metadata=metadata_of(task),
            )  # fmt: skip
            stub = agent_pb2_grpc.AsyncAgentServiceStub(self._channel)
            answer = await stub.CreateTask(request, timeout=self._settings.timeout_seconds)
            return {"meta": _text(answer.resource_meta)}
        except grpc.RpcError as error:
            raise refusal(error, f"create the task of type {task.template.type!r}") from error

    async def _do(self, task: TaskContext) -> Handle:
        header = agent_pb2.CreateRequestHeader(
            template=self._template(task), output_prefix=task.output_prefix,
            task_execution_metadata=metadata_of(task),
        )  # fmt: skip

        async def requests() -> AsyncIterator[agent_pb2.ExecuteTaskSyncRequest]:
            yield agent_pb2.ExecuteTaskSyncRequest(header=header)
            yield agent_pb2.ExecuteTaskSyncRequest(inputs=task.inputs)

        stub = agent_pb2_grpc.SyncAgentServiceStub(self._channel)
        resource = agent_pb2.Resource()
        async for part in stub.ExecuteTaskSync(requests(), timeout=self._settings.sync_timeout_seconds):
            if part.HasField("header"):
                resource.MergeFrom(part.header.resource)
            elif part.HasField("outputs"):
                resource.outputs.MergeFrom(part.outputs)
        data = resource.SerializeToString()
        if len(data) > _LARGEST_ANSWER:
            raise TaskError(
                f"the sync connector answered {len(data)} bytes, and at most {_LARGEST_ANSWER} can be kept;"
                " return files instead",
                code="ConnectorError",
            )
        return {"done": _text(data)}

    def _template(self, task: TaskContext) -> tasks_pb2.TaskTemplate:
        template = template_of(task)
        template.task_type_version = self._category(task).version
        return template

    def _category(self, task: TaskContext) -> agent_pb2.TaskCategory:
        version = self._connectors[task.template.type].version(task.template.task_type_version)
        return agent_pb2.TaskCategory(name=task.template.type, version=version)

    async def look(self, task: TaskContext, handle: Handle) -> Observation:
        """What the connector says; while it cannot be reached, that."""
        if "done" in handle:
            return observation(agent_pb2.Resource.FromString(base64.b64decode(handle["done"])))
        request = agent_pb2.GetTaskRequest(
            task_type=task.template.type, resource_meta=base64.b64decode(handle["meta"]),
            output_prefix=task.output_prefix, task_category=self._category(task),
        )  # fmt: skip
        stub = agent_pb2_grpc.AsyncAgentServiceStub(self._channel)
        try:
            answer = await stub.GetTask(request, timeout=self._settings.timeout_seconds)
        except grpc.RpcError as error:
            told = refusal(error, "tell the task's state")
            if isinstance(told, TransientError):
                return Observation.waiting(told.message)
            return Observation.retryable(told.code, told.message, ErrorKind.SYSTEM)
        return observation(answer.resource)

    async def end(self, task: TaskContext, handle: Handle) -> None:
        """Have the work deleted."""
        if "done" in handle:
            return
        request = agent_pb2.DeleteTaskRequest(
            task_type=task.template.type, resource_meta=base64.b64decode(handle["meta"]),
            task_category=self._category(task),
        )  # fmt: skip
        stub = agent_pb2_grpc.AsyncAgentServiceStub(self._channel)
        try:
            await stub.DeleteTask(request, timeout=self._settings.timeout_seconds)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise refusal(error, "delete the task") from error


def observation(resource: agent_pb2.Resource) -> Observation:
    """What a connector's answer means. Older connectors fill `state` only."""
    phase = resource.phase or _STATES.get(resource.state, _Phase.UNDEFINED)
    links = tuple(Link(one.name or "Log", one.uri) for one in resource.log_links)
    if phase == _Phase.SUCCEEDED:
        outputs = resource.outputs if resource.HasField("outputs") else None
        return Observation.succeeded(reason=resource.message, links=links, outputs=outputs)
    if phase in (_Phase.FAILED, _Phase.ABORTED):
        return _failed(resource, links)
    if phase == _Phase.RUNNING:
        return Observation.running(resource.message, links=links)
    if phase == _Phase.INITIALIZING:
        return Observation.initializing(resource.message)
    if phase == _Phase.WAITING_FOR_RESOURCES:
        return Observation.waiting(resource.message)
    return Observation.queued(resource.message)


def _failed(resource: agent_pb2.Resource, links: tuple[Link, ...]) -> Observation:
    error = resource.agent_error
    code, message = error.code or "TaskFailedWithError", resource.message or "the connector gave no reason"
    old = not resource.phase and resource.state == agent_pb2.RETRYABLE_FAILURE
    if old or error.kind == agent_pb2.AgentError.RECOVERABLE:
        return Observation.retryable(code, message, links=links)
    return Observation.permanent(code, message, links=links)


def template_of(task: TaskContext) -> tasks_pb2.TaskTemplate:
    """The template with its command rendered, if it has one."""
    template = tasks_pb2.TaskTemplate()
    template.CopyFrom(task.template)
    if template.HasField("container"):
        del template.container.command[:]
        del template.container.args[:]
        template.container.command.extend(task.command)
        template.container.args.extend(task.args)
    return template


def metadata_of(task: TaskContext) -> agent_pb2.TaskExecutionMetadata:
    """Which attempt it is, and what it would have as a pod."""
    metadata = agent_pb2.TaskExecutionMetadata(
        namespace=task.namespace, labels=task.labels, annotations=task.annotations,
        k8s_service_account=task.service_account, environment_variables=task.environment,
        interruptible=task.interruptible,
    )  # fmt: skip
    identifier = metadata.task_execution_id
    identifier.task_id.CopyFrom(task.template.id)
    identifier.retry_attempt = task.attempt
    identifier.node_execution_id.node_id = task.node_id
    run = identifier.node_execution_id.execution_id
    run.project, run.domain, run.name = task.key.project, task.key.domain, task.key.name
    return metadata


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
