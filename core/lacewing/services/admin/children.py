"""Executions that runs start and wait for: the engine's port, answered by this admin itself."""

from collections.abc import Callable
from dataclasses import dataclass

from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.core import literals_pb2

from lacewing.adapters.events import News
from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, FailedPrecondition, NotFound, RequestError, TaskError
from lacewing.model.ids import RunKey
from lacewing.model.phases import ErrorKind, RunPhase
from lacewing.model.run import RunError
from lacewing.ports import BlobStore, ChildEnd, ChildOrder
from lacewing.services.admin.executions import Executions, execution_identifier, execution_message
from lacewing.services.admin.ingest import TERMINAL
from lacewing.services.admin.launches import Launches
from lacewing.services.admin.rows import get_execution
from lacewing.services.rpc import Call

_CALL = Call("engine")
_NOT_INHERITED = "shard-key"


@dataclass(frozen=True)
class AdminChildren:
    """Starts and follows child executions. `wake(run, hint)` is called when one that was looked at ends."""

    database: Database
    blobs: BlobStore
    launches: Launches
    executions: Executions
    news: News
    wake: Callable[[RunKey, str], None]

    async def start(self, order: ChildOrder) -> None:
        """Start the execution with what its parent's run hands down; one of its name is success."""
        self.news.subscribe(order.key, _Waiter(self, order.key, order.parent.key, order.hint))
        try:
            await self.launches.CreateExecution(_request(order), _CALL)
        except AlreadyExists as error:
            if await self._find(order.key) is None:
                raise TaskError(error.message, code=error.code) from error
        except RequestError as error:
            raise TaskError(
                f"launch plan {order.launch_plan.name} cannot be started: {error.message}", code=error.code
            ) from error

    async def look(self, key: RunKey, parent: RunKey, hint: str) -> ChildEnd | None:
        """How the execution ended. While it goes on, its end will wake `hint` of `parent`."""
        found = await self._find(key)
        if found is not None and execution_phase(found) not in TERMINAL:
            # Listen first, then look: an end in between is seen by the second look.
            self.news.subscribe(key, _Waiter(self, key, parent, hint))
            found = await self._find(key)
        if found is None:
            raise TaskError(f"child execution {key} is gone", code="RemoteChildWorkflowExecutionFailed")
        return await self._end(found) if execution_phase(found) in TERMINAL else None

    async def stop(self, key: RunKey, cause: str) -> None:
        """Have it aborted, if it is there and goes on."""
        request = execution_pb2.ExecutionTerminateRequest(id=execution_identifier(key), cause=cause)
        try:
            await self.executions.TerminateExecution(request, _CALL)
        except (FailedPrecondition, NotFound):
            return

    async def _find(self, key: RunKey) -> execution_pb2.Execution | None:
        try:
            row = await self.database.read(lambda c: get_execution(c, execution_identifier(key)))
        except NotFound:
            return None
        return execution_message(row)

    async def _end(self, found: execution_pb2.Execution) -> ChildEnd:
        phase, outputs = execution_phase(found), literals_pb2.LiteralMap()
        if phase == "SUCCEEDED":
            if found.closure.outputs.uri:
                outputs.ParseFromString(await self.blobs.read(found.closure.outputs.uri))
            return ChildEnd(RunPhase.SUCCEEDED, outputs)
        if phase == "ABORTED":
            return ChildEnd(RunPhase.ABORTED, outputs, RunError("", found.closure.abort_metadata.cause))
        error = found.closure.error
        return ChildEnd(RunPhase.FAILED, outputs, RunError(error.code, error.message, ErrorKind(error.kind)))


@dataclass(frozen=True)
class _Waiter:
    """Wakes the parent once, when the child has ended. Two of the same are equal, so one listens but once."""

    children: AdminChildren
    key: RunKey
    parent: RunKey
    hint: str

    def __call__(self, ended: bool) -> None:
        if ended:
            self.children.news.unsubscribe(self.key, self)
            self.children.wake(self.parent, self.hint)


def execution_phase(execution: execution_pb2.Execution) -> str:
    """The phase's name."""
    return str(core_pb2.WorkflowExecution.Phase.Name(execution.closure.phase))


def _request(order: ChildOrder) -> execution_pb2.ExecutionCreateRequest:
    parent = order.parent
    request = execution_pb2.ExecutionCreateRequest(
        project=order.key.project, domain=order.key.domain, name=order.key.name
    )
    request.inputs.CopyFrom(order.inputs)
    spec = request.spec
    spec.launch_plan.CopyFrom(order.launch_plan)
    spec.metadata.mode = execution_pb2.ExecutionMetadata.CHILD_WORKFLOW
    spec.metadata.parent_node_execution.node_id = order.parent_node_id
    spec.metadata.parent_node_execution.execution_id.CopyFrom(execution_identifier(parent.key))
    spec.labels.values.update({k: v for k, v in parent.labels.items() if k != _NOT_INHERITED})
    spec.annotations.values.update(parent.annotations)
    spec.max_parallelism = parent.max_parallelism
    spec.overwrite_cache = parent.overwrite_cache
    if parent.interruptible is not None:
        spec.interruptible.value = parent.interruptible
    spec.raw_output_data_config.output_location_prefix = parent.raw_output_root
    spec.security_context.run_as.k8s_service_account = parent.service_account
    for name, value in parent.envs.items():
        spec.envs.values.add(key=name, value=value)
    return request
