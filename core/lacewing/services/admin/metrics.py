"""GetExecutionMetrics: loads an execution whole, in three queries, and has its spans made.

It reads rows and the compiled workflow, and changes nothing.
"""

from collections import defaultdict
from typing import Any

from flyteidl.admin import execution_pb2, workflow_pb2
from flyteidl.core import identifier_pb2
from sqlalchemy import Connection, Row, Table, select

from lacewing.adapters.sql import Database
from lacewing.ports import BlobStore
from lacewing.services import db
from lacewing.services.admin.executions import execution_message
from lacewing.services.admin.rows import execution_columns, get_execution
from lacewing.services.admin.spans import Story, execution_span
from lacewing.services.admin.views import node_message, task_message
from lacewing.services.rpc import Call

_DEEPEST = 32


class Metrics:
    """The RPC that tells where an execution's time went."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database, self._blobs = database, blobs

    async def GetExecutionMetrics(
        self, request: execution_pb2.WorkflowExecutionGetMetricsRequest, call: Call
    ) -> execution_pb2.WorkflowExecutionGetMetricsResponse:
        """The spans of an execution, as many levels deep as asked for; a negative depth is all of them."""
        depth = request.depth if 0 <= request.depth < _DEEPEST else _DEEPEST
        story = await self._story(request.id, depth)
        return execution_pb2.WorkflowExecutionGetMetricsResponse(span=execution_span(story, depth))

    async def _story(self, identifier: Any, depth: int) -> Story:
        row, closure_uri, nodes, attempts = await self._database.read(lambda c: _load(c, identifier))
        by_row = {one.id: one.node_id for one in nodes}
        levels, tried, children = defaultdict(list), defaultdict(list), {}
        for one in nodes:
            message = node_message(one)
            levels[by_row.get(one.parent_id, "")].append(message)
            if depth > 2 and message.closure.HasField("workflow_node_metadata"):
                child = message.closure.workflow_node_metadata.executionId
                children[one.node_id] = await self._story(child, depth - 2)
        for one in attempts:
            tried[one.node_id].append(task_message(one))
        closure = workflow_pb2.WorkflowClosure.FromString(await self._blobs.read(closure_uri))
        return Story(execution_message(row), closure.compiled_workflow, levels, tried, children)


def _load(
    connection: Connection, identifier: identifier_pb2.WorkflowExecutionIdentifier
) -> tuple[Row[Any], str, list[Row[Any]], list[Row[Any]]]:
    execution = get_execution(connection, identifier)
    workflow = select(db.workflows.c.remote_closure_identifier).where(
        db.workflows.c.id == execution.workflow_id
    )
    uri: str = connection.execute(workflow).scalar_one()
    nodes = _of(connection, db.node_executions, identifier)
    return execution, uri, nodes, _of(connection, db.task_executions, identifier)


def _of(connection: Connection, table: Table, identifier: Any) -> list[Row[Any]]:
    query = select(table).order_by(table.c.created_at, table.c.id)
    for name, value in execution_columns(identifier).items():
        query = query.where(table.c[name] == value)
    return list(connection.execute(query))
