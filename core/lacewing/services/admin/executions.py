"""Executions: made, read, ended. Rules: contract "admin", section 3.

The name is taken before any file is written, so a second request under it never touches what the first wrote.
"""

import re
import secrets
from typing import Any

import structlog
from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2
from flyteidl.core import execution_pb2 as core_execution
from flyteidl.core import identifier_pb2, interface_pb2, literals_pb2
from sqlalchemy import Connection, Row
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.compiler.types import castable, literal_type, type_text
from lacewing.errors import AlreadyExists, InvalidArgument
from lacewing.model.ids import RunKey
from lacewing.model.run import RunSpec
from lacewing.ports import BlobStore, RunStore
from lacewing.services import db
from lacewing.services.admin.entities import place
from lacewing.services.admin.ingest import TERMINAL, already_terminal
from lacewing.services.admin.listing import EXECUTIONS, has_filter, list_page
from lacewing.services.admin.rows import (
    check_place,
    execution_columns,
    get_entity,
    get_execution,
    now_text,
    timestamp,
)
from lacewing.services.admin.single_task import SingleTasks
from lacewing.services.rpc import Call

log = structlog.get_logger(__name__)
_NAME = re.compile(r"[a-z][a-z\-0-9]*$")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_PARALLELISM = 25
_INLINE_BYTES = 2 * 2**20
_LISTED_ERROR = 100


class Executions:
    """The RPCs about whole executions."""

    def __init__(self, database: Database, blobs: BlobStore, runs: RunStore, root: str) -> None:
        self._database, self._blobs, self._runs, self._root = database, blobs, runs, root
        self._single_tasks = SingleTasks(database, blobs, root)

    async def CreateExecution(
        self, request: execution_pb2.ExecutionCreateRequest, call: Call
    ) -> execution_pb2.ExecutionCreateResponse:
        """Start an execution of a launch plan."""
        for name in ("project", "domain"):
            if not getattr(request, name):
                raise InvalidArgument(f"missing {name}")
        name = _name(request.name)
        plan, workflow = await self._target(request)
        given = request.inputs if request.HasField("inputs") else request.spec.inputs
        inputs = merge_inputs(
            given,
            launch_plan_pb2.LaunchPlanClosure.FromString(plan.closure).expected_inputs,
            launch_plan_pb2.LaunchPlanSpec.FromString(plan.spec).fixed_inputs,
        )
        key = RunKey(request.project, request.domain, name)
        spec = _stored_spec(request.spec)
        folder = f"{self._root}/metadata/{key.project}/{key.domain}/{key.name}"
        await self._database.write(lambda c: _insert(c, key, spec, plan, workflow, folder))
        try:
            await self._blobs.write(f"{folder}/inputs", inputs.SerializeToString(deterministic=True))
            await self._blobs.write(f"{folder}/user_inputs", given.SerializeToString(deterministic=True))
            order = self._order(key, spec, workflow.remote_closure_identifier, f"{folder}/inputs")
            await self._runs.create(order)
        except Exception as error:
            # The name is taken and the client may ask for it: let it find the reason there.
            log.exception("execution could not be started", execution=str(key))
            reason = str(error)
            await self._database.write(lambda c: _refuse(c, _identifier(key), reason))
        return execution_pb2.ExecutionCreateResponse(id=_identifier(key))

    async def _target(self, request: execution_pb2.ExecutionCreateRequest) -> tuple[Row[Any], Row[Any]]:
        """The launch plan and the workflow to run; a task by itself gets some made around it."""
        wanted, where = request.spec.launch_plan, (request.project, request.domain)
        if wanted.resource_type == identifier_pb2.LAUNCH_PLAN:
            return await self._database.read(lambda c: _plan(c, *where, wanted))
        if wanted.resource_type != identifier_pb2.TASK:
            kind = identifier_pb2.ResourceType.Name(wanted.resource_type).lower()
            raise InvalidArgument(f"only a launch plan or a task can be executed, and no {kind}")
        task = await self._database.read(lambda c: _task(c, *where, wanted))
        return await self._single_tasks.ensure_single_task_workflow(task)

    def _order(self, key: RunKey, spec: execution_pb2.ExecutionSpec, closure: str, inputs: str) -> RunSpec:
        raw = spec.raw_output_data_config.output_location_prefix
        envs = {pair.key: pair.value for pair in spec.envs.values}
        return RunSpec(
            key=key,
            closure_uri=closure,
            inputs_uri=inputs,
            output_root=f"{self._root}/metadata/propeller/{key.project}-{key.domain}-{key.name}",
            raw_output_root=raw or f"{self._root}/data",
            namespace=f"{key.project}-{key.domain}",
            max_parallelism=spec.max_parallelism,
            interruptible=spec.interruptible.value if spec.HasField("interruptible") else None,
            overwrite_cache=spec.overwrite_cache,
            envs=envs,
            labels=dict(spec.labels.values),
            annotations=dict(spec.annotations.values),
            service_account=spec.security_context.run_as.k8s_service_account,
        )

    async def GetExecution(self, request: Any, call: Call) -> execution_pb2.Execution:
        """An execution with its full error."""
        return execution_message(await self._database.read(lambda c: get_execution(c, request.id)))

    async def ListExecutions(
        self, request: common_pb2.ResourceListRequest, call: Call
    ) -> execution_pb2.ExecutionList:
        """Executions of a project and domain. Archived ones show only if the filters speak of the state."""
        scope: dict[str, Any] = {f"execution_{name}": value for name, value in place(request.id).items()}
        if not has_filter(EXECUTIONS, request.filters, "state"):
            scope["state"] = execution_pb2.EXECUTION_ACTIVE
        rows, token = await list_page(self._database, EXECUTIONS, request, scope)
        found = [execution_message(row) for row in rows]
        for execution in found:
            trim_error(execution.closure)
        return execution_pb2.ExecutionList(executions=found, token=token)

    async def UpdateExecution(
        self, request: execution_pb2.ExecutionUpdateRequest, call: Call
    ) -> execution_pb2.ExecutionUpdateResponse:
        """Archive an execution, or bring it back."""
        if request.state not in execution_pb2.ExecutionState.values():
            raise InvalidArgument(f"unrecognized execution state {request.state}")
        await self._database.write(lambda c: _set_state(c, request))
        return execution_pb2.ExecutionUpdateResponse()

    async def TerminateExecution(self, request: Any, call: Call) -> execution_pb2.ExecutionTerminateResponse:
        """Note the abort, then have the engine carry it out."""
        await self._database.write(lambda c: _abort(c, request.id, request.cause))
        key = RunKey(request.id.project, request.id.domain, request.id.name)
        await self._runs.request_abort(key, request.cause)
        return execution_pb2.ExecutionTerminateResponse()

    async def GetExecutionData(
        self, request: Any, call: Call
    ) -> execution_pb2.WorkflowExecutionGetDataResponse:
        """An execution's inputs and, once it succeeded, its outputs."""
        row = await self._database.read(lambda c: get_execution(c, request.id))
        closure = execution_pb2.ExecutionClosure.FromString(row.closure)
        answer = execution_pb2.WorkflowExecutionGetDataResponse(inputs={}, outputs={})
        answer.full_inputs.CopyFrom(await read_literals(self._blobs, row.inputs_uri))
        answer.full_outputs.CopyFrom(await read_literals(self._blobs, closure.outputs.uri))
        return answer


