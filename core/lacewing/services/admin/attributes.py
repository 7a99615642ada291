"""Matchable attributes: settings of a project, a domain in it, or a workflow there.

Rules: contract "admin", sections 6.1 and 6.2. One row per place and type; a read answers the most specific
row whole and never merges levels. What a row means is for its reader.
"""

from collections.abc import Sequence
from typing import Any

from flyteidl.admin import (
    matchable_resource_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
    workflow_attributes_pb2,
)
from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.errors import InvalidArgument, NotFound
from lacewing.services import db
from lacewing.services.admin.entities import required
from lacewing.services.admin.labels import check_labels
from lacewing.services.admin.resources import check_quantity
from lacewing.services.admin.rows import DOMAINS, check_place, find, now_text
from lacewing.services.rpc import Call

_LEVELS = ("project", "domain", "workflow", "launch_plan")
_PRIORITIES = {"project": 5, "domain": 10, "workflow": 100}
_TARGETS = {
    "task_resource_attributes": "TASK_RESOURCE",
    "cluster_resource_attributes": "CLUSTER_RESOURCE",
    "execution_queue_attributes": "EXECUTION_QUEUE",
    "execution_cluster_label": "EXECUTION_CLUSTER_LABEL",
    "plugin_overrides": "PLUGIN_OVERRIDE",
    "workflow_execution_config": "WORKFLOW_EXECUTION_CONFIG",
    "cluster_assignment": "CLUSTER_ASSIGNMENT",
}
_MAX_PARALLELISM = 25
Place = dict[str, str]


