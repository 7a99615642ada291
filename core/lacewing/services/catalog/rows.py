"""What the parts of the catalog share: rows by the names of their things, and times as text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flyteidl.datacatalog import datacatalog_pb2
from sqlalchemy import Connection, Row, Table, select

from lacewing.errors import InvalidArgument, NotFound
from lacewing.services import db

_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def time_text(at: datetime) -> str:
    """A time as stored: it compares as text."""
    return at.astimezone(UTC).strftime(_FORM)


def dataset_columns(identifier: datacatalog_pb2.DatasetID) -> dict[str, str]:
    """The columns that name a dataset; raises InvalidArgument where a part is missing."""
    columns = {name: getattr(identifier, name) for name in ("project", "domain", "name", "version")}
    for name, value in columns.items():
        if not value:
            raise InvalidArgument(f"missing dataset {name}")
    return columns


def find(connection: Connection, table: Table, columns: Mapping[str, Any]) -> Row[Any] | None:
    """The row with these values, or None."""
    query = select(table)
    for name, value in columns.items():
        query = query.where(table.c[name] == value)
    return connection.execute(query).one_or_none()


def get_dataset(connection: Connection, identifier: datacatalog_pb2.DatasetID) -> Row[Any]:
    """A dataset's row; raises NotFound."""
    columns = dataset_columns(identifier)
    row = find(connection, db.catalog_datasets, columns)
    if row is None:
        raise NotFound(f"there is no dataset {dataset_text(columns)}")
    return row


def dataset_text(columns: Mapping[str, str]) -> str:
    """A dataset's name for readers."""
    return ":".join(columns.values())


def get_artifact(connection: Connection, dataset: Row[Any], query: Any) -> Row[Any]:
    """The artifact that a request names by its id or by a tag; raises NotFound.

    `query` is a request with the oneof `query_handle`.
    """
    which = query.WhichOneof("query_handle")
    if which is None or not getattr(query, which):
        raise InvalidArgument("one of artifact_id and tag_name is required")
    artifacts, tags = db.catalog_artifacts, db.catalog_tags
    found = select(artifacts)
    if which == "artifact_id":
        found = found.where(
            artifacts.c.dataset_id == dataset.id, artifacts.c.artifact_id == query.artifact_id
        )
    else:
        found = found.join(tags, tags.c.artifact == artifacts.c.id)
        found = found.where(tags.c.dataset_id == dataset.id, tags.c.name == query.tag_name)
    row = connection.execute(found).one_or_none()
    if row is None:
        raise NotFound(f"dataset {dataset.name} {dataset.version} has no {which} {getattr(query, which)!r}")
    return row
