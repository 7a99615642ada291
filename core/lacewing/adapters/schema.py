"""The database's schema: made in one step when the database is new, migrated when it is old.

A database of a newer Lacewing is refused, never touched. Alembic is not imported here: it would cost each
start more than all that is done, so an old database is migrated by a process of its own (`migrate.py`).
"""

import subprocess
import sys
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from lacewing.adapters.sql import metadata
from lacewing.errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"


def revisions(folder: Path = MIGRATIONS) -> list[str]:
    """Every revision in the folder, oldest first: the files are numbered."""
    return sorted(path.name.partition("_")[0] for path in (folder / "versions").glob("[0-9]*.py"))


def current(connection: Connection, folder: Path = MIGRATIONS) -> str | None:
    """The database's revision; None if it is empty. Raises ConfigError if it is none of ours."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    found = connection.scalar(text(f"SELECT version_num FROM {_VERSIONS}")) if _VERSIONS in tables else None
    known = revisions(folder)
    if found in known:
        return str(found)
    name = connection.engine.url.database
    if found is None:
        raise ConfigError(
            f"the database {name} has tables but no revision; move it away to start with a new one"
        )
    raise ConfigError(
        f"the database {name} is at revision {found}, and this Lacewing knows none after {known[-1]}; "
        "install the version that wrote it, or a newer one"
    )


def prepare(engine: Engine, folder: Path = MIGRATIONS) -> None:
    """Have the tables of this code in the database, whatever it held before. Raises ConfigError."""
    with engine.begin() as connection:
        found = current(connection, folder)
        if found is None:
            create(connection)
    if found not in (None, revisions(folder)[-1]):
        _migrate(engine.url.render_as_string(hide_password=False), folder)


def create(connection: Connection) -> None:
    """Make every table in an empty database, and note that it needs no migration."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(text(f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text(f"INSERT INTO {_VERSIONS} VALUES (:head)"), {"head": revisions()[-1]})


def _migrate(url: str, folder: Path) -> None:
    command = [sys.executable, "-m", "lacewing.adapters.migrate", str(folder)]
    done = subprocess.run(command, input=url, capture_output=True, text=True)
    if done.returncode:
        raise ConfigError(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{command} failed"
        )
