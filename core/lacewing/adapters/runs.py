"""Runs in the SQL database: one row for the run, one for each node that left the start.

A save writes the run's row and the nodes that changed, under the version that was loaded.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import Column, Connection, Integer, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.dialects.sqlite import insert

from lacewing.adapters.sql import Database, metadata
from lacewing.errors import ConflictError
from lacewing.model.codec import (
    node_from_json,
    node_to_json,
    run_from_json,
    run_to_json,
    spec_from_json,
    spec_to_json,
)
from lacewing.model.ids import RunKey
from lacewing.model.run import Run, RunSpec
from lacewing.ports import Loaded, Version

runs = Table(
    "runs",
    metadata,
    Column("key", Text, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("live", Integer, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("abort_cause", Text),
)
run_nodes = Table(
    "run_nodes",
    metadata,
    Column("key", Text, nullable=False),
    Column("node_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint("key", "node_id"),
)


class SqlRunStore:
    """A RunStore on tables. Notifications reach this process only; the rows are what counts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: list[asyncio.Queue[RunKey]] = []

    async def create(self, spec: RunSpec) -> None:
        """Store a new run; one that exists already is left as it is."""
        values = {
            "key": str(spec.key),
            "spec": json.dumps(spec_to_json(spec)),
            "state": json.dumps(run_to_json(Run(spec.key))),
            "live": 1,
            "version": 1,
        }
        await self._database.write(
            lambda connection: connection.execute(insert(runs).values(values).on_conflict_do_nothing())
        )
        self._notify(spec.key)

    async def load(self, key: RunKey) -> Loaded | None:
        """The run with all its nodes, or None."""
        return await self._database.read(lambda connection: _load(connection, key))

    async def glance(self, key: RunKey) -> tuple[Version, str | None] | None:
        """The run's version and the abort that was asked for, without its nodes."""
        statement = select(runs.c.version, runs.c.abort_cause).where(runs.c.key == str(key))
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return (row.version, row.abort_cause) if row is not None else None

    async def save(self, run: Run, expected: Version) -> Version:
        """Write what changed; raises ConflictError if the stored version is another."""
        return await self._database.write(lambda connection: _save(connection, run, expected))

    async def request_abort(self, key: RunKey, cause: str) -> None:
        """Note the abort and wake the owner. The first cause stays."""
        statement = (
            runs.update()
            .where(runs.c.key == str(key), runs.c.abort_cause.is_(None), runs.c.live == 1)
            .values(abort_cause=cause)
        )
        await self._database.write(lambda connection: connection.execute(statement))
        self._notify(key)

    async def live(self) -> Sequence[RunKey]:
        """Every run that is not terminal."""
        statement = select(runs.c.key).where(runs.c.live == 1).order_by(runs.c.key)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [RunKey.parse(row.key) for row in rows]

    async def changes(self) -> AsyncIterator[RunKey]:
        """Keys of runs that were created or asked to abort, from the first `anext` on."""
        listener: asyncio.Queue[RunKey] = asyncio.Queue()
        self._listeners.append(listener)
        try:
            while True:
                yield await listener.get()
        finally:
            self._listeners.remove(listener)

    def _notify(self, key: RunKey) -> None:
        for listener in self._listeners:
            listener.put_nowait(key)


def _load(connection: Connection, key: RunKey) -> Loaded | None:
    row = connection.execute(select(runs).where(runs.c.key == str(key))).one_or_none()
    if row is None:
        return None
    statement = select(run_nodes.c.node_id, run_nodes.c.state).where(run_nodes.c.key == str(key))
    nodes = {node.node_id: node_from_json(json.loads(node.state)) for node in connection.execute(statement)}
    run = run_from_json(key, json.loads(row.state), nodes)
    return Loaded(spec_from_json(json.loads(row.spec)), run, row.version, row.abort_cause)


def _save(connection: Connection, run: Run, expected: Version) -> Version:
    key = str(run.key)
    changed = connection.execute(
        runs.update()
        .where(runs.c.key == key, runs.c.version == expected)
        .values(state=json.dumps(run_to_json(run)), live=int(not run.phase.terminal), version=expected + 1)
    )
    if changed.rowcount == 0:
        raise ConflictError(f"run {key} is no longer at version {expected}")
    rows = [
        {"key": key, "node_id": node_id, "state": json.dumps(node_to_json(run.nodes[node_id]))}
        for node_id in sorted(run.touched)
    ]
    if rows:
        statement = insert(run_nodes)
        update = {"state": statement.excluded.state}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["key", "node_id"], set_=update), rows
        )
    return expected + 1
