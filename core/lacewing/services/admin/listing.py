"""Lists: filters, sort keys and tokens of every listed entity. Rules: contract "admin", section 5.

A condition on another entity is an EXISTS, never a join, so that a row is listed once. Tokens are plain
offsets, since clients compute their own. What a list hides by default is for its caller to say.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyteidl.admin import common_pb2
from flyteidl.core import identifier_pb2
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    LargeBinary,
    Row,
    Table,
    and_,
    exists,
    func,
    literal,
    select,
)

from lacewing.adapters.sql import Database
from lacewing.errors import InvalidArgument
from lacewing.services import db
from lacewing.services.admin.filters import Filter, condition, parse_filters

__all__ = ["Filter", "Foreign", "Listing", "list_page", "list_rows", "parse_filters"]

_OFFSET = re.compile(r"[0-9]{1,18}", re.ASCII)
_SHORT = {
    "execution": "e",
    "launch_plan": "l",
    "node_execution": "ne",
    "task": "t",
    "task_execution": "te",
    "workflow": "w",
    "named_entity_metadata": "nem",
    "entities": "entities",
    "project": "p",
    "signal": "s",
}


@dataclass(frozen=True)
class Foreign:
    """Another entity that filters may name: its rows belong to a listed row where `link` equals.

    `link` maps columns of the other table to columns of the listed one.
    """

    table: Table
    link: Mapping[str, str]
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """What can be listed: the prefix of its own columns, where its rows are, which others filters may name.

    `key` is unique in the rows and orders those that are otherwise equal.
    """

    prefix: str
    rpc: str
    table: FromClause
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    key: str = "id"
    also: str = ""
    """A second prefix for the same columns."""

    @property
    def columns(self) -> set[str]:
        """The columns that filters and sort keys may name."""
        return _readable(self.table)


def list_rows(
    connection: Connection,
    listing: Listing,
    *,
    scope: Mapping[str, Any],
    filters: str = "",
    limit: int,
    token: str = "",
    sort_by: common_pb2.Sort | None = None,
    require_limit: bool = True,
    extra: Sequence[ColumnElement[bool]] = (),
) -> tuple[list[Row[Any]], str]:
    """One page of rows and the token of the next, which is empty at the end. Raises InvalidArgument.

    `scope` gives columns their value; `extra` are more conditions. A limit of 0 means all if it may be 0.
    """
    if not limit and require_limit:
        raise InvalidArgument("invalid value for limit")
    if token and not _OFFSET.fullmatch(token):
        raise InvalidArgument(f"invalid pagination token {token} for {listing.rpc}")
    offset = int(token or 0)
    query = select(listing.table).where(*(listing.table.c[name] == value for name, value in scope.items()))
    query = query.where(*extra, *conditions(listing, parse_filters(filters)))
    query = query.order_by(*_order(listing, sort_by)).offset(offset)
    if limit:
        query = query.limit(limit)
    rows = list(connection.execute(query))
    return rows, str(offset + len(rows)) if limit and len(rows) == limit else ""


async def list_page(
    database: Database,
    listing: Listing,
    request: Any,
    scope: Mapping[str, Any],
    *,
    require_limit: bool = True,
    extra: Sequence[ColumnElement[bool]] = (),
) -> tuple[list[Row[Any]], str]:
    """`list_rows` for a list request: its limit, token and sort key, and its filters if it has any."""
    return await database.read(
        lambda connection: list_rows(
            connection,
            listing,
            scope=scope,
            filters=getattr(request, "filters", ""),
            limit=request.limit,
            token=request.token,
            sort_by=request.sort_by,
            require_limit=require_limit,
            extra=extra,
        )
    )


def has_filter(listing: Listing, filters: str, name: str) -> bool:
    """Whether the filters say something of the listing's own column."""
    own = ("", listing.prefix, listing.also or listing.prefix)
    return any(one.field == name and one.prefix in own for one in parse_filters(filters))


def conditions(listing: Listing, filters: Sequence[Filter]) -> list[ColumnElement[bool]]:
    """The filters on the listing's rows. Those on one other entity hold for the same row of it."""
    found: list[ColumnElement[bool]] = []
    others: dict[str, list[ColumnElement[bool]]] = {}
    for one in filters:
        if one.prefix in ("", listing.prefix, listing.also or listing.prefix):
            if one.field not in listing.columns:
                raise _invalid(listing.prefix, one.field)
            owner = str(getattr(listing.table, "name", ""))
            found.append(condition(one, owner, listing.table.c[one.field]))
        elif one.prefix in listing.foreign:
            others.setdefault(one.prefix, []).append(_foreign_condition(listing.foreign[one.prefix], one))
        else:
            raise InvalidArgument(f"'{_SHORT.get(one.prefix, one.prefix)}' entity is not allowed in filters")
    for prefix, wanted in others.items():
        other = listing.foreign[prefix]
        link = [other.table.c[theirs] == listing.table.c[ours] for theirs, ours in other.link.items()]
        found.append(exists().where(and_(*link, *wanted)).correlate(listing.table))
    return found


