"""The database's schema on real SQLite files: new, old, newer and foreign."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lacewing.adapters import migrate
from lacewing.adapters.schema import MIGRATIONS, prepare, revisions
from lacewing.adapters.sql import open_engine
from lacewing.demo import database
from lacewing.errors import ConfigError
from sqlalchemy import Engine, inspect, text
from typer.testing import CliRunner

SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0999", "{before}"

def upgrade():
    op.add_column("projects", sa.Column("colour", sa.Text(), server_default="blue", nullable=False))
    {more}
"""


def engine_at(path: Path) -> Engine:
    return open_engine(f"sqlite:///{path}")


def newer_code(folder: Path, more: str = "") -> Path:
    """A folder of migrations with one more than ours."""
    shutil.copytree(MIGRATIONS, folder)
    text = SECOND.format(before=revisions()[-1], more=more)
    (folder / "versions/0999_colour.py").write_text(text)
    return folder


def schema_of(engine: Engine) -> dict[str, Any]:
    found = inspect(engine)
    return {
        table: {
            "columns": sorted(
                (c["name"], str(c["type"]), c["nullable"], c["default"], c["primary_key"])
                for c in found.get_columns(table)
            ),
            "indexes": sorted((i["name"], i["column_names"], i["unique"]) for i in found.get_indexes(table)),
            "unique": sorted(u["column_names"] for u in found.get_unique_constraints(table)),
            "key": found.get_pk_constraint(table)["constrained_columns"],
        }
        for table in found.get_table_names()
    }


def test_migrations_from_empty_and_the_tables_of_the_code_are_the_same(tmp_path: Path):
    migrated, made = engine_at(tmp_path / "migrated"), engine_at(tmp_path / "made")
    migrate.upgrade(migrated)
    prepare(made)
    assert schema_of(made) == schema_of(migrated), "the tables changed: make migration NAME=what_it_does"
    assert len(schema_of(made)) > 10


def test_a_database_that_is_up_to_date_is_left_as_it_is(tmp_path: Path):
    engine = engine_at(tmp_path / "db")
    prepare(engine)
    before = schema_of(engine)
    prepare(engine)
    migrate.upgrade(engine)
    assert schema_of(engine) == before


def test_an_old_database_is_migrated_with_its_rows_and_refused_by_the_old_code(tmp_path: Path):
    engine = engine_at(tmp_path / "db %40")
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO projects (identifier, labels) VALUES ('kept', x'')"))
    prepare(engine, newer_code(tmp_path / "newer"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT identifier, colour FROM projects")).all() == [("kept", "blue")]
    words = f"is at revision 0999, and this Lacewing knows none after {revisions()[-1]}"
    for refuse in (prepare, migrate.upgrade):
        with pytest.raises(ConfigError, match=words):
            refuse(engine)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path):
    engine = engine_at(tmp_path / "db")
    prepare(engine)
    before = schema_of(engine)
    with pytest.raises(ConfigError, match=r"left as it was: .*no such table: nope"):
        prepare(engine, newer_code(tmp_path / "newer", "op.execute('DELETE FROM nope')"))
    assert schema_of(engine) == before


def test_several_that_start_at_once_make_or_migrate_it_once(tmp_path: Path):
    newer = newer_code(tmp_path / "newer")
    for folder in (MIGRATIONS, newer):
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(prepare, engine_at(tmp_path / "db"), folder) for _ in range(3)]
        assert [one.result() for one in waiting] == [None] * 3
        with engine_at(tmp_path / "db").connect() as connection:
            found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
            assert found == [revisions(folder)[-1]]


def test_a_database_of_something_else_is_left_alone(tmp_path: Path):
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    connection.close()
    with pytest.raises(ConfigError, match="has tables but no revision"):
        prepare(engine_at(tmp_path / "db"))


def test_the_command_says_the_revision_and_migrates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LACEWING_HOME", str(tmp_path))
    newest, runner = revisions()[-1], CliRunner()
    assert runner.invoke(database.app, ["current"]).output == f"empty (newest: {newest})\n"
    assert runner.invoke(database.app, ["upgrade"]).output == f"empty -> {newest}\n"
    assert runner.invoke(database.app, ["current"]).output == f"{newest} (newest: {newest})\n"
    with engine_at(tmp_path / "lacewing.db").begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for command in ("current", "upgrade"):
        refused = runner.invoke(database.app, [command])
        assert refused.exit_code == 1
        assert "is at revision 9999" in refused.output
