"""Executions begin: asked for, or asked for again. Rules: contract "admin", sections 3.1 to 3.7.

The name is taken before any file is written, so a second request under it never touches what the first wrote.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2
from flyteidl.core import execution_pb2 as core_execution
from flyteidl.core import identifier_pb2
from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from lacewing.model.ids import RunKey
from lacewing.model.run import RunSpec
from lacewing.ports import BlobStore, RunStore
from lacewing.services import db
from lacewing.services.admin.attributes import applying
from lacewing.services.admin.configuration import (
    Attributes,
    Platform,
    assign_cluster,
    notifications,
    settle,
    task_resources,
)
from lacewing.services.admin.executions import execution_identifier
from lacewing.services.admin.inputs import merge_inputs
from lacewing.services.admin.labels import check_labels
from lacewing.services.admin.launch_plan import check_notifications
from lacewing.services.admin.named import WRAPPER_PREFIX
from lacewing.services.admin.rows import (
    check_place,
    execution_columns,
    find,
    get_entity,
    get_execution,
    now_text,
    timestamp,
)
from lacewing.services.admin.single_task import SingleTasks
from lacewing.services.admin.words import enum_name, missing
from lacewing.services.rpc import Call

log = structlog.get_logger(__name__)
_NAME = re.compile(r"[a-z][a-z\-0-9]*$")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_NAME = 63
_RUNNING = ("UNDEFINED", "QUEUED", "RUNNING")
_SKIP = launch_plan_pb2.ConcurrencyLimitBehavior.CONCURRENCY_LIMIT_BEHAVIOR_SKIP
Mode = execution_pb2.ExecutionMetadata.ExecutionMode


@dataclass(frozen=True)
class _Origin:
    """What a request leads to: the entity, and what stands around it."""

    entity: Row[Any]
    attributes: Attributes
    project_labels: Mapping[str, str]
    parent: Row[Any] | None
    parent_node: int
    source: int
    workflow: Row[Any] | None = None


class Launches:
    """The RPCs that start executions."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        runs: RunStore,
        root: str,
        platform: Platform = Platform(),
    ) -> None:
        self._database, self._blobs, self._runs, self._root = database, blobs, runs, root
        self._platform = platform
        self._single_tasks = SingleTasks(database, blobs, root)

    @property
    def raw_output_root(self) -> str:
        """Where the data of executions goes that ask for no other place."""
        return f"{self._root}/data"

    async def CreateExecution(
        self, request: execution_pb2.ExecutionCreateRequest, call: Call
    ) -> execution_pb2.ExecutionCreateResponse:
        """Start an execution of a launch plan or of a task."""
        for name in ("project", "domain"):
            if not getattr(request, name):
                raise InvalidArgument(f"missing {name}")
        key = RunKey(request.project, request.domain, _name(request.name))
        check_labels(request.spec.labels)
        check_notifications(request.spec.notifications.notifications)
        origin = await self._database.read(lambda c: _origin(c, request))
        plan, workflow = await self._target(request.spec, origin)
        given = request.inputs if request.HasField("inputs") else request.spec.inputs
        plan_spec = launch_plan_pb2.LaunchPlanSpec.FromString(plan.spec)
        inputs = merge_inputs(
            given,
            launch_plan_pb2.LaunchPlanClosure.FromString(plan.closure).expected_inputs,
            plan_spec.fixed_inputs,
        )
        spec = self._settled(request.spec, plan_spec, origin, key)
        folder = f"{self._root}/metadata/{key.project}/{key.domain}/{key.name}"
        await self._database.write(lambda c: _insert(c, key, spec, plan, workflow, origin, folder))
        try:
            await self._blobs.write(f"{folder}/inputs", inputs.SerializeToString(deterministic=True))
            await self._blobs.write(f"{folder}/user_inputs", given.SerializeToString(deterministic=True))
            await self._runs.create(self._order(key, spec, origin, workflow, folder))
        except Exception as error:
            # The name is taken and the client may ask for it: let it find the reason there.
            log.exception("execution could not be started", execution=str(key))
            reason = str(error)
            await self._database.write(lambda c: _refuse(c, execution_identifier(key), reason))
        return execution_pb2.ExecutionCreateResponse(id=execution_identifier(key))

    async def refuse_unstarted(self, known: set[RunKey]) -> None:
        """Fail executions that a server ended in the middle of starting: they are noted, and no run is."""
        table = db.executions
        query = select(table).where(table.c.phase == "UNDEFINED")
        rows = await self._database.read(lambda c: c.execute(query).all())
        for row in rows:
            key = RunKey(row.execution_project, row.execution_domain, row.execution_name)
            if key not in known:
                reason = "the server ended while this execution was started; create it again"
                await self._database.write(
                    partial(_refuse, identifier=execution_identifier(key), reason=reason)
                )

    async def RelaunchExecution(
        self, request: execution_pb2.ExecutionRelaunchRequest, call: Call
    ) -> execution_pb2.ExecutionCreateResponse:
        """Start an execution as another one was: its configuration and the inputs that were given to it."""
        again = await self._again(request)
        again.spec.metadata.mode = Mode.RELAUNCH
        again.spec.overwrite_cache = request.overwrite_cache
        return await self.CreateExecution(again, call)

    async def RecoverExecution(
        self, request: execution_pb2.ExecutionRecoverRequest, call: Call
    ) -> execution_pb2.ExecutionCreateResponse:
        """Start an execution as another one was, which takes over what succeeded there."""
        again = await self._again(request)
        again.spec.metadata.mode = Mode.RECOVERED
        again.spec.metadata.ClearField("parent_node_execution")
        if request.metadata.HasField("parent_node_execution"):
            again.spec.metadata.parent_node_execution.CopyFrom(request.metadata.parent_node_execution)
        return await self.CreateExecution(again, call)

    async def _again(self, request: Any) -> execution_pb2.ExecutionCreateRequest:
        """The request that the execution it names would be made by once more."""
        _name(request.name)
        source = await self._database.read(lambda c: get_execution(c, request.id))
        again = execution_pb2.ExecutionCreateRequest(
            project=request.id.project, domain=request.id.domain, name=request.name
        )
        again.spec.ParseFromString(source.spec)
        again.spec.metadata.reference_execution.CopyFrom(request.id)
        try:
            again.inputs.ParseFromString(await self._blobs.read(source.user_inputs_uri))
        except FileNotFoundError as error:
            raise FailedPrecondition(
                f"the inputs of execution {request.id.name} are no longer at {source.user_inputs_uri};"
                " create an execution with inputs instead"
            ) from error
        return again

    async def _target(self, spec: execution_pb2.ExecutionSpec, origin: _Origin) -> tuple[Row[Any], Row[Any]]:
        """The launch plan and the workflow to run; a task by itself gets some made around it."""
        if origin.workflow is not None:
            return origin.entity, origin.workflow
        return await self._single_tasks.ensure_single_task_workflow(origin.entity)

    def _settled(
        self,
        given: execution_pb2.ExecutionSpec,
        plan: launch_plan_pb2.LaunchPlanSpec,
        origin: _Origin,
        key: RunKey,
    ) -> execution_pb2.ExecutionSpec:
        spec = settle(given, plan, origin.attributes, origin.project_labels, self._platform)
        parent = None
        if origin.parent is not None:
            parent = execution_pb2.ExecutionSpec.FromString(origin.parent.spec)
        assign_cluster(spec, plan, parent, origin.attributes)
        # Who asks is known only where callers are authenticated; clients' own words are dropped.
        spec.metadata.principal = parent.metadata.principal if parent is not None else ""
        spec.metadata.nesting = parent.metadata.nesting + 1 if parent is not None else 0
        spec.metadata.ClearField("system_metadata")
        spec.metadata.system_metadata.namespace = f"{key.project}-{key.domain}"
        return spec

    def _order(
        self, key: RunKey, spec: execution_pb2.ExecutionSpec, origin: _Origin, workflow: Row[Any], folder: str
    ) -> RunSpec:
        defaults, limits = task_resources(origin.attributes, self._platform)
        return RunSpec(
            key=key,
            closure_uri=workflow.remote_closure_identifier,
            workflow=workflow.name,
            recovers=_recovered(spec.metadata),
            inputs_uri=f"{folder}/inputs",
            output_root=f"{self._root}/metadata/propeller/{key.project}-{key.domain}-{key.name}",
            raw_output_root=spec.raw_output_data_config.output_location_prefix or self.raw_output_root,
            namespace=spec.metadata.system_metadata.namespace,
            max_parallelism=spec.max_parallelism,
            element_parallelism=self._platform.element_parallelism,
            interruptible=spec.interruptible.value if spec.HasField("interruptible") else None,
            overwrite_cache=spec.overwrite_cache,
            envs={pair.key: pair.value for pair in spec.envs.values},
            labels=dict(spec.labels.values),
            annotations=dict(spec.annotations.values),
            service_account=spec.security_context.run_as.k8s_service_account,
            default_resources=defaults,
            resource_limits=limits,
        )


