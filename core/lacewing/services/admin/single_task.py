"""The workflow and launch plan around a task that is executed by itself.

Rules: contract "admin", section 3.6. They are made at the first execution and found again at the next; two
requests at once make the same.
"""

import hashlib
import re
from typing import Any

from flyteidl.admin import common_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, identifier_pb2
from flyteidl.core import workflow_pb2 as core_workflow_pb2
from google.protobuf.message import Message
from sqlalchemy import Connection, Row, Table
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.compiler.build import compile_workflow
from lacewing.ports import BlobStore
from lacewing.services import db
from lacewing.services.admin.descriptions import note_named_entity
from lacewing.services.admin.launch_plan import expected_inputs
from lacewing.services.admin.named import WRAPPER_PREFIX
from lacewing.services.admin.rows import closure_uri, entity_columns, find, now_text

WORKFLOW, LAUNCH_PLAN = identifier_pb2.WORKFLOW, identifier_pb2.LAUNCH_PLAN
_NODE_ID_LENGTH = 63
_RETRIES = 3


class SingleTasks:
    """Makes the wrappers of single tasks."""

    def __init__(self, database: Database, blobs: BlobStore, root: str) -> None:
        self._database, self._blobs, self._root = database, blobs, root

    async def ensure_single_task_workflow(self, task: Row[Any]) -> tuple[Row[Any], Row[Any]]:
        """The rows of the launch plan and the workflow around a task's row, made if they are not there."""
        names = {**entity_columns(task), "name": f"{WRAPPER_PREFIX}.{task.name}"}
        found = await self._database.read(lambda c: _rows(c, names))
        if found is not None:
            return found
        compiled_task = task_pb2.TaskClosure.FromString(task.closure).compiled_task
        identifier = identifier_pb2.Identifier(resource_type=WORKFLOW, **names)
        compiled = compile_workflow(wrapper(identifier, compiled_task), [compiled_task])
        digest = _digest(compiled)
        uri = closure_uri(self._root, identifier, digest)
        closure = workflow_pb2.WorkflowClosure(compiled_workflow=compiled)
        await self._blobs.write(uri, closure.SerializeToString())
        return await self._database.write(lambda c: _save(c, names, identifier, compiled, digest, uri))


def wrapper(
    identifier: identifier_pb2.Identifier, task: compiler_pb2.CompiledTask
) -> core_workflow_pb2.WorkflowTemplate:
    """A workflow of one node with the task's own interface."""
    template = core_workflow_pb2.WorkflowTemplate(id=identifier, interface=task.template.interface)
    node = template.nodes.add(id=_node_id(task.template.id.name))
    node.metadata.name = node.id
    retries = task.template.metadata.retries.retries
    node.metadata.retries.retries = retries or _RETRIES
    node.task_node.reference_id.CopyFrom(task.template.id)
    for name in sorted(task.template.interface.inputs.variables):
        node.inputs.add(var=name).binding.promise.var = name
    for name in sorted(task.template.interface.outputs.variables):
        promise = template.outputs.add(var=name).binding.promise
        promise.node_id, promise.var = node.id, name
    return template


def _node_id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "", name[-_NODE_ID_LENGTH:]) or "task"


def _digest(*messages: Message) -> bytes:
    found = hashlib.sha256()
    for message in messages:
        found.update(message.SerializeToString(deterministic=True))
    return found.digest()


def _rows(connection: Connection, names: dict[str, str]) -> tuple[Row[Any], Row[Any]] | None:
    plan, workflow = find(connection, db.launch_plans, names), find(connection, db.workflows, names)
    return None if plan is None or workflow is None else (plan, workflow)


def _save(
    connection: Connection,
    names: dict[str, str],
    identifier: identifier_pb2.Identifier,
    compiled: compiler_pb2.CompiledWorkflowClosure,
    digest: bytes,
    uri: str,
) -> tuple[Row[Any], Row[Any]]:
    interface = compiled.primary.template.interface
    stored = {"remote_closure_identifier": uri, "typed_interface": interface.SerializeToString()}
    workflow = _insert(connection, db.workflows, {**names, **stored, "digest": digest})
    spec = launch_plan_pb2.LaunchPlanSpec(workflow_id=identifier)
    expected = expected_inputs(spec, interface)
    spec.default_inputs.CopyFrom(expected)
    closure = launch_plan_pb2.LaunchPlanClosure(expected_inputs=expected, expected_outputs=interface.outputs)
    planned = {
        "workflow_id": workflow.id,
        "schedule_type": "NONE",
        "spec": spec.SerializeToString(),
        "closure": closure.SerializeToString(),
        "digest": _digest(spec, closure),
    }
    plan = _insert(connection, db.launch_plans, {**names, **planned})
    noted = common_pb2.NamedEntityMetadata(state=common_pb2.SYSTEM_GENERATED)
    scope = {name: value for name, value in names.items() if name != "version"}
    for kind in (WORKFLOW, LAUNCH_PLAN):
        note_named_entity(connection, kind, scope, noted)
    return plan, workflow


def _insert(connection: Connection, table: Table, values: dict[str, Any]) -> Row[Any]:
    at = now_text()
    row = {**values, "created_at": at, "updated_at": at}
    connection.execute(insert(table).values(row).on_conflict_do_nothing())
    names = {name: values[name] for name in ("project", "domain", "name", "version")}
    found = find(connection, table, names)
    assert found is not None, "the row was just inserted"
    return found
