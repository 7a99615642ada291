"""Registration: tasks, workflows and launch plans, each written once under its version.

Rules: contract "admin", sections 2.3 to 2.6. The row is inserted first; who meets an older one is told
whether it is the same. A workflow's closure is in the blob store before its row is there.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.admin.description_entity_pb2 import DescriptionEntity
from flyteidl.core import compiler_pb2, identifier_pb2, interface_pb2
from google.protobuf.message import Message
from sqlalchemy import Connection, Row
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.compiler.build import compile_workflow
from lacewing.compiler.nodes import LaunchPlanInterface
from lacewing.compiler.requirements import Requirements, requirements
from lacewing.compiler.task import compile_task
from lacewing.errors import AlreadyExists, InvalidArgument, RequestError
from lacewing.ports import BlobStore
from lacewing.services.admin.descriptions import save_description
from lacewing.services.admin.difference import difference
from lacewing.services.admin.launch_plan import check_launch_plan, expected_inputs, schedule_type
from lacewing.services.admin.resources import check_resources
from lacewing.services.admin.rows import (
    TABLES,
    check_identifier,
    check_place,
    check_whole,
    closure_uri,
    entity_columns,
    find,
    get_entity,
    missing,
    now_text,
    timestamp,
)
from lacewing.services.rpc import Call

TASK, WORKFLOW, LAUNCH_PLAN = identifier_pb2.TASK, identifier_pb2.WORKFLOW, identifier_pb2.LAUNCH_PLAN


class Registration:
    """The RPCs that make and read entities."""

    def __init__(
        self, database: Database, blobs: BlobStore, root: str, limits: Mapping[str, str] | None = None
    ) -> None:
        """`limits` are the most that a task may ask for, quantities by Kubernetes' names."""
        self._database, self._blobs, self._root = database, blobs, root
        self._limits = limits or {}

    async def CreateTask(
        self, request: task_pb2.TaskCreateRequest, call: Call
    ) -> task_pb2.TaskCreateResponse:
        """Register a task."""
        check_identifier(request.id, TASK)
        template = request.spec.template
        if not template.type:
            raise InvalidArgument("missing type")
        if not template.HasField("interface"):
            raise InvalidArgument("missing typed interface")
        template.id.CopyFrom(request.id)
        check_resources(template, self._limits)
        compiled = compile_task(template)
        closure = task_pb2.TaskClosure(compiled_task=compiled)
        values = {
            "type": template.type,
            "short_description": request.spec.description.short_description,
            "closure": closure.SerializeToString(),
        }
        stored = await self._insert(TASK, request.id, _digest(compiled), values, _described(request.spec))
        if stored is not None:
            before = task_pb2.TaskClosure.FromString(stored.closure).compiled_task
            raise _conflict("task", request.id, stored.digest == _digest(compiled), before, compiled)
        return task_pb2.TaskCreateResponse()

    async def GetTask(self, request: Any, call: Call) -> task_pb2.Task:
        """A task of one version."""
        return task_message(
            await self._database.read(lambda connection: get_entity(connection, TASK, request.id))
        )

    async def CreateWorkflow(
        self, request: workflow_pb2.WorkflowCreateRequest, call: Call
    ) -> workflow_pb2.WorkflowCreateResponse:
        """Compile and register a workflow."""
        check_identifier(request.id, WORKFLOW)
        template = request.spec.template
        template.id.CopyFrom(request.id)
        words = str(request.id).strip().replace("\n", " ").replace(": ", ":")
        prefix = f"failed to compile workflow for [{words}] with err: "
        needed = requirements(template, request.spec.sub_workflows)
        try:
            tasks, plans = await self._database.read(lambda c: _needed(c, needed))
            compiled = compile_workflow(template, tasks, request.spec.sub_workflows, plans)
        except InvalidArgument as error:
            raise InvalidArgument(prefix + error.message) from error
        closure = workflow_pb2.WorkflowClosure(compiled_workflow=compiled)
        digest = _digest(compiled)
        uri = closure_uri(self._root, request.id, digest)
        await self._blobs.write(uri, closure.SerializeToString())
        values = {
            "remote_closure_identifier": uri,
            "short_description": request.spec.description.short_description,
            "typed_interface": template.interface.SerializeToString(),
        }
        stored = await self._insert(WORKFLOW, request.id, digest, values, _described(request.spec))
        if stored is not None:
            same = stored.digest == digest
            before = compiled if same else await self._compiled(stored)
            details = [_reason(same, request.id)]
            raise _conflict("workflow", request.id, same, before, compiled, details)
        return workflow_pb2.WorkflowCreateResponse()

    async def GetWorkflow(self, request: Any, call: Call) -> workflow_pb2.Workflow:
        """A workflow of one version, with its closure."""
        check_whole(request)
        row = await self._database.read(lambda connection: get_entity(connection, WORKFLOW, request.id))
        closure = workflow_pb2.WorkflowClosure(compiled_workflow=await self._compiled(row))
        closure.created_at.CopyFrom(timestamp(row.created_at))
        return workflow_pb2.Workflow(
            id=_identifier(WORKFLOW, row), closure=closure, short_description=row.short_description
        )

    async def _compiled(self, row: Row[Any]) -> compiler_pb2.CompiledWorkflowClosure:
        data = await self._blobs.read(row.remote_closure_identifier)
        return workflow_pb2.WorkflowClosure.FromString(data).compiled_workflow

    async def CreateLaunchPlan(
        self, request: launch_plan_pb2.LaunchPlanCreateRequest, call: Call
    ) -> launch_plan_pb2.LaunchPlanCreateResponse:
        """Register a launch plan of a registered workflow."""
        check_identifier(request.id, LAUNCH_PLAN)
        spec = request.spec
        row = await self._database.read(lambda c: get_entity(c, WORKFLOW, spec.workflow_id))
        interface = interface_pb2.TypedInterface.FromString(row.typed_interface)
        expected = expected_inputs(spec, interface)
        check_launch_plan(spec, expected)
        spec.default_inputs.CopyFrom(expected)
        closure = launch_plan_pb2.LaunchPlanClosure(
            expected_inputs=expected, expected_outputs=interface.outputs
        )
        values = {
            "workflow_id": row.id,
            "schedule_type": schedule_type(spec),
            "spec": spec.SerializeToString(),
            "closure": closure.SerializeToString(),
        }
        digest = _digest(spec, closure)
        stored = await self._insert(LAUNCH_PLAN, request.id, digest, values)
        if stored is not None:
            before = launch_plan_pb2.LaunchPlanSpec.FromString(stored.spec)
            raise _conflict("launch plan", request.id, stored.digest == digest, before, spec)
        return launch_plan_pb2.LaunchPlanCreateResponse()

    async def GetLaunchPlan(self, request: Any, call: Call) -> launch_plan_pb2.LaunchPlan:
        """A launch plan of one version."""
        check_whole(request)
        return launch_plan_message(
            await self._database.read(lambda connection: get_entity(connection, LAUNCH_PLAN, request.id))
        )

    async def _insert(
        self,
        kind: int,
        identifier: identifier_pb2.Identifier,
        digest: bytes,
        values: Mapping[str, Any],
        description: DescriptionEntity | None = None,
    ) -> Row[Any] | None:
        """Write the row; the one that is there already comes back, and nothing is written."""

        def save(connection: Connection) -> Row[Any] | None:
            check_place(connection, identifier.project, identifier.domain)
            at, columns = now_text(), entity_columns(identifier)
            row = {**columns, "digest": digest, "created_at": at, "updated_at": at, **values}
            if not connection.execute(insert(TABLES[kind]).values(row).on_conflict_do_nothing()).rowcount:
                return find(connection, TABLES[kind], columns)
            if description is not None:
                save_description(connection, identifier, description)
            return None

        return await self._database.write(save)


