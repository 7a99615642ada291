"""Lists of tasks, workflows and launch plans, and the one active version of a launch plan.

Rules: contract "admin", sections 2.7 and 5. A list never reads a blob: of a workflow it shows the interface.
"""

from typing import Any

from flyteidl.admin import common_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, interface_pb2
from sqlalchemy import Connection, Row, update

from lacewing.adapters.sql import Database
from lacewing.errors import InvalidArgument, NotFound
from lacewing.services import db
from lacewing.services.admin.listing import (
    LAUNCH_PLANS,
    NAMED,
    TASKS,
    WORKFLOWS,
    Listing,
    list_page,
    list_rows,
)
from lacewing.services.admin.registration import launch_plan_message, task_message
from lacewing.services.admin.rows import entity_columns, get_entity, now_text, timestamp
from lacewing.services.rpc import Call

TASK, WORKFLOW, LAUNCH_PLAN = identifier_pb2.TASK, identifier_pb2.WORKFLOW, identifier_pb2.LAUNCH_PLAN
_ACTIVE, _INACTIVE = launch_plan_pb2.ACTIVE, launch_plan_pb2.INACTIVE


class EntityLists:
    """The RPCs that list tasks and workflows, and the names of every kind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListTasks(self, request: common_pb2.ResourceListRequest, call: Call) -> task_pb2.TaskList:
        """Tasks of a project and domain, or versions of one."""
        rows, token = await list_entities(self._database, TASKS, request)
        return task_pb2.TaskList(tasks=[task_message(row) for row in rows], token=token)

    async def ListWorkflows(
        self, request: common_pb2.ResourceListRequest, call: Call
    ) -> workflow_pb2.WorkflowList:
        """Workflows of a project and domain, or versions of one, without their closures."""
        rows, token = await list_entities(self._database, WORKFLOWS, request)
        return workflow_pb2.WorkflowList(workflows=[_listed_workflow(row) for row in rows], token=token)

    async def ListTaskIds(self, request: Any, call: Call) -> common_pb2.NamedEntityIdentifierList:
        """The names of tasks."""
        return await self._names(TASK, request)

    async def ListWorkflowIds(self, request: Any, call: Call) -> common_pb2.NamedEntityIdentifierList:
        """The names of workflows."""
        return await self._names(WORKFLOW, request)

    async def ListLaunchPlanIds(self, request: Any, call: Call) -> common_pb2.NamedEntityIdentifierList:
        """The names of launch plans."""
        return await self._names(LAUNCH_PLAN, request)

    async def _names(
        self, kind: int, request: common_pb2.NamedEntityIdentifierListRequest
    ) -> common_pb2.NamedEntityIdentifierList:
        rows, token = await list_page(self._database, NAMED[kind], request, place(request))
        names = [
            common_pb2.NamedEntityIdentifier(project=row.project, domain=row.domain, name=row.name)
            for row in rows
        ]
        return common_pb2.NamedEntityIdentifierList(entities=names, token=token)


class LaunchPlans:
    """The RPCs that list launch plans and choose the active version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListLaunchPlans(
        self, request: common_pb2.ResourceListRequest, call: Call
    ) -> launch_plan_pb2.LaunchPlanList:
        """Launch plans of a project and domain, or versions of one."""
        rows, token = await list_entities(self._database, LAUNCH_PLANS, request)
        plans = [launch_plan_message(row) for row in rows]
        return launch_plan_pb2.LaunchPlanList(launch_plans=plans, token=token)

    async def ListActiveLaunchPlans(
        self, request: launch_plan_pb2.ActiveLaunchPlanListRequest, call: Call
    ) -> launch_plan_pb2.LaunchPlanList:
        """The active launch plans of a project and domain."""
        scope: dict[str, Any] = {**place(request), "state": _ACTIVE}
        rows, token = await list_page(self._database, LAUNCH_PLANS, request, scope)
        plans = [launch_plan_message(row) for row in rows]
        return launch_plan_pb2.LaunchPlanList(launch_plans=plans, token=token)

    async def GetActiveLaunchPlan(
        self, request: launch_plan_pb2.ActiveLaunchPlanRequest, call: Call
    ) -> launch_plan_pb2.LaunchPlan:
        """The active version of a launch plan."""
        scope: dict[str, Any] = {**place(request.id), "name": required(request.id, "name"), "state": _ACTIVE}
        rows, _ = await self._database.read(lambda c: list_rows(c, LAUNCH_PLANS, scope=scope, limit=1))
        if not rows:
            name = ":".join(str(scope[part]) for part in ("project", "domain", "name"))
            raise NotFound(f"No active launch plan could be found: {name}")
        return launch_plan_message(rows[0])

    async def UpdateLaunchPlan(
        self, request: launch_plan_pb2.LaunchPlanUpdateRequest, call: Call
    ) -> launch_plan_pb2.LaunchPlanUpdateResponse:
        """Make a version the active one, or stop it."""
        if not request.HasField("id"):
            raise InvalidArgument("missing id")
        for name in ("project", "domain", "name", "version"):
            required(request.id, name)
        if request.state not in (_ACTIVE, _INACTIVE):
            raise InvalidArgument(f"unrecognized launch plan state {request.state}")
        await self._database.write(lambda c: _set_state(c, request.id, request.state))
        return launch_plan_pb2.LaunchPlanUpdateResponse()


async def list_entities(
    database: Database, listing: Listing, request: common_pb2.ResourceListRequest
) -> tuple[list[Row[Any]], str]:
    """A page of the rows that a request names by project, domain and perhaps name."""
    scope = place(request.id)
    if request.id.name:
        scope["name"] = request.id.name
    return await list_page(database, listing, request, scope)


def required(message: Any, name: str) -> str:
    """A field that must have a value; raises InvalidArgument."""
    value: str = getattr(message, name)
    if not value:
        raise InvalidArgument(f"missing {name}")
    return value


def place(message: Any) -> dict[str, str]:
    """The project and domain of a message, both required."""
    return {name: required(message, name) for name in ("project", "domain")}


def _listed_workflow(row: Row[Any]) -> workflow_pb2.Workflow:
    found = workflow_pb2.Workflow(short_description=row.short_description)
    found.id.resource_type = WORKFLOW
    found.id.project, found.id.domain = row.project, row.domain
    found.id.name, found.id.version = row.name, row.version
    template = found.closure.compiled_workflow.primary.template
    template.interface.CopyFrom(interface_pb2.TypedInterface.FromString(row.typed_interface))
    found.closure.created_at.CopyFrom(timestamp(row.created_at))
    return found


def _set_state(connection: Connection, identifier: identifier_pb2.Identifier, state: int) -> None:
    row = get_entity(connection, LAUNCH_PLAN, identifier)
    if row.state == state:
        return
    table, at = db.launch_plans, now_text()
    if state == _ACTIVE:
        names = {name: value for name, value in entity_columns(identifier).items() if name != "version"}
        same = [table.c[name] == value for name, value in names.items()]
        before = update(table).where(*same, table.c.state == _ACTIVE)
        connection.execute(before.values(state=_INACTIVE, updated_at=at))
    connection.execute(update(table).where(table.c.id == row.id).values(state=state, updated_at=at))
