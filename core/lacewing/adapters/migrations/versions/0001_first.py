"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    _description_entities()
    _execution_tags()
    _executions()
    _launch_plans()
    _named_entity_metadata()
    _node_executions()
    _projects()
    _resources()
    _run_nodes()
    _runs()
    _signals()
    _task_executions()
    _tasks()
    _workflows()


def _description_entities() -> None:
    op.create_table(
        "description_entities",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("resource_type", sa.Integer(), server_default="0", nullable=False),
        sa.Column("project", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("short_description", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("resource_type", "project", "domain", "name", "version"),
    )


def _execution_tags() -> None:
    op.create_table(
        "execution_tags",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("execution_project", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_name", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), server_default="", nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("execution_project", "execution_domain", "execution_name", "key", "value"),
    )
    op.create_index("execution_tags_by_key", "execution_tags", ["key", "value"])


def _executions() -> None:
    op.create_table(
        "executions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("execution_project", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_name", sa.Text(), server_default="", nullable=False),
        sa.Column("launch_plan_id", sa.Integer(), server_default="0", nullable=False),
        sa.Column("workflow_id", sa.Integer(), server_default="0", nullable=False),
        sa.Column("task_id", sa.Integer(), server_default="0", nullable=False),
        sa.Column("phase", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", sa.Text(), nullable=True),
        sa.Column("execution_created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_updated_at", sa.Text(), server_default="", nullable=False),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("abort_cause", sa.Text(), server_default="", nullable=False),
        sa.Column("mode", sa.Integer(), server_default="0", nullable=False),
        sa.Column("source_execution_id", sa.Integer(), server_default="0", nullable=False),
        sa.Column("parent_node_execution_id", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cluster", sa.Text(), server_default="", nullable=False),
        sa.Column("inputs_uri", sa.Text(), server_default="", nullable=False),
        sa.Column("user_inputs_uri", sa.Text(), server_default="", nullable=False),
        sa.Column("error_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("error_code", sa.Text(), server_default="", nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Integer(), server_default="0", nullable=False),
        sa.Column("launch_entity", sa.Text(), server_default="", nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("closure", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("execution_project", "execution_domain", "execution_name"),
    )
    op.create_index(
        "executions_by_creation",
        "executions",
        ["execution_project", "execution_domain", "state", "created_at"],
    )


def _launch_plans() -> None:
    op.create_table(
        "launch_plans",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.Column("workflow_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), server_default="0", nullable=False),
        sa.Column("schedule_type", sa.Text(), server_default="", nullable=False),
        sa.Column("launch_condition_type", sa.Text(), server_default="", nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("closure", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project", "domain", "name", "version"),
    )
    op.create_index("ix_launch_plans_workflow_id", "launch_plans", ["workflow_id"])
    op.create_index("launch_plans_by_creation", "launch_plans", ["project", "domain", "name", "created_at"])


def _named_entity_metadata() -> None:
    op.create_table(
        "named_entity_metadata",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("resource_type", sa.Integer(), server_default="0", nullable=False),
        sa.Column("project", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("resource_type", "project", "domain", "name"),
    )


def _node_executions() -> None:
    op.create_table(
        "node_executions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("execution_project", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_name", sa.Text(), server_default="", nullable=False),
        sa.Column("node_id", sa.Text(), server_default="", nullable=False),
        sa.Column("phase", sa.Text(), server_default="", nullable=False),
        sa.Column("input_uri", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", sa.Text(), nullable=True),
        sa.Column("node_execution_created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("node_execution_updated_at", sa.Text(), server_default="", nullable=False),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("parent_task_execution_id", sa.Integer(), nullable=True),
        sa.Column("error_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("error_code", sa.Text(), server_default="", nullable=False),
        sa.Column("cache_status", sa.Text(), server_default="", nullable=False),
        sa.Column("dynamic_workflow_remote_closure_reference", sa.Text(), server_default="", nullable=False),
        sa.Column("metadata", sa.LargeBinary(), nullable=False),
        sa.Column("closure", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("execution_project", "execution_domain", "execution_name", "node_id"),
    )
    op.create_index(
        "node_executions_by_parent",
        "node_executions",
        ["execution_project", "execution_domain", "execution_name", "parent_id"],
    )


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("identifier", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Integer(), server_default="0", nullable=False),
        sa.Column("labels", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("identifier"),
    )


def _resources() -> None:
    op.create_table(
        "resources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("workflow", sa.Text(), server_default="", nullable=False),
        sa.Column("launch_plan", sa.Text(), server_default="", nullable=False),
        sa.Column("resource_type", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attributes", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project", "domain", "workflow", "launch_plan", "resource_type"),
    )


def _run_nodes() -> None:
    op.create_table(
        "run_nodes",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", "node_id"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("abort_cause", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_runs_live", "runs", ["live"])


def _signals() -> None:
    op.create_table(
        "signals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("execution_project", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_name", sa.Text(), server_default="", nullable=False),
        sa.Column("signal_id", sa.Text(), server_default="", nullable=False),
        sa.Column("type", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("execution_project", "execution_domain", "execution_name", "signal_id"),
    )


def _task_executions() -> None:
    op.create_table(
        "task_executions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_project", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_name", sa.Text(), server_default="", nullable=False),
        sa.Column("node_id", sa.Text(), server_default="", nullable=False),
        sa.Column("retry_attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("phase", sa.Text(), server_default="", nullable=False),
        sa.Column("phase_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("input_uri", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", sa.Text(), nullable=True),
        sa.Column("task_execution_created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("task_execution_updated_at", sa.Text(), server_default="", nullable=False),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("closure", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
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


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.Column("type", sa.Text(), server_default="", nullable=False),
        sa.Column("short_description", sa.Text(), server_default="", nullable=False),
        sa.Column("closure", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project", "domain", "name", "version"),
    )
    op.create_index("tasks_by_creation", "tasks", ["project", "domain", "name", "created_at"])


def _workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.Text(), server_default="", nullable=False),
        sa.Column("remote_closure_identifier", sa.Text(), server_default="", nullable=False),
        sa.Column("short_description", sa.Text(), server_default="", nullable=False),
        sa.Column("typed_interface", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project", "domain", "name", "version"),
    )
    op.create_index("workflows_by_creation", "workflows", ["project", "domain", "name", "created_at"])
