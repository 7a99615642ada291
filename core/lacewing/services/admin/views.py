"""Node and task executions as clients read them, with their data. Rules: contract "admin", section 8."""

from typing import Any

import structlog
from flyteidl.admin import node_execution_pb2, task_execution_pb2
from flyteidl.core import compiler_pb2, identifier_pb2
from google.protobuf.message import DecodeError
from sqlalchemy import Connection, Row, select

from lacewing.adapters.sql import Database
from lacewing.errors import LacewingError, NotFound
from lacewing.ports import BlobStore
from lacewing.services import db
from lacewing.services.admin.data import fill_data
from lacewing.services.admin.executions import trim_error
from lacewing.services.admin.listing import NODE_EXECUTIONS, TASK_EXECUTIONS, list_page
from lacewing.services.admin.rows import execution_columns, find
from lacewing.services.admin.words import missing
from lacewing.services.rpc import Call

log = structlog.get_logger(__name__)
COMPILED = "dynamic_compiled.pb"
"""Beside what a dynamic task wrote, its engine puts what it compiled of it: propeller.md, section 3.1."""


class Views:
    """The RPCs that read node and task executions."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database, self._blobs = database, blobs

    async def GetNodeExecution(self, request: Any, call: Call) -> node_execution_pb2.NodeExecution:
        """One node."""
        return node_message(await self._database.read(lambda c: _node_row(c, request.id)))

    async def ListNodeExecutions(self, request: Any, call: Call) -> node_execution_pb2.NodeExecutionList:
        """A run's top-level nodes, or those of one parent, a page at a time."""
        run = request.workflow_execution_id
        parent = await self._parent(run, request.unique_parent_id)
        return await self._nodes(request, {**execution_columns(run), "parent_id": parent})

    async def ListNodeExecutionsForTask(
        self, request: Any, call: Call
    ) -> node_execution_pb2.NodeExecutionList:
        """The nodes that an attempt made, as engines of old told it."""
        row = await self._database.read(lambda c: _task_row(c, request.task_execution_id))
        return await self._nodes(request, {"parent_task_execution_id": row.id})

    async def _nodes(self, request: Any, scope: dict[str, Any]) -> node_execution_pb2.NodeExecutionList:
        rows, token = await list_page(self._database, NODE_EXECUTIONS, request, scope)
        nodes = [node_message(row) for row in rows]
        for node in nodes:
            trim_error(node.closure)
        return node_execution_pb2.NodeExecutionList(node_executions=nodes, token=token)

    async def _parent(self, run: identifier_pb2.WorkflowExecutionIdentifier, node_id: str) -> int | None:
        if not node_id:
            return None
        identifier = identifier_pb2.NodeExecutionIdentifier(execution_id=run, node_id=node_id)
        return int((await self._database.read(lambda c: _node_row(c, identifier))).id)

    async def GetNodeExecutionData(
        self, request: Any, call: Call
    ) -> node_execution_pb2.NodeExecutionGetDataResponse:
        """A node's inputs and outputs."""
        row = await self._database.read(lambda c: _node_row(c, request.id))
        closure = node_execution_pb2.NodeExecutionClosure.FromString(row.closure)
        answer = node_execution_pb2.NodeExecutionGetDataResponse()
        await self._fill(answer, row, closure.output_uri, f"{request.id.node_id}")
        grown = await grown_closure(self._blobs, closure.dynamic_job_spec_uri)
        if grown is not None:
            answer.dynamic_workflow.id.CopyFrom(grown.primary.template.id)
            answer.dynamic_workflow.compiled_workflow.CopyFrom(grown)
            answer.dynamic_workflow.dynamic_job_spec_uri = closure.dynamic_job_spec_uri
        if closure.deck_uri:
            answer.flyte_urls.deck = answer.flyte_urls.inputs[:-1] + "d"
        return answer

    async def GetDynamicNodeWorkflow(
        self, request: Any, call: Call
    ) -> node_execution_pb2.DynamicNodeWorkflowResponse:
        """The workflow that a dynamic task made."""
        row = await self._database.read(lambda c: _node_row(c, request.id))
        closure = node_execution_pb2.NodeExecutionClosure.FromString(row.closure)
        grown = await grown_closure(self._blobs, closure.dynamic_job_spec_uri)
        if grown is None:
            raise NotFound(f"node execution {request.id.node_id} made no workflow, or it is gone")
        return node_execution_pb2.DynamicNodeWorkflowResponse(compiled_workflow=grown)

    async def ListTaskExecutions(self, request: Any, call: Call) -> task_execution_pb2.TaskExecutionList:
        """A node's attempts, a page at a time."""
        node = request.node_execution_id
        scope = {**execution_columns(node.execution_id), "node_id": node.node_id}
        rows, token = await list_page(self._database, TASK_EXECUTIONS, request, scope)
        found = [task_message(row) for row in rows]
        return task_execution_pb2.TaskExecutionList(task_executions=found, token=token)

    async def GetTaskExecution(self, request: Any, call: Call) -> task_execution_pb2.TaskExecution:
        """One attempt."""
        return task_message(await self._database.read(lambda c: _task_row(c, request.id)))

    async def GetTaskExecutionData(
        self, request: Any, call: Call
    ) -> task_execution_pb2.TaskExecutionGetDataResponse:
        """An attempt's inputs and outputs."""
        row = await self._database.read(lambda c: _task_row(c, request.id))
        closure = task_execution_pb2.TaskExecutionClosure.FromString(row.closure)
        answer = task_execution_pb2.TaskExecutionGetDataResponse()
        await self._fill(answer, row, closure.output_uri, f"{row.node_id}/{row.retry_attempt}")
        return answer

    async def find_attempt(
        self, node: identifier_pb2.NodeExecutionIdentifier, attempt: int
    ) -> identifier_pb2.TaskExecutionIdentifier:
        """The whole name of a node's attempt; raises NotFound."""
        table = db.task_executions
        columns = {**execution_columns(node.execution_id), "node_id": node.node_id, "retry_attempt": attempt}
        query = select(table).where(*(table.c[name] == value for name, value in columns.items()))
        row = await self._database.read(lambda c: c.execute(query.order_by(table.c.id.desc())).first())
        if row is None:
            raise missing(
                "task execution",
                identifier_pb2.TaskExecutionIdentifier(node_execution_id=node, retry_attempt=attempt),
            )
        return task_message(row).id

    async def _fill(self, answer: Any, row: Row[Any], output_uri: str, place: str) -> None:
        await fill_data(self._blobs, answer, row.input_uri, output_uri)
        base = f"flyte://v1/{row.execution_project}/{row.execution_domain}/{row.execution_name}/{place}"
        answer.flyte_urls.inputs, answer.flyte_urls.outputs = f"{base}/i", f"{base}/o"


