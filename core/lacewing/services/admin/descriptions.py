"""What is noted of a name or a version, saved. Whether the thing exists is for the caller to know."""

from typing import Any

from flyteidl.admin import common_pb2, description_entity_pb2
from flyteidl.core import identifier_pb2
from sqlalchemy import Connection, Table
from sqlalchemy.dialects.sqlite import insert

from lacewing.services import db
from lacewing.services.admin.rows import entity_columns, now_text


def note_named_entity(
    connection: Connection, kind: int, scope: dict[str, str], noted: common_pb2.NamedEntityMetadata
) -> None:
    """Save what is said of a name."""
    table, at = db.named_entity_metadata, now_text()
    changed = {"state": noted.state, "updated_at": at}
    if noted.description:
        changed["description"] = noted.description
    key = {"resource_type": kind, **scope}
    _upsert(connection, table, key, changed, at)


def save_description(
    connection: Connection,
    identifier: identifier_pb2.Identifier,
    description: description_entity_pb2.DescriptionEntity,
) -> None:
    """Keep what a registration says of its version. Tags are not stored."""
    at = now_text()
    body = description_entity_pb2.DescriptionEntity(
        long_description=description.long_description, source_code=description.source_code
    )
    changed: dict[str, Any] = {
        "short_description": description.short_description,
        "body": body.SerializeToString(),
        "updated_at": at,
    }
    key = {"resource_type": identifier.resource_type, **entity_columns(identifier)}
    _upsert(connection, db.description_entities, key, changed, at)


def _upsert(
    connection: Connection, table: Table, key: dict[str, Any], changed: dict[str, Any], at: str
) -> None:
    statement = insert(table).values({**key, **changed, "created_at": at})
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))