def _foreign_condition(other: Foreign, one: Filter) -> ColumnElement[bool]:
    name = other.renamed.get(one.field, one.field)
    if name not in _readable(other.table):
        raise _invalid(one.prefix, one.field)
    return condition(one, other.table.name, other.table.c[name])


def _readable(table: FromClause) -> set[str]:
    columns = table.c.values()
    return {one.key for one in columns if not isinstance(one.type, LargeBinary) or one.key == "digest"}


def _invalid(prefix: str, name: str) -> InvalidArgument:
    return InvalidArgument(f"'{_SHORT.get(prefix, prefix)}.{name}' is invalid filter")


def _order(listing: Listing, sort_by: common_pb2.Sort | None) -> list[ColumnElement[Any]]:
    key = listing.table.c[listing.key]
    if sort_by is None or not sort_by.key:
        return [key.asc()]
    if sort_by.key not in listing.columns:
        raise InvalidArgument(f"invalid sort key '{sort_by.key}'")
    column = listing.table.c[sort_by.key]
    if sort_by.direction == common_pb2.Sort.ASCENDING:
        return [column.asc(), key.asc()]
    return [column.desc(), key.desc()]


def _entities(kind: int, table: Table) -> FromClause:
    """The names of a kind of entity, each once, with what is noted of it."""
    names = (
        select(
            table.c.project,
            table.c.domain,
            table.c.name,
            func.max(table.c.created_at).label("created_at"),
        )
        .group_by(table.c.project, table.c.domain, table.c.name)
        .subquery("names")
    )
    noted = db.named_entity_metadata
    same = [noted.c[name] == names.c[name] for name in ("project", "domain", "name")]
    return (
        select(
            literal(kind).label("resource_type"),
            names.c.project,
            names.c.domain,
            names.c.name,
            func.coalesce(noted.c.description, "").label("description"),
            func.coalesce(noted.c.state, 0).label("state"),
            names.c.created_at,
            func.coalesce(noted.c.updated_at, names.c.created_at).label("updated_at"),
        )
        .select_from(names.outerjoin(noted, and_(noted.c.resource_type == kind, *same)))
        .subquery("entities")
    )


def _named(kind: int, table: Table) -> Listing:
    return Listing(
        "entities",
        "ListNamedEntities",
        _entities(kind, table),
        key="name",
        also="named_entity_metadata",
    )


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_RUN = ("execution_project", "execution_domain", "execution_name")
_ENTITY = ("project", "domain", "name", "version")
_EXECUTION = Foreign(db.executions, _same(*_RUN))

TASKS = Listing("task", "ListTasks", db.tasks)
WORKFLOWS = Listing("workflow", "ListWorkflows", db.workflows)
LAUNCH_PLANS = Listing(
    "launch_plan",
    "ListLaunchPlans",
    db.launch_plans,
    {"workflow": Foreign(db.workflows, {"id": "workflow_id"})},
)
PROJECTS = Listing("project", "ListProjects", db.projects, key="identifier")
DESCRIPTIONS = Listing("description_entity", "ListDescriptionEntities", db.description_entities)
EXECUTIONS = Listing(
    "execution",
    "ListExecutions",
    db.executions,
    {
        "launch_plan": Foreign(db.launch_plans, {"id": "launch_plan_id"}),
        "workflow": Foreign(db.workflows, {"id": "workflow_id"}),
        "task": Foreign(db.tasks, {"id": "task_id"}),
        "execution_tag": Foreign(db.execution_tags, _same(*_RUN)),
        "admin_tag": Foreign(db.execution_tags, _same(*_RUN), {"name": "key"}),
    },
)
NODE_EXECUTIONS = Listing(
    "node_execution",
    "ListNodeExecutions",
    db.node_executions,
    {"execution": _EXECUTION},
)
TASK_EXECUTIONS = Listing(
    "task_execution",
    "ListTaskExecutions",
    db.task_executions,
    {
        "task": Foreign(db.tasks, _same(*_ENTITY)),
        "execution": _EXECUTION,
        "node_execution": Foreign(db.node_executions, _same(*_RUN, "node_id")),
    },
)
SIGNALS = Listing("signal", "ListSignals", db.signals)
NAMED: Mapping[int, Listing] = {
    identifier_pb2.TASK: _named(identifier_pb2.TASK, db.tasks),
    identifier_pb2.WORKFLOW: _named(identifier_pb2.WORKFLOW, db.workflows),
    identifier_pb2.LAUNCH_PLAN: _named(identifier_pb2.LAUNCH_PLAN, db.launch_plans),
}