class Attributes:
    """The RPCs that write and read attributes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def UpdateProjectAttributes(
        self, request: Any, call: Call
    ) -> project_attributes_pb2.ProjectAttributesUpdateResponse:
        """Set one of a project's attributes."""
        await self._update(request.attributes, "project")
        return project_attributes_pb2.ProjectAttributesUpdateResponse()

    async def GetProjectAttributes(
        self, request: Any, call: Call
    ) -> project_attributes_pb2.ProjectAttributesGetResponse:
        """One of a project's attributes. How executions run is always answered, at least from defaults."""
        where, kind = _where(request, "project"), _kind(request.resource_type)
        row = await self._database.read(lambda c: most_specific(c, kind, [where]))
        answer = project_attributes_pb2.ProjectAttributesGetResponse()
        answer.attributes.project = where["project"]
        if kind == "WORKFLOW_EXECUTION_CONFIG":
            answer.attributes.matching_attributes.CopyFrom(_execution_config(row))
        elif row is None:
            raise _not_found(where, kind)
        else:
            answer.attributes.matching_attributes.CopyFrom(attributes_of(row))
        return answer

    async def DeleteProjectAttributes(
        self, request: Any, call: Call
    ) -> project_attributes_pb2.ProjectAttributesDeleteResponse:
        """Forget one of a project's attributes."""
        await self._delete(request, "project")
        return project_attributes_pb2.ProjectAttributesDeleteResponse()

    async def UpdateProjectDomainAttributes(
        self, request: Any, call: Call
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse:
        """Set an attribute of a domain in a project."""
        await self._update(request.attributes, "project", "domain")
        return project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse()

    async def GetProjectDomainAttributes(
        self, request: Any, call: Call
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesGetResponse:
        """An attribute of a domain in a project, or of the project."""
        answer = project_domain_attributes_pb2.ProjectDomainAttributesGetResponse()
        await self._fill(answer.attributes, request, "project", "domain")
        return answer

    async def DeleteProjectDomainAttributes(
        self, request: Any, call: Call
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse:
        """Forget an attribute of a domain in a project."""
        await self._delete(request, "project", "domain")
        return project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse()

    async def UpdateWorkflowAttributes(
        self, request: Any, call: Call
    ) -> workflow_attributes_pb2.WorkflowAttributesUpdateResponse:
        """Set an attribute of a workflow."""
        await self._update(request.attributes, "project", "domain", "workflow")
        return workflow_attributes_pb2.WorkflowAttributesUpdateResponse()

    async def GetWorkflowAttributes(
        self, request: Any, call: Call
    ) -> workflow_attributes_pb2.WorkflowAttributesGetResponse:
        """An attribute of a workflow, or of what is around it."""
        answer = workflow_attributes_pb2.WorkflowAttributesGetResponse()
        await self._fill(answer.attributes, request, "project", "domain", "workflow")
        return answer

    async def DeleteWorkflowAttributes(
        self, request: Any, call: Call
    ) -> workflow_attributes_pb2.WorkflowAttributesDeleteResponse:
        """Forget an attribute of a workflow."""
        await self._delete(request, "project", "domain", "workflow")
        return workflow_attributes_pb2.WorkflowAttributesDeleteResponse()

    async def ListMatchableAttributes(
        self, request: matchable_resource_pb2.ListMatchableAttributesRequest, call: Call
    ) -> matchable_resource_pb2.ListMatchableAttributesResponse:
        """Every row of one type."""
        table, kind = db.matchable_attributes, _kind(request.resource_type)
        query = select(table).where(table.c.resource_type == kind).order_by(table.c.priority, table.c.id)
        rows = await self._database.read(lambda c: list(c.execute(query)))
        found = [
            matchable_resource_pb2.MatchableAttributesConfiguration(
                attributes=attributes_of(row), **{name: getattr(row, name) for name in _LEVELS}
            )
            for row in rows
        ]
        return matchable_resource_pb2.ListMatchableAttributesResponse(configurations=found)

    async def _update(self, attributes: Any, *levels: str) -> None:
        where = _where(attributes, *levels)
        if not attributes.HasField("matching_attributes"):
            raise InvalidArgument("missing matching_attributes")
        given = attributes.matching_attributes
        kind = _TARGETS.get(given.WhichOneof("target") or "")
        if kind is None:
            raise InvalidArgument("Unrecognized matching attributes type for request")
        _check(given)
        await self._database.write(lambda c: _save(c, where, kind, _PRIORITIES[levels[-1]], given))

    async def _fill(self, target: Any, request: Any, *levels: str) -> None:
        where, kind = _where(request, *levels), _kind(request.resource_type)
        places = [_cut(where, levels[:count]) for count in range(len(levels), 0, -1)]
        row = await self._database.read(lambda c: most_specific(c, kind, places))
        if row is None:
            raise _not_found(where, kind)
        for name in levels:
            setattr(target, name, getattr(row, name))
        target.matching_attributes.CopyFrom(attributes_of(row))

    async def _delete(self, request: Any, *levels: str) -> None:
        key = {**_where(request, *levels), "resource_type": _kind(request.resource_type)}
        table = db.matchable_attributes
        statement = delete(table).where(*(table.c[name] == value for name, value in key.items()))
        await self._database.write(lambda c: c.execute(statement))


def most_specific(connection: Connection, kind: str, places: Sequence[Place]) -> Row[Any] | None:
    """The row of the first of the places that has one."""
    for where in places:
        row = find(connection, db.matchable_attributes, {**where, "resource_type": kind})
        if row is not None:
            return row
    return None


def applying(
    connection: Connection, project: str, domain: str, workflow: str
) -> dict[str, list[matchable_resource_pb2.MatchingAttributes]]:
    """What applies to a workflow, by type: its own row or else its domain's, then its project's."""
    table = db.matchable_attributes
    query = select(table).where(
        table.c.project == project,
        table.c.domain.in_((domain, "")),
        table.c.workflow.in_((workflow, "")),
        table.c.launch_plan == "",
    )
    found: dict[str, list[matchable_resource_pb2.MatchingAttributes]] = {}
    for row in connection.execute(query.order_by(table.c.priority.desc())):
        rows = found.setdefault(row.resource_type, [])
        if not rows or not row.domain:
            rows.append(attributes_of(row))
    return found


def attributes_of(row: Row[Any]) -> matchable_resource_pb2.MatchingAttributes:
    """What a row holds."""
    return matchable_resource_pb2.MatchingAttributes.FromString(row.attributes)


def _check(given: matchable_resource_pb2.MatchingAttributes) -> None:
    """Refuse what could only fail when an execution takes it up."""
    check_labels(given.workflow_execution_config.labels)
    for spec in (given.task_resource_attributes.defaults, given.task_resource_attributes.limits):
        for field, value in spec.ListFields():
            check_quantity(field.name, value)


def _where(message: Any, *levels: str) -> Place:
    return _cut({name: required(message, name) for name in levels}, levels)


def _cut(where: Place, levels: Sequence[str]) -> Place:
    return {name: where[name] if name in levels else "" for name in _LEVELS}


def _kind(kind: int) -> str:
    if kind not in matchable_resource_pb2.MatchableResource.values():
        raise InvalidArgument("invalid value for resource_type")
    return str(matchable_resource_pb2.MatchableResource.Name(kind))


def _not_found(where: Place, kind: str) -> NotFound:
    place = (
        f"Project:{where['project']} Domain:{where['domain']}"
        f" Workflow:{where['workflow']} LaunchPlan:{where['launch_plan']}"
    )
    return NotFound(f"Resource [{{{place} ResourceType:{kind}}}] not found")


def _execution_config(row: Row[Any] | None) -> matchable_resource_pb2.MatchingAttributes:
    found = matchable_resource_pb2.MatchingAttributes()
    found.workflow_execution_config.max_parallelism = _MAX_PARALLELISM
    if row is not None:
        found.workflow_execution_config.MergeFrom(attributes_of(row).workflow_execution_config)
    return found


def _save(
    connection: Connection,
    where: Place,
    kind: str,
    priority: int,
    given: matchable_resource_pb2.MatchingAttributes,
) -> None:
    check_place(connection, where["project"], where["domain"] or DOMAINS[0])
    before = most_specific(connection, kind, [where])
    if kind == "PLUGIN_OVERRIDE" and before is not None:
        given = _merged(attributes_of(before), given)
    at = now_text()
    changed = {"attributes": given.SerializeToString(), "priority": priority, "updated_at": at}
    key = {**where, "resource_type": kind}
    statement = insert(db.matchable_attributes).values({**key, **changed, "created_at": at})
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))


def _merged(
    before: matchable_resource_pb2.MatchingAttributes, given: matchable_resource_pb2.MatchingAttributes
) -> matchable_resource_pb2.MatchingAttributes:
    overrides = {one.task_type: one for one in before.plugin_overrides.overrides}
    overrides |= {one.task_type: one for one in given.plugin_overrides.overrides}
    found = matchable_resource_pb2.MatchingAttributes()
    found.plugin_overrides.overrides.extend(overrides[name] for name in sorted(overrides))
    return found