def _needed(
    connection: Connection, needed: Requirements
) -> tuple[list[compiler_pb2.CompiledTask], list[LaunchPlanInterface]]:
    """What a workflow's nodes name; raises InvalidArgument for what is not registered."""
    rows = [_registered(connection, TASK, one) for one in needed.tasks]
    tasks = [task_pb2.TaskClosure.FromString(row.closure).compiled_task for row in rows]
    return tasks, registered_plans(connection, needed.launch_plans)


def registered_plans(
    connection: Connection, wanted: Iterable[identifier_pb2.Identifier]
) -> list[LaunchPlanInterface]:
    """The interfaces of launch plans; raises InvalidArgument for one that is not registered."""
    found = []
    for identifier in wanted:
        row = _registered(connection, LAUNCH_PLAN, identifier)
        closure = launch_plan_pb2.LaunchPlanClosure.FromString(row.closure)
        found.append(LaunchPlanInterface(identifier, closure.expected_inputs, closure.expected_outputs))
    return found


def _registered(connection: Connection, kind: int, identifier: identifier_pb2.Identifier) -> Row[Any]:
    row = find(connection, TABLES[kind], entity_columns(identifier))
    if row is None:
        raise InvalidArgument(missing(kind, identifier))
    return row


def _conflict(
    word: str,
    identifier: identifier_pb2.Identifier,
    same: bool,
    before: Message,
    after: Message,
    details: Sequence[Message] = (),
) -> RequestError:
    if same:
        return AlreadyExists(f"{word} with identical structure already exists", details=details)
    return InvalidArgument(
        f"{identifier.name} {word} with different structure already exists."
        f" (Please register a new version of the {word}):\n{difference(before, after)}",
        details=details,
    )


def _reason(same: bool, identifier: identifier_pb2.Identifier) -> workflow_pb2.CreateWorkflowFailureReason:
    found = workflow_pb2.CreateWorkflowFailureReason()
    (found.exists_identical_structure if same else found.exists_different_structure).id.CopyFrom(identifier)
    return found


def _described(spec: Any) -> DescriptionEntity | None:
    return spec.description if spec.HasField("description") else None


def _digest(*messages: Message) -> bytes:
    found = hashlib.sha256()
    for message in messages:
        found.update(message.SerializeToString(deterministic=True))
    return found.digest()


def _identifier(kind: Any, row: Row[Any]) -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(
        resource_type=kind, project=row.project, domain=row.domain, name=row.name, version=row.version
    )


def task_message(row: Row[Any]) -> task_pb2.Task:
    """A stored task."""
    closure = task_pb2.TaskClosure.FromString(row.closure)
    closure.created_at.CopyFrom(timestamp(row.created_at))
    return task_pb2.Task(id=_identifier(TASK, row), closure=closure, short_description=row.short_description)


def launch_plan_message(row: Row[Any]) -> launch_plan_pb2.LaunchPlan:
    """A stored launch plan."""
    closure = launch_plan_pb2.LaunchPlanClosure.FromString(row.closure)
    closure.state = row.state
    closure.created_at.CopyFrom(timestamp(row.created_at))
    closure.updated_at.CopyFrom(timestamp(row.updated_at))
    spec = launch_plan_pb2.LaunchPlanSpec.FromString(row.spec)
    return launch_plan_pb2.LaunchPlan(id=_identifier(LAUNCH_PLAN, row), spec=spec, closure=closure)
