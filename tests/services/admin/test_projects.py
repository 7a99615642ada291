"""Projects on a real SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import project_pb2
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.demo.app import seed
from lacewing.errors import AlreadyExists, InvalidArgument, NotFound
from lacewing.services.admin.projects import Projects
from lacewing.services.rpc import Call

CALL = Call("test")


@pytest.fixture
async def projects(tmp_path: Path) -> AsyncIterator[Projects]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database = Database(engine)
    await seed(database)
    yield Projects(database)
    database.close()


async def register(projects: Projects, **fields: Any) -> None:
    request = project_pb2.ProjectRegisterRequest(project=project_pb2.Project(**fields))
    await projects.RegisterProject(request, CALL)


async def ids(projects: Projects, **options: Any) -> list[str]:
    found = await projects.ListProjects(project_pb2.ProjectListRequest(**options), CALL)
    return [project.id for project in found.projects]


async def test_a_registered_project_is_read_with_its_domains(projects: Projects):
    await register(
        projects, id="probe-a", name="Probe A", description="d", labels={"values": {"x.io/a": "b"}}
    )
    found = await projects.GetProject(project_pb2.ProjectGetRequest(id="probe-a"), CALL)
    assert (found.name, found.description, dict(found.labels.values)) == ("Probe A", "d", {"x.io/a": "b"})
    assert [domain.id for domain in found.domains] == ["development", "staging", "production"]
    with pytest.raises(AlreadyExists):
        await register(projects, id="probe-a", name="again")


async def test_an_update_changes_what_is_given_and_always_the_state(projects: Projects):
    await register(projects, id="probe-a", name="n", description="d", labels={"values": {"a": "b"}}, state=1)
    await projects.UpdateProject(project_pb2.Project(id="probe-a", name="Renamed"), CALL)
    found = await projects.GetProject(project_pb2.ProjectGetRequest(id="probe-a"), CALL)
    assert (found.name, found.description, found.state) == ("Renamed", "d", project_pb2.Project.ACTIVE)
    assert found.labels.values
    await projects.UpdateProject(project_pb2.Project(id="probe-a", labels={}), CALL)
    found = await projects.GetProject(project_pb2.ProjectGetRequest(id="probe-a"), CALL)
    assert (found.name, dict(found.labels.values)) == ("Renamed", {})


async def test_archived_projects_show_only_where_a_filter_is_given(projects: Projects):
    await register(projects, id="zz", name="n", state=project_pb2.Project.ARCHIVED)
    await register(projects, id="aa", name="n", state=project_pb2.Project.SYSTEM_GENERATED)
    assert await ids(projects) == ["aa", "flytesnacks"]
    assert await ids(projects, filters="eq(state,1)") == ["zz"]
    assert await ids(projects, filters="eq(state,ARCHIVED)") == ["zz"]
    assert await ids(projects, filters="eq(identifier,zz)") == ["zz"]
    assert await ids(projects, limit=1, token="1") == ["flytesnacks"]


async def test_a_project_that_is_not_there_is_not_found(projects: Projects):
    with pytest.raises(NotFound, match=r"project \[nope\] not found"):
        await projects.UpdateProject(project_pb2.Project(id="nope", name="n"), CALL)
    with pytest.raises(NotFound, match=r"project \[nope\] not found"):
        await projects.GetProject(project_pb2.ProjectGetRequest(id="nope"), CALL)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": "x" * 64, "name": "n"}, "must be no more than 63 characters"),
        ({"id": "Bad_Id", "name": "n"}, "invalid project id [Bad_Id]: [a lowercase RFC 1123 label"),
        ({"id": "a\n", "name": "n"}, "invalid project id"),
        ({"name": "n"}, "missing project_id"),
        ({"id": "a"}, "missing project_name"),
        ({"id": "a", "name": "n" * 65}, "project_name cannot exceed 64 characters"),
        (
            {"id": "a", "name": "n", "description": "d" * 301},
            "project_description cannot exceed 300 characters",
        ),
        ({"id": "a", "name": "n", "domains": [{"id": "x"}]}, "Domains are currently only set system wide"),
        ({"id": "a", "name": "n", "labels": {"values": {"-": "x"}}}, "invalid label key [-]"),
        ({"id": "a", "name": "n", "labels": {"values": {"a": "b c"}}}, "invalid label value [b c]"),
        ({"id": "a", "name": "n", "labels": {"values": {f"k{n}": "" for n in range(17)}}}, "more than 16"),
        ({"id": "a", "name": "n", "state": 9}, "unrecognized project state 9"),
    ],
)
async def test_a_project_that_cannot_be_is_refused(projects: Projects, fields: dict[str, Any], words: str):
    with pytest.raises(InvalidArgument) as refused:
        await register(projects, **fields)
    assert words in refused.value.message
    assert await ids(projects) == ["flytesnacks"]


async def test_a_registration_without_a_project_is_refused(projects: Projects):
    with pytest.raises(InvalidArgument, match="missing project"):
        await projects.RegisterProject(project_pb2.ProjectRegisterRequest(), CALL)
