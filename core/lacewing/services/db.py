"""The tables of the services. Closures and specs are opaque protobuf blobs beside typed filter columns.

Column names are those that clients write into filters (contract "admin", section 5.1): do not rename them.
Times are ISO-8601 text in UTC with microseconds and a `Z`, so that they compare as text on every store.
"""

from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from lacewing.adapters.sql import metadata


def _text(name: str, **options: object) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="", **options)  # type: ignore[arg-type]


def _number(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _blob(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False, default=b"")


projects = Table(
    "projects",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("identifier", unique=True),
    _text("name"),
    _text("description"),
    _number("state"),
    _blob("labels"),
    _text("created_at"),
    _text("updated_at"),
)


def _entity(name: str, *more: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True),
        _text("project"),
        _text("domain"),
        _text("name"),
        _text("version"),
        _blob("digest"),
        _text("created_at"),
        _text("updated_at"),
        *more,
        UniqueConstraint("project", "domain", "name", "version"),
        Index(f"{name}_by_creation", "project", "domain", "name", "created_at"),
    )


# `closure` is admin.TaskClosure or admin.LaunchPlanClosure, `spec` admin.LaunchPlanSpec.
tasks = _entity("tasks", _text("type"), _text("short_description"), _blob("closure"))
workflows = _entity(
    "workflows",
    _text("remote_closure_identifier"),
    _text("short_description"),
    _blob("typed_interface"),
)
launch_plans = _entity(
    "launch_plans",
    Column("workflow_id", Integer, nullable=False, index=True),
    _number("state"),
    _text("schedule_type"),
    _text("launch_condition_type"),
    _blob("spec"),
    _blob("closure"),
)

named_entity_metadata = Table(
    "named_entity_metadata",
    metadata,
    Column("id", Integer, primary_key=True),
    _number("resource_type"),
    _text("project"),
    _text("domain"),
    _text("name"),
    _text("description"),
    _number("state"),
    _text("created_at"),
    _text("updated_at"),
    UniqueConstraint("resource_type", "project", "domain", "name"),
)

description_entities = Table(
    "description_entities",
    metadata,
    Column("id", Integer, primary_key=True),
    _number("resource_type"),
    _text("project"),
    _text("domain"),
    _text("name"),
    _text("version"),
    _text("short_description"),
    _blob("body"),
    _text("created_at"),
    _text("updated_at"),
    UniqueConstraint("resource_type", "project", "domain", "name", "version"),
)

executions = Table(
    "executions",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("execution_project"),
    _text("execution_domain"),
    _text("execution_name"),
    _number("launch_plan_id"),
    _number("workflow_id"),
    _number("task_id"),
    _text("phase"),
    Column("started_at", Text),
    _text("execution_created_at"),
    _text("execution_updated_at"),
    Column("duration", Float),
    _text("abort_cause"),
    _number("mode"),
    _number("source_execution_id"),
    _number("parent_node_execution_id"),
    _text("cluster"),
    _text("inputs_uri"),
    _text("user_inputs_uri"),
    _text("error_kind"),
    _text("error_code"),
    _text("user"),
    _number("state"),
    _text("launch_entity"),
    _blob("spec"),
    _blob("closure"),
    _text("created_at"),
    _text("updated_at"),
    UniqueConstraint("execution_project", "execution_domain", "execution_name"),
    Index("executions_by_creation", "execution_project", "execution_domain", "state", "created_at"),
)

execution_tags = Table(
    "execution_tags",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("execution_project"),
    _text("execution_domain"),
    _text("execution_name"),
    _text("key"),
    _text("value"),
    UniqueConstraint("execution_project", "execution_domain", "execution_name", "key", "value"),
    Index("execution_tags_by_key", "key", "value"),
)

node_executions = Table(
    "node_executions",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("execution_project"),
    _text("execution_domain"),
    _text("execution_name"),
    _text("node_id"),
    _text("phase"),
    _text("input_uri"),
    Column("started_at", Text),
    _text("node_execution_created_at"),
    _text("node_execution_updated_at"),
    Column("duration", Float),
    Column("parent_id", Integer),
    Column("parent_task_execution_id", Integer),
    _text("error_kind"),
    _text("error_code"),
    _text("cache_status"),
    _text("dynamic_workflow_remote_closure_reference"),
    _blob("metadata"),
    _blob("closure"),
    _text("created_at"),
    _text("updated_at"),
    UniqueConstraint("execution_project", "execution_domain", "execution_name", "node_id"),
    Index(
        "node_executions_by_parent", "execution_project", "execution_domain", "execution_name", "parent_id"
    ),
)

task_executions = Table(
    "task_executions",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("project"),
    _text("domain"),
    _text("name"),
    _text("version"),
    _text("execution_project"),
    _text("execution_domain"),
    _text("execution_name"),
    _text("node_id"),
    _number("retry_attempt"),
    _text("phase"),
    _number("phase_version"),
    _text("input_uri"),
    Column("started_at", Text),
    _text("task_execution_created_at"),
    _text("task_execution_updated_at"),
    Column("duration", Float),
    _blob("closure"),
    _text("created_at"),
    _text("updated_at"),
    UniqueConstraint(
        "execution_project",
        "execution_domain",
        "execution_name",
        "node_id",
        "retry_attempt",
        "project",
        "domain",
        "name",
        "version",
        name="task_executions_key",
    ),
)

signals = Table(
    "signals",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("execution_project"),
    _text("execution_domain"),
    _text("execution_name"),
    _text("signal_id"),
    _blob("type"),
    _blob("value"),
    _text("created_at"),
    _text("updated_at"),
    UniqueConstraint("execution_project", "execution_domain", "execution_name", "signal_id"),
)

matchable_attributes = Table(
    "resources",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("project"),
    _text("domain"),
    _text("workflow"),
    _text("launch_plan"),
    Column("resource_type", String(64), nullable=False),
    _number("priority"),
    _blob("attributes"),
    _text("created_at"),
    _text("updated_at"),
    UniqueConstraint("project", "domain", "workflow", "launch_plan", "resource_type"),
)

# The data catalog. A dataset's and an artifact's message is in `body`; a reservation needs no dataset.
_DATASET_NAME = ("project", "domain", "name", "version")

catalog_datasets = Table(
    "catalog_datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    *(_text(name) for name in _DATASET_NAME),
    _blob("body"),
    _text("created_at"),
    UniqueConstraint(*_DATASET_NAME),
)

catalog_artifacts = Table(
    "catalog_artifacts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", Integer, nullable=False),
    _text("artifact_id"),
    _blob("body"),
    _text("created_at"),
    UniqueConstraint("dataset_id", "artifact_id"),
)

catalog_partitions = Table(
    "catalog_partitions",
    metadata,
    Column("artifact", Integer, primary_key=True),
    _text("key", primary_key=True),
    _text("value"),
)

catalog_tags = Table(
    "catalog_tags",
    metadata,
    Column("dataset_id", Integer, primary_key=True),
    _text("name", primary_key=True),
    Column("artifact", Integer, nullable=False),
    _text("created_at"),
    Index("catalog_tags_by_artifact", "artifact"),
)

catalog_reservations = Table(
    "catalog_reservations",
    metadata,
    *(_text(name, primary_key=True) for name in (*_DATASET_NAME, "tag")),
    _text("owner"),
    _text("expires_at"),
)
