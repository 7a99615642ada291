"""Migrations, run by Alembic inside one transaction: all of them take effect, or none.

`python -m lacewing.adapters.migrate FOLDER` migrates the database whose URL is on its standard input.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from lacewing.adapters.schema import MIGRATIONS, current, revisions
from lacewing.adapters.sql import open_engine
from lacewing.errors import ConfigError


def upgrade(engine: Engine, folder: Path = MIGRATIONS) -> None:
    """Bring the database to the newest revision. Raises ConfigError, also for a database that is newer."""
    try:
        with engine.begin() as connection:
            current(connection, folder)
            command.upgrade(_config(connection, folder), "head")
    except (SQLAlchemyError, CommandError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"the database cannot be migrated and is left as it was: {reason}") from error


def write_revision(engine: Engine, name: str) -> None:
    """Write the migration from this database, which is at the newest revision, to the tables of the code."""
    number = f"{len(revisions()) + 1:04}"
    with engine.begin() as connection:
        command.revision(_config(connection, MIGRATIONS), name, autogenerate=True, rev_id=number)


def _config(connection: Connection, folder: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    try:
        upgrade(open_engine(sys.stdin.read().strip()), Path(sys.argv[1]))
    except ConfigError as error:
        sys.exit(error.message)
