"""Named entities and descriptions: what is said of a name or a version beside what is registered.

Rules: contract "admin", section 2.8. A name exists only while something is registered under it.
"""

from typing import Any

from flyteidl.admin import common_pb2, description_entity_pb2
from flyteidl.core import identifier_pb2
from sqlalchemy import Connection, Row

from lacewing.adapters.sql import Database
from lacewing.errors import InvalidArgument, NotFound
from lacewing.services import db
from lacewing.services.admin.descriptions import note_named_entity
from lacewing.services.admin.entities import place, required
from lacewing.services.admin.listing import DESCRIPTIONS, NAMED, list_page, list_rows
from lacewing.services.admin.rows import entity_columns, find, missing
from lacewing.services.rpc import Call

WRAPPER_PREFIX = ".flytegen"
_LONGEST_DESCRIPTION = 300


class NamedEntities:
    """The RPCs about names of tasks, workflows and launch plans."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListNamedEntities(
        self, request: common_pb2.NamedEntityListRequest, call: Call
    ) -> common_pb2.NamedEntityList:
        """Names with what is noted of them. Wrappers of single tasks show only if a filter is given."""
        listing = NAMED[_kind(request.resource_type)]
        extra = [] if request.filters else [~listing.table.c.name.startswith(WRAPPER_PREFIX, autoescape=True)]
        rows, token = await list_page(self._database, listing, request, place(request), extra=extra)
        return common_pb2.NamedEntityList(entities=[_named_message(row) for row in rows], token=token)

    async def GetNamedEntity(
        self, request: common_pb2.NamedEntityGetRequest, call: Call
    ) -> common_pb2.NamedEntity:
        """One name with what is noted of it."""
        kind, scope = _kind(request.resource_type), _name(request.id)
        return _named_message(await self._database.read(lambda c: _get_named(c, kind, scope)))

    async def UpdateNamedEntity(
        self, request: common_pb2.NamedEntityUpdateRequest, call: Call
    ) -> common_pb2.NamedEntityUpdateResponse:
        """Note a description and a state. An empty description leaves the one before."""
        kind, scope = _kind(request.resource_type), _name(request.id)
        noted = request.metadata
        if len(noted.description) > _LONGEST_DESCRIPTION:
            raise InvalidArgument(f"description cannot exceed {_LONGEST_DESCRIPTION} characters")
        if noted.state not in common_pb2.NamedEntityState.values():
            raise InvalidArgument(f"unrecognized state {noted.state}")

        def save(connection: Connection) -> None:
            _get_named(connection, kind, scope)
            note_named_entity(connection, kind, scope, noted)

        await self._database.write(save)
        return common_pb2.NamedEntityUpdateResponse()


class Descriptions:
    """The RPCs that read the long descriptions of versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetDescriptionEntity(
        self, request: Any, call: Call
    ) -> description_entity_pb2.DescriptionEntity:
        """The description of one version."""
        columns = {"resource_type": request.id.resource_type, **entity_columns(request.id)}
        row = await self._database.read(lambda c: find(c, db.description_entities, columns))
        if row is None:
            raise NotFound(missing(_kind(request.id.resource_type), request.id))
        return _description_message(row)

    async def ListDescriptionEntities(
        self, request: description_entity_pb2.DescriptionEntityListRequest, call: Call
    ) -> description_entity_pb2.DescriptionEntityList:
        """The descriptions of a name's versions, or of all in a project and domain."""
        scope: dict[str, Any] = {**place(request.id), "resource_type": _kind(request.resource_type)}
        if request.id.name:
            scope["name"] = request.id.name
        rows, token = await list_page(self._database, DESCRIPTIONS, request, scope)
        found = [_description_message(row) for row in rows]
        return description_entity_pb2.DescriptionEntityList(descriptionEntities=found, token=token)


def _kind(kind: int) -> int:
    if kind not in NAMED:
        raise InvalidArgument("invalid value for resource_type")
    return kind


def _name(identifier: common_pb2.NamedEntityIdentifier) -> dict[str, str]:
    return {**place(identifier), "name": required(identifier, "name")}


def _get_named(connection: Connection, kind: int, scope: dict[str, str]) -> Row[Any]:
    rows, _ = list_rows(connection, NAMED[kind], scope=scope, limit=1)
    if not rows:
        raise NotFound("entry not found")
    return rows[0]


def _named_message(row: Row[Any]) -> common_pb2.NamedEntity:
    return common_pb2.NamedEntity(
        resource_type=row.resource_type,
        id=common_pb2.NamedEntityIdentifier(project=row.project, domain=row.domain, name=row.name),
        metadata=common_pb2.NamedEntityMetadata(description=row.description, state=row.state),
    )


def _description_message(row: Row[Any]) -> description_entity_pb2.DescriptionEntity:
    found = description_entity_pb2.DescriptionEntity.FromString(row.body)
    found.short_description = row.short_description
    found.id.CopyFrom(
        identifier_pb2.Identifier(
            resource_type=row.resource_type,
            project=row.project,
            domain=row.domain,
            name=row.name,
            version=row.version,
        )
    )
    return found
