"""Registration: tasks, workflows and launch plans, each written once under its version.

Rules: contract "admin", sections 2.3 to 2.6. The row is inserted first; who meets an older one is told
whether it is the same. A workflow's closure is in the blob store before its row is there.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.admin.description_entity_pb2 import DescriptionEntity
from flyteidl.core import identifier_pb2, interface_pb2
from google.protobuf.message import Message
from sqlalchemy import Connection, Row, Table
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.compiler.build import compile_task, compile_workflow, required_tasks
from lacewing.compiler.types import castable, literal_type
from lacewing.errors import AlreadyExists, InvalidArgument
from lacewing.ports import BlobStore
from lacewing.services import db
from lacewing.services.admin.descriptions import save_description
from lacewing.services.admin.rows import (
    check_identifier,
    check_place,
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

    def __init__(self, database: Database, blobs: BlobStore, root: str) -> None:
        self._database, self._blobs, self._root = database, blobs, root

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
        compiled = compile_task(template)
        closure = task_pb2.TaskClosure(compiled_task=compiled)
        values = {
            "type": template.type,
            "short_description": request.spec.description.short_description,
            "closure": closure.SerializeToString(),
        }
        await self._insert(TASK, "task", request.id, _digest(compiled), values, _described(request.spec))
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
        wanted = required_tasks(template)
        rows = await self._database.read(lambda c: [find(c, db.tasks, entity_columns(one)) for one in wanted])
        tasks = []
        for identifier, row in zip(wanted, rows, strict=True):
            if row is None:
                raise InvalidArgument(prefix + missing(TASK, identifier))
            tasks.append(task_pb2.TaskClosure.FromString(row.closure).compiled_task)
        try:
            compiled = compile_workflow(template, tasks)
        except InvalidArgument as error:
            raise InvalidArgument(prefix + error.message) from error
        closure = workflow_pb2.WorkflowClosure(compiled_workflow=compiled)
        digest = _digest(compiled)
        uri = "/".join(
            [self._root, "metadata/admin", *entity_columns(request.id).values(), digest.hex()[:16]]
        )
        await self._blobs.write(uri, closure.SerializeToString())
        values = {
            "remote_closure_identifier": uri,
            "short_description": request.spec.description.short_description,
            "typed_interface": template.interface.SerializeToString(),
        }
        await self._insert(WORKFLOW, "workflow", request.id, digest, values, _described(request.spec))
        return workflow_pb2.WorkflowCreateResponse()

    async def GetWorkflow(self, request: Any, call: Call) -> workflow_pb2.Workflow:
        """A workflow of one version, with its closure."""
        row = await self._database.read(lambda connection: get_entity(connection, WORKFLOW, request.id))
        closure = workflow_pb2.WorkflowClosure.FromString(
            await self._blobs.read(row.remote_closure_identifier)
        )
        closure.created_at.CopyFrom(timestamp(row.created_at))
        return workflow_pb2.Workflow(
            id=_identifier(WORKFLOW, row), closure=closure, short_description=row.short_description
        )

    async def CreateLaunchPlan(
        self, request: launch_plan_pb2.LaunchPlanCreateRequest, call: Call
    ) -> launch_plan_pb2.LaunchPlanCreateResponse:
        """Register a launch plan of a registered workflow."""
        check_identifier(request.id, LAUNCH_PLAN)
        spec = request.spec
        row = await self._database.read(lambda c: get_entity(c, WORKFLOW, spec.workflow_id))
        interface = interface_pb2.TypedInterface.FromString(row.typed_interface)
        expected = expected_inputs(spec, interface)
        spec.default_inputs.CopyFrom(expected)
        closure = launch_plan_pb2.LaunchPlanClosure(
            expected_inputs=expected, expected_outputs=interface.outputs
        )
        values = {
            "workflow_id": row.id,
            "schedule_type": "NONE",
            "spec": spec.SerializeToString(),
            "closure": closure.SerializeToString(),
        }
        await self._insert(LAUNCH_PLAN, "launch plan", request.id, _digest(spec, closure), values)
        return launch_plan_pb2.LaunchPlanCreateResponse()

    async def GetLaunchPlan(self, request: Any, call: Call) -> launch_plan_pb2.LaunchPlan:
        """A launch plan of one version."""
        return launch_plan_message(
            await self._database.read(lambda connection: get_entity(connection, LAUNCH_PLAN, request.id))
        )

    async def _insert(
        self,
        kind: int,
        word: str,
        identifier: identifier_pb2.Identifier,
        digest: bytes,
        values: Mapping[str, Any],
        description: DescriptionEntity | None = None,
    ) -> None:
        table = {TASK: db.tasks, WORKFLOW: db.workflows, LAUNCH_PLAN: db.launch_plans}[kind]

        def save(connection: Connection) -> None:
            _insert(connection, table, word, identifier, digest, values)
            if description is not None:
                save_description(connection, identifier, description)

        await self._database.write(save)


def _insert(
    connection: Connection, table: Table, word: str, identifier: Any, digest: bytes, values: Mapping[str, Any]
) -> None:
    check_place(connection, identifier.project, identifier.domain)
    at = now_text()
    row = {**entity_columns(identifier), "digest": digest, "created_at": at, "updated_at": at, **values}
    if connection.execute(insert(table).values(row).on_conflict_do_nothing()).rowcount:
        return
    stored = find(connection, table, entity_columns(identifier))
    same = stored is not None and stored.digest == digest
    details = [_reason(same, identifier)] if table is db.workflows else []
    if same:
        raise AlreadyExists(f"{word} with identical structure already exists", details=details)
    raise InvalidArgument(
        f"{identifier.name} {word} with different structure already exists."
        f" (Please register a new version of the {word})",
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


def expected_inputs(
    spec: launch_plan_pb2.LaunchPlanSpec, interface: interface_pb2.TypedInterface
) -> interface_pb2.ParameterMap:
    """What an execution may be given: defaults, and what is still unbound as required."""
    variables = interface.inputs.variables
    expected = interface_pb2.ParameterMap()
    for name, literal in spec.fixed_inputs.literals.items():
        if name not in variables:
            raise InvalidArgument(f"unexpected fixed_input {name}")
        if not castable(literal_type(literal), variables[name].type):
            raise InvalidArgument(f"invalid fixed_input wrong type for {name}")
    for name, parameter in spec.default_inputs.parameters.items():
        if name not in variables:
            raise InvalidArgument(f"unexpected default_input {name}")
        if parameter.HasField("default") and not castable(
            literal_type(parameter.default), variables[name].type
        ):
            raise InvalidArgument(f"invalid default_input wrong type for {name}")
    for name, variable in variables.items():
        if name in spec.fixed_inputs.literals:
            continue
        parameter = expected.parameters[name]
        if name in spec.default_inputs.parameters:
            parameter.CopyFrom(spec.default_inputs.parameters[name])
        else:
            parameter.required = True
        parameter.var.CopyFrom(variable)
    return expected


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