def _recovered(metadata: execution_pb2.ExecutionMetadata) -> str:
    """The key of the execution that one of this metadata recovers."""
    source = metadata.reference_execution
    recovers = metadata.mode == Mode.RECOVERED
    return str(RunKey(source.project, source.domain, source.name)) if recovers else ""


def _name(given: str) -> str:
    if not given:
        return "a" + "".join(secrets.choice(_ALPHABET) for _ in range(19))
    if len(given) > _LONGEST_NAME:
        raise InvalidArgument(f"size of name exceeded length {_LONGEST_NAME} : {given}")
    if not _NAME.match(given.lower()):
        raise InvalidArgument(
            f"invalid name format: {given.lower()}, does not match regex '^[a-z][a-z\\-0-9]*$'"
        )
    return given


def _origin(connection: Connection, request: execution_pb2.ExecutionCreateRequest) -> _Origin:
    where, wanted = (request.project, request.domain), request.spec.launch_plan
    check_place(connection, *where)
    if wanted.resource_type not in (identifier_pb2.LAUNCH_PLAN, identifier_pb2.TASK):
        kind = enum_name(identifier_pb2.ResourceType, wanted.resource_type).lower()
        raise InvalidArgument(f"only a launch plan or a task can be executed, and no {kind}")
    entity, workflow = get_entity(connection, wanted.resource_type, wanted), None
    workflow_name = f"{WRAPPER_PREFIX}.{wanted.name}"
    if wanted.resource_type == identifier_pb2.LAUNCH_PLAN:
        workflow_id = launch_plan_pb2.LaunchPlanSpec.FromString(entity.spec).workflow_id
        workflow = get_entity(connection, identifier_pb2.WORKFLOW, workflow_id)
        workflow_name = workflow.name
    project = find(connection, db.projects, {"identifier": request.project})
    labels = common_pb2.Labels.FromString(project.labels) if project is not None else common_pb2.Labels()
    parent, parent_node, source = _lineage(connection, request.spec.metadata)
    attributes = applying(connection, *where, workflow_name)
    return _Origin(entity, attributes, dict(labels.values), parent, parent_node, source, workflow)