async def read_literals(blobs: BlobStore, uri: str) -> literals_pb2.LiteralMap:
    """The literals at `uri`; none where there is no file, or one too large to inline."""
    size = await blobs.size(uri) if uri else None
    if size is None or size > _INLINE_BYTES:
        return literals_pb2.LiteralMap()
    return literals_pb2.LiteralMap.FromString(await blobs.read(uri))


def merge_inputs(
    given: literals_pb2.LiteralMap,
    expected: interface_pb2.ParameterMap,
    fixed: literals_pb2.LiteralMap,
) -> literals_pb2.LiteralMap:
    """What was given, with defaults and fixed inputs; raises InvalidArgument by the input's name."""
    merged = literals_pb2.LiteralMap()
    for name, parameter in expected.parameters.items():
        if name in given.literals:
            found = literal_type(given.literals[name])
            if not castable(found, parameter.var.type):
                raise InvalidArgument(
                    f"invalid {name} input wrong type. Expected {type_text(parameter.var.type)},"
                    f" but got {type_text(found)}"
                )
            merged.literals[name].CopyFrom(given.literals[name])
        elif parameter.HasField("default"):
            merged.literals[name].CopyFrom(parameter.default)
        elif parameter.required:
            raise InvalidArgument(f"expected_inputs {name} missing")
    for name in given.literals:
        if name not in expected.parameters:
            raise InvalidArgument(f"invalid input {name}")
    for name, literal in fixed.literals.items():
        merged.literals[name].CopyFrom(literal)
    return merged


def execution_message(row: Row[Any]) -> execution_pb2.Execution:
    """A stored execution."""
    key = RunKey(row.execution_project, row.execution_domain, row.execution_name)
    return execution_pb2.Execution(
        id=_identifier(key),
        spec=execution_pb2.ExecutionSpec.FromString(row.spec),
        closure=execution_pb2.ExecutionClosure.FromString(row.closure),
    )


def _identifier(key: RunKey) -> identifier_pb2.WorkflowExecutionIdentifier:
    return identifier_pb2.WorkflowExecutionIdentifier(project=key.project, domain=key.domain, name=key.name)


