"""`lacewing db`: the revision of the database of this home, and the way to the newest."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Engine

from lacewing.adapters import migrate, runs, schema
from lacewing.adapters.sql import open_engine
from lacewing.demo.settings import database_url
from lacewing.errors import ConfigError
from lacewing.services import db

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
console = Console(highlight=False)
TABLES = (runs.runs, db.executions)
"""Named so that every table is known when a migration is written."""


@app.command()
def current() -> None:
    """Print the revision of the database, and the newest one."""
    with _told():
        console.print(f"{_revision(_engine())} (newest: {schema.revisions()[-1]})")


@app.command()
def upgrade() -> None:
    """Migrate the database to the newest revision."""
    engine = _engine()
    with _told():
        before = _revision(engine)
        migrate.upgrade(engine)
        console.print(f"{before} -> {_revision(engine)}")


@app.command(hidden=True)
def revision(name: Annotated[str, typer.Argument(help="What it does, as in add_retry_budget.")]) -> None:
    """Write the migration that the tables of the code need. For those who change them."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/db")
        migrate.upgrade(engine)
        migrate.write_revision(engine, name)


def _engine() -> Engine:
    return open_engine(database_url())


def _revision(engine: Engine) -> str:
    with engine.connect() as connection:
        return schema.current(connection) or "empty"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        console.print(f"[red]{error.message}[/red]", soft_wrap=True)
        raise typer.Exit(1) from None
