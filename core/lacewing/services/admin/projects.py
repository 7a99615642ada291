"""Projects. Rules: contract "admin", section 6.3. Domains are the same for every project and never stored."""

import re
from typing import Any

from flyteidl.admin import common_pb2, project_pb2
from sqlalchemy import Connection, Row, update
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, InvalidArgument, NotFound
from lacewing.services import db
from lacewing.services.admin.labels import check_labels
from lacewing.services.admin.listing import PROJECTS, list_page
from lacewing.services.admin.rows import DOMAINS, find, now_text
from lacewing.services.rpc import Call

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LONGEST_ID, _LONGEST_NAME, _LONGEST_DESCRIPTION = 63, 64, 300


class Projects:
    """The RPCs about projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def RegisterProject(
        self, request: project_pb2.ProjectRegisterRequest, call: Call
    ) -> project_pb2.ProjectRegisterResponse:
        """Make a project."""
        if not request.HasField("project"):
            raise InvalidArgument("missing project")
        project = request.project
        _check(project)
        if not project.name:
            raise InvalidArgument("missing project_name")
        at = now_text()
        values = {**_columns(project), "labels": project.labels.SerializeToString(deterministic=True)}
        statement = insert(db.projects).values(
            {**values, "identifier": project.id, "created_at": at, "updated_at": at}
        )
        made = await self._database.write(lambda c: c.execute(statement.on_conflict_do_nothing()).rowcount)
        if not made:
            raise AlreadyExists(f"value with matching already exists (project [{project.id}])")
        return project_pb2.ProjectRegisterResponse()

    async def UpdateProject(
        self, request: project_pb2.Project, call: Call
    ) -> project_pb2.ProjectUpdateResponse:
        """Change what is given. The state always changes: unset is active."""
        await self._database.write(lambda c: _update(c, request))
        return project_pb2.ProjectUpdateResponse()

    async def GetProject(self, request: project_pb2.ProjectGetRequest, call: Call) -> project_pb2.Project:
        """One project with its domains."""
        return _message(await self._database.read(lambda c: _get(c, request.id)))

    async def ListProjects(self, request: project_pb2.ProjectListRequest, call: Call) -> project_pb2.Projects:
        """Projects by their id. Archived ones show only if a filter is given. No limit means all."""
        hidden = db.projects.c.state != project_pb2.Project.ARCHIVED
        rows, token = await list_page(
            self._database,
            PROJECTS,
            request,
            {},
            require_limit=False,
            extra=[] if request.filters else [hidden],
        )
        return project_pb2.Projects(projects=[_message(row) for row in rows], token=token)


def _update(connection: Connection, project: project_pb2.Project) -> None:
    row = _get(connection, project.id)
    _check(project)
    values: dict[str, Any] = {name: value for name, value in _columns(project).items() if value}
    values |= {"state": project.state, "updated_at": now_text()}
    if project.HasField("labels"):
        values["labels"] = project.labels.SerializeToString(deterministic=True)
    connection.execute(update(db.projects).where(db.projects.c.id == row.id).values(values))


def _columns(project: project_pb2.Project) -> dict[str, Any]:
    return {"name": project.name, "description": project.description, "state": project.state}


def _get(connection: Connection, identifier: str) -> Row[Any]:
    row = find(connection, db.projects, {"identifier": identifier})
    if row is None:
        raise NotFound(f"project [{identifier}] not found")
    return row


def _message(row: Row[Any]) -> project_pb2.Project:
    found = project_pb2.Project(
        id=row.identifier,
        name=row.name,
        description=row.description,
        state=row.state,
        domains=[project_pb2.Domain(id=name, name=name) for name in DOMAINS],
    )
    if row.labels:
        found.labels.CopyFrom(common_pb2.Labels.FromString(row.labels))
    return found


def _check(project: project_pb2.Project) -> None:
    if not project.id:
        raise InvalidArgument("missing project_id")
    problems = []
    if len(project.id) > _LONGEST_ID:
        problems.append(f"must be no more than {_LONGEST_ID} characters")
    if not _LABEL.fullmatch(project.id):
        problems.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-',"
            " and must start and end with an alphanumeric character"
        )
    if problems:
        raise InvalidArgument(f"invalid project id [{project.id}]: [{' '.join(problems)}]")
    for word, value, longest in (
        ("project_name", project.name, _LONGEST_NAME),
        ("project_description", project.description, _LONGEST_DESCRIPTION),
    ):
        if len(value) > longest:
            raise InvalidArgument(f"{word} cannot exceed {longest} characters")
    if project.domains:
        raise InvalidArgument(
            "Domains are currently only set system wide."
            " Please retry without domains included in your request."
        )
    if project.state not in project_pb2.Project.ProjectState.values():
        raise InvalidArgument(f"unrecognized project state {project.state}")
    check_labels(project.labels)
