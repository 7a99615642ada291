"""What several parts of admin share: times as text, rows by identifier, the check of project and domain."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flyteidl.admin import project_pb2
from flyteidl.core import identifier_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, Row, Table, select

from lacewing.errors import InvalidArgument, NotFound
from lacewing.services import db
from lacewing.services.admin.words import enum_name

DOMAINS = ("development", "staging", "production")
_LONGEST_PART, _LONGEST_PATH = 255, 1024
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"
_NAMES = {
    identifier_pb2.TASK: "TASK",
    identifier_pb2.WORKFLOW: "WORKFLOW",
    identifier_pb2.LAUNCH_PLAN: "LAUNCH_PLAN",
}
TABLES = {
    identifier_pb2.TASK: db.tasks,
    identifier_pb2.WORKFLOW: db.workflows,
    identifier_pb2.LAUNCH_PLAN: db.launch_plans,
}


def now_text() -> str:
    """Now, as stored."""
    return datetime.now(UTC).strftime(_FORM)


def timestamp(text: str) -> Timestamp:
    """A stored time as a message."""
    found = Timestamp()
    found.FromJsonString(text)
    return found


def entity_columns(identifier: identifier_pb2.Identifier) -> dict[str, str]:
    """The columns that name an entity."""
    return {name: getattr(identifier, name) for name in ("project", "domain", "name", "version")}


def execution_columns(identifier: identifier_pb2.WorkflowExecutionIdentifier) -> dict[str, str]:
    """The columns that name an execution."""
    return {f"execution_{name}": getattr(identifier, name) for name in ("project", "domain", "name")}


def find(connection: Connection, table: Table, columns: Mapping[str, Any]) -> Row[Any] | None:
    """The row with these values, or None."""
    query = select(table)
    for name, value in columns.items():
        query = query.where(table.c[name] == value)
    return connection.execute(query).one_or_none()


def get_entity(connection: Connection, kind: int, identifier: identifier_pb2.Identifier) -> Row[Any]:
    """A task's, workflow's or launch plan's row; raises NotFound in the words that clients know."""
    row = find(connection, TABLES[kind], entity_columns(identifier))
    if row is None:
        raise NotFound(missing(kind, identifier))
    return row


def missing(kind: int, identifier: identifier_pb2.Identifier) -> str:
    """What is not there."""
    name = " ".join(f'{key}:"{value}"' for key, value in entity_columns(identifier).items() if value)
    return f"missing entity of type {_NAMES[kind]} with identifier {name}"


def get_execution(connection: Connection, identifier: identifier_pb2.WorkflowExecutionIdentifier) -> Row[Any]:
    """An execution's row; raises NotFound."""
    row = find(connection, db.executions, execution_columns(identifier))
    if row is None:
        name = f'project:"{identifier.project}" domain:"{identifier.domain}" name:"{identifier.name}"'
        raise NotFound(f"missing entity of type execution with identifier {name}")
    return row


def check_identifier(identifier: identifier_pb2.Identifier, kind: int) -> None:
    """Every part is there and the type is right; raises InvalidArgument."""
    if identifier.resource_type != kind:
        found = enum_name(identifier_pb2.ResourceType, identifier.resource_type).lower()
        raise InvalidArgument(
            f"unexpected resource type {found} for identifier [{str(identifier).strip()}],"
            f" expected {_NAMES[kind].lower()} instead"
        )
    for name, value in entity_columns(identifier).items():
        if not value:
            raise InvalidArgument(f"missing {name}")


def closure_uri(root: str, identifier: identifier_pb2.Identifier, digest: bytes) -> str:
    """Where a workflow's closure is kept. A name may be too long, or too odd, to be part of a path."""
    named = hashlib.sha256("\n".join(entity_columns(identifier).values()).encode() + digest)
    return f"{root}/metadata/admin/{named.hexdigest()}"


def check_path(name: str, value: str) -> None:
    """The value can be part of a file's path, and stays where it is put; raises InvalidArgument."""
    parts = value.split("/")
    if not value.isprintable() or "." in parts or ".." in parts:
        raise InvalidArgument(f"{name} {value!r} may not hold '..', '.' or what cannot be printed")
    longest = max(len(part.encode()) for part in parts)
    if longest > _LONGEST_PART or len(value) > _LONGEST_PATH:
        raise InvalidArgument(f"{name} is too long: at most {_LONGEST_PART} bytes between its slashes")


def check_whole(request: Any) -> None:
    """A request for one entity names it in full; raises InvalidArgument."""
    if not request.HasField("id"):
        raise InvalidArgument("missing id")
    for name, value in entity_columns(request.id).items():
        if not value:
            raise InvalidArgument(f"missing {name}")


def check_place(connection: Connection, project: str, domain: str) -> None:
    """The project is there and active, and the domain is configured; raises InvalidArgument."""
    row = find(connection, db.projects, {"identifier": project})
    if row is None:
        raise InvalidArgument(
            f"failed to validate that project [{project}] and domain [{domain}] are registered,"
            f" err: [project [{project}] not found]"
        )
    if row.state:
        # Flyte's scheduler looks for the detail and drops the firing.
        detail = project_pb2.InactiveProject(id=project)
        raise InvalidArgument(f"project [{project}] is not active", details=[detail])
    if domain not in DOMAINS:
        raise InvalidArgument(f"domain [{domain}] is unrecognized by system")
