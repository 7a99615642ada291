"""Pages of datasets and artifacts. Tokens are offsets; the next one is always told, as Flyte does."""

from typing import Any

from flyteidl.datacatalog import datacatalog_pb2
from sqlalchemy import ColumnElement, Connection, Row, Select, Table

from lacewing.errors import InvalidArgument
from lacewing.services import db

_LIMIT = 50
_LARGEST = 2**31 - 1
_DATASET_NAMES = ("project", "domain", "name", "version")


def list_rows(
    connection: Connection, query: Select[Any], table: Table, request: Any
) -> tuple[list[Row[Any]], str]:
    """A page of `query` over `table`, newest first unless asked otherwise, and the token of the next."""
    limit, offset, order = _LIMIT, 0, table.c.id.desc()
    if request.HasField("pagination"):
        asked = request.pagination
        limit, offset = min(asked.limit, _LARGEST), _offset(asked.token)
        if asked.sortOrder == datacatalog_pb2.PaginationOptions.ASCENDING:
            order = table.c.id.asc()
    rows = list(connection.execute(query.order_by(order).limit(limit).offset(offset)))
    return rows, str(offset + len(rows))


def dataset_condition(asked: datacatalog_pb2.DatasetPropertyFilter) -> ColumnElement[bool]:
    """What a filter about datasets means."""
    which = asked.WhichOneof("property")
    if which not in _DATASET_NAMES:
        raise InvalidArgument(
            f"datasets are not filtered by {which or 'nothing'}; give one of {_DATASET_NAMES}"
        )
    found: ColumnElement[bool] = db.catalog_datasets.c[which] == getattr(asked, which)
    return found


def _offset(token: str) -> int:
    if not token:
        return 0
    if not token.isascii() or not token.isdigit() or int(token) > _LARGEST:
        raise InvalidArgument(f"invalid token {token!r}: it is none that a list answered")
    return int(token)