async def grown_closure(blobs: BlobStore, spec_uri: str) -> compiler_pb2.CompiledWorkflowClosure | None:
    """The workflow that a dynamic task made, which its engine put beside the task's own file of nodes."""
    if not spec_uri:
        return None
    uri = f"{spec_uri.rpartition('/')[0]}/{COMPILED}"
    try:
        return compiler_pb2.CompiledWorkflowClosure.FromString(await blobs.read(uri))
    except (DecodeError, FileNotFoundError, LacewingError) as error:
        log.warning("a dynamic workflow cannot be read", uri=uri, reason=str(error))
        return None


def _node_row(connection: Connection, identifier: identifier_pb2.NodeExecutionIdentifier) -> Row[Any]:
    columns = {**execution_columns(identifier.execution_id), "node_id": identifier.node_id}
    row = find(connection, db.node_executions, columns)
    if row is None:
        raise missing("node execution", identifier)
    return row


def _task_row(connection: Connection, identifier: identifier_pb2.TaskExecutionIdentifier) -> Row[Any]:
    node, task = identifier.node_execution_id, identifier.task_id
    columns: dict[str, Any] = {
        **execution_columns(node.execution_id),
        "node_id": node.node_id,
        "retry_attempt": identifier.retry_attempt,
        **{name: getattr(task, name) for name in ("project", "domain", "name", "version")},
    }
    row = find(connection, db.task_executions, columns)
    if row is None:
        raise missing("task execution", identifier)
    return row


def node_message(row: Row[Any]) -> node_execution_pb2.NodeExecution:
    """A stored node execution."""
    message = node_execution_pb2.NodeExecution(
        input_uri=row.input_uri,
        closure=node_execution_pb2.NodeExecutionClosure.FromString(row.closure),
        metadata=node_execution_pb2.NodeExecutionMetaData.FromString(row.metadata),
    )
    message.id.node_id = row.node_id
    _execution(message.id.execution_id, row)
    return message


def task_message(row: Row[Any]) -> task_execution_pb2.TaskExecution:
    """A stored attempt."""
    message = task_execution_pb2.TaskExecution(
        input_uri=row.input_uri, closure=task_execution_pb2.TaskExecutionClosure.FromString(row.closure)
    )
    message.id.retry_attempt = row.retry_attempt
    message.id.node_execution_id.node_id = row.node_id
    _execution(message.id.node_execution_id.execution_id, row)
    task = message.id.task_id
    task.resource_type = identifier_pb2.TASK
    task.project, task.domain, task.name, task.version = row.project, row.domain, row.name, row.version
    return message


def _execution(target: Any, row: Row[Any]) -> None:
    target.project, target.domain, target.name = (
        row.execution_project,
        row.execution_domain,
        row.execution_name,
    )