def _lineage(
    connection: Connection, metadata: execution_pb2.ExecutionMetadata
) -> tuple[Row[Any] | None, int, int]:
    """The parent execution, the parent node's and the source execution's row ids; raises NotFound."""
    parent, node_id, source = None, 0, 0
    if metadata.HasField("parent_node_execution"):
        node = metadata.parent_node_execution
        row = find(
            connection,
            db.node_executions,
            {**execution_columns(node.execution_id), "node_id": node.node_id},
        )
        if row is None:
            raise missing("node execution", node)
        parent, node_id = get_execution(connection, node.execution_id), row.id
        source = parent.source_execution_id
    if metadata.HasField("reference_execution"):
        source = get_execution(connection, metadata.reference_execution).id
    return parent, node_id, source


def _insert(
    connection: Connection,
    key: RunKey,
    spec: execution_pb2.ExecutionSpec,
    plan: Row[Any],
    workflow: Row[Any],
    origin: _Origin,
    folder: str,
) -> None:
    _check_concurrency(connection, plan)
    at = now_text()
    plan_spec = launch_plan_pb2.LaunchPlanSpec.FromString(plan.spec)
    closure = execution_pb2.ExecutionClosure(created_at=timestamp(at), updated_at=timestamp(at))
    closure.workflow_id.CopyFrom(plan_spec.workflow_id)
    closure.notifications.extend(notifications(spec, plan_spec))
    closure.state_change_details.occurred_at.CopyFrom(timestamp(at))
    single = spec.launch_plan.resource_type == identifier_pb2.TASK
    values = {
        **execution_columns(execution_identifier(key)),
        "launch_plan_id": plan.id,
        "workflow_id": workflow.id,
        "task_id": origin.entity.id if single else 0,
        "phase": "UNDEFINED",
        "mode": spec.metadata.mode,
        "user": spec.metadata.principal,
        "source_execution_id": origin.source,
        "parent_node_execution_id": origin.parent_node,
        "inputs_uri": f"{folder}/inputs",
        "user_inputs_uri": f"{folder}/user_inputs",
        "launch_entity": "task" if single else "launch_plan",
        "spec": spec.SerializeToString(),
        "closure": closure.SerializeToString(),
        "created_at": at,
        "updated_at": at,
        "execution_created_at": at,
        "execution_updated_at": at,
    }
    if not connection.execute(insert(db.executions).values(values).on_conflict_do_nothing()).rowcount:
        raise AlreadyExists(f"value with matching already exists (execution {key})")
    _insert_tags(connection, key, spec)


def _insert_tags(connection: Connection, key: RunKey, spec: execution_pb2.ExecutionSpec) -> None:
    tags = sorted({*((tag, "") for tag in spec.tags), *spec.labels.values.items()})
    if tags:
        columns = execution_columns(execution_identifier(key))
        rows = [{**columns, "key": name, "value": value} for name, value in tags]
        connection.execute(insert(db.execution_tags), rows)


def _check_concurrency(connection: Connection, plan: Row[Any]) -> None:
    """Refuse an execution beyond what the launch plan allows at once, of all its versions."""
    policy = launch_plan_pb2.LaunchPlanSpec.FromString(plan.spec).concurrency_policy
    if not policy.max or policy.behavior != _SKIP:
        return
    plans, table = db.launch_plans, db.executions
    versions = select(plans.c.id).where(
        plans.c.project == plan.project, plans.c.domain == plan.domain, plans.c.name == plan.name
    )
    count = select(func.count()).where(table.c.launch_plan_id.in_(versions), table.c.phase.in_(_RUNNING))
    if (running := connection.execute(count).scalar_one()) >= policy.max:
        raise AlreadyExists(
            f"concurrency limit of launch plan {plan.name} reached: {running} of {policy.max} executions run"
        )


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
