"""Executions that runs start and wait for: the engine's port, answered by this admin itself."""

import re
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
from lacewing.model.run import RunError, RunSpec
from lacewing.model.steps import Past
from lacewing.ports import BlobStore, ChildEnd, ChildOrder
from lacewing.services import db
from lacewing.services.admin.executions import Executions, execution_identifier, execution_message
from lacewing.services.admin.ingest import TERMINAL
from lacewing.services.admin.launches import Launches
from lacewing.services.admin.past import past_of
from lacewing.services.admin.rows import execution_columns, find, get_execution
from lacewing.services.admin.views import node_message
from lacewing.services.rpc import Call

_CALL = Call("engine")
_NOT_IN_LABEL = re.compile("[^-a-z0-9]")
_LONGEST_LABEL = 63


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
            await self._start(order)
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

    async def _start(self, order: ChildOrder) -> None:
        if order.recovers:
            past = execution_identifier(RunKey.parse(order.recovers))
            request = execution_pb2.ExecutionRecoverRequest(id=past, name=order.key.name)
            request.metadata.parent_node_execution.CopyFrom(
                _request(order).spec.metadata.parent_node_execution
            )
            try:
                await self.launches.RecoverExecution(request, _CALL)
                return
            except NotFound:
                pass  # It was deleted: the child begins anew.
        await self.launches.CreateExecution(self._request(order), _CALL)

    async def recall(self, key: RunKey, node_id: str) -> Past | None:
        """What became of the node of an execution that another one recovers."""
        columns = {**execution_columns(execution_identifier(key)), "node_id": node_id}
        row = await self.database.read(lambda c: find(c, db.node_executions, columns))
        return await past_of(self.blobs, node_message(row)) if row is not None else None

    def _request(self, order: ChildOrder) -> execution_pb2.ExecutionCreateRequest:
        request = _request(order)
        if order.parent.raw_output_root != self.launches.raw_output_root:
            config = request.spec.raw_output_data_config
            config.output_location_prefix = order.parent.raw_output_root
        return request

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
    spec.labels.values.update(_labels(parent))
    spec.annotations.SetInParent()
    spec.annotations.values.update(parent.annotations)
    spec.max_parallelism = parent.max_parallelism
    spec.overwrite_cache = parent.overwrite_cache
    if parent.interruptible is not None:
        spec.interruptible.value = parent.interruptible
    spec.security_context.run_as.k8s_service_account = parent.service_account
    spec.envs.SetInParent()
    for name, value in parent.envs.items():
        spec.envs.values.add(key=name, value=value)
    return request


def _labels(parent: RunSpec) -> dict[str, str]:
    """What a child inherits: its parent's labels, and those by which the parent's objects are found."""
    key, workflow = parent.key, _NOT_IN_LABEL.sub("-", parent.workflow.lower())
    found = {"execution-id": key.name, "project": key.project, "domain": key.domain}
    found["workflow-name"] = workflow[:_LONGEST_LABEL].strip("-")
    return {**parent.labels, **found}