def _name(given: str) -> str:
    if not given:
        return "a" + "".join(secrets.choice(_ALPHABET) for _ in range(19))
    if len(given) > 63:
        raise InvalidArgument(f"size of name exceeded length 63 : {given}")
    if not _NAME.match(given.lower()):
        raise InvalidArgument(f"invalid name format: {given}")
    return given


def _stored_spec(spec: execution_pb2.ExecutionSpec) -> execution_pb2.ExecutionSpec:
    stored = execution_pb2.ExecutionSpec()
    stored.CopyFrom(spec)
    stored.ClearField("inputs")
    stored.metadata.principal = ""
    stored.max_parallelism = spec.max_parallelism or _MAX_PARALLELISM
    stored.security_context.run_as.SetInParent()
    return stored


def _plan(
    connection: Connection, project: str, domain: str, identifier: identifier_pb2.Identifier
) -> tuple[Row[Any], Row[Any]]:
    check_place(connection, project, domain)
    plan = get_entity(connection, identifier_pb2.LAUNCH_PLAN, identifier)
    workflow_id = launch_plan_pb2.LaunchPlanSpec.FromString(plan.spec).workflow_id
    return plan, get_entity(connection, identifier_pb2.WORKFLOW, workflow_id)


def _task(
    connection: Connection, project: str, domain: str, identifier: identifier_pb2.Identifier
) -> Row[Any]:
    check_place(connection, project, domain)
    return get_entity(connection, identifier_pb2.TASK, identifier)


def _insert(
    connection: Connection, key: RunKey, spec: Any, plan: Row[Any], workflow: Row[Any], folder: str
) -> None:
    at = now_text()
    spec.metadata.system_metadata.namespace = f"{key.project}-{key.domain}"
    closure = execution_pb2.ExecutionClosure(created_at=timestamp(at), updated_at=timestamp(at))
    closure.workflow_id.CopyFrom(launch_plan_pb2.LaunchPlanSpec.FromString(plan.spec).workflow_id)
    closure.state_change_details.occurred_at.CopyFrom(timestamp(at))
    values = {
        **execution_columns(_identifier(key)),
        "launch_plan_id": plan.id,
        "workflow_id": workflow.id,
        "phase": "UNDEFINED",
        "mode": spec.metadata.mode,
        "inputs_uri": f"{folder}/inputs",
        "user_inputs_uri": f"{folder}/user_inputs",
        "launch_entity": "task" if spec.launch_plan.resource_type == identifier_pb2.TASK else "launch_plan",
        "spec": spec.SerializeToString(),
        "closure": closure.SerializeToString(),
        "created_at": at,
        "updated_at": at,
        "execution_created_at": at,
        "execution_updated_at": at,
    }
    if not connection.execute(insert(db.executions).values(values).on_conflict_do_nothing()).rowcount:
        raise AlreadyExists(f"value with matching already exists (execution {key})")


def trim_error(closure: Any) -> None:
    """Cut a listed error's message to 100 characters; who wants it whole asks for the one."""
    if closure.HasField("error"):
        closure.error.message = closure.error.message[:_LISTED_ERROR]


def _set_state(connection: Connection, request: execution_pb2.ExecutionUpdateRequest) -> None:
    row = get_execution(connection, request.id)
    closure = execution_pb2.ExecutionClosure.FromString(row.closure)
    closure.state_change_details.state = request.state
    closure.state_change_details.occurred_at.CopyFrom(timestamp(now_text()))
    values = {"state": request.state, "closure": closure.SerializeToString()}
    connection.execute(db.executions.update().where(db.executions.c.id == row.id).values(values))


def _refuse(connection: Connection, identifier: Any, reason: str) -> None:
    row = get_execution(connection, identifier)
    closure = execution_pb2.ExecutionClosure.FromString(row.closure)
    closure.phase = core_execution.WorkflowExecution.Phase.FAILED
    closure.updated_at.CopyFrom(timestamp(now_text()))
    closure.error.code, closure.error.message = "INTERNAL", reason
    closure.error.kind = core_execution.ExecutionError.ErrorKind.SYSTEM
    values = {"phase": "FAILED", "error_kind": "SYSTEM", "error_code": "INTERNAL"}
    values |= {"closure": closure.SerializeToString()}
    connection.execute(db.executions.update().where(db.executions.c.id == row.id).values(values))


def _abort(connection: Connection, identifier: Any, cause: str) -> None:
    row = get_execution(connection, identifier)
    if row.phase in TERMINAL:
        raise already_terminal("Cannot abort an already terminated workflow execution", row.phase)
    closure = execution_pb2.ExecutionClosure.FromString(row.closure)
    closure.phase = core_execution.WorkflowExecution.Phase.ABORTING
    closure.abort_metadata.cause = cause
    values = {"phase": "ABORTING", "closure": closure.SerializeToString(), "abort_cause": cause}
    connection.execute(db.executions.update().where(db.executions.c.id == row.id).values(values))
