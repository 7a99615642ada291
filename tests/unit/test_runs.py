"""Runs in a real SQLite database."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import immutables
import pytest
from lacewing.adapters.runs import SqlRunStore
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.errors import ConflictError
from lacewing.model.ids import RunKey
from lacewing.model.phases import ErrorKind, NodePhase, RunPhase, TaskPhase
from lacewing.model.run import NodeRun, Run, RunError, RunSpec

KEY = RunKey("flytesnacks", "development", "run1")
SPEC = RunSpec(KEY, "closure", "inputs", "/out", "/raw", "ns", max_parallelism=3, envs={"A": "b"})
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlRunStore]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database = Database(engine)
    yield SqlRunStore(database)
    database.close()


async def test_what_was_saved_is_loaded(store: SqlRunStore):
    await store.create(SPEC)
    error = RunError("Bad", "words", ErrorKind.SYSTEM, NOW)
    nodes = {
        "n0": NodeRun(NodePhase.RUNNING, 2, 1, {"name": "x"}, TaskPhase.RUNNING, 3, "why", NOW, NOW, NOW),
        "n1": NodeRun(NodePhase.FAILED, error=error, failures=("OOMKilled", "Error")),
    }
    run = Run(
        KEY, RunPhase.FAILING, immutables.Map(nodes), error=error, started_at=NOW, touched=frozenset(nodes)
    )
    assert await store.save(run, 1) == 2
    loaded = await store.load(KEY)
    assert loaded is not None
    assert (loaded.spec, loaded.run, loaded.version) == (SPEC, run._replace(touched=frozenset()), 2)


async def test_a_stale_save_is_refused_and_changes_nothing(store: SqlRunStore):
    await store.create(SPEC)
    await store.save(Run(KEY, RunPhase.RUNNING), 1)
    stale = Run(KEY, RunPhase.ABORTED, immutables.Map({"n0": NodeRun()}), touched=frozenset({"n0"}))
    with pytest.raises(ConflictError):
        await store.save(stale, 1)
    loaded = await store.load(KEY)
    assert loaded is not None
    assert (loaded.run.phase, dict(loaded.run.nodes)) == (RunPhase.RUNNING, {})


async def test_the_first_order_and_the_first_abort_stay(store: SqlRunStore):
    await store.create(SPEC)
    await store.create(replace(SPEC, inputs_uri="other"))
    await store.request_abort(KEY, "one")
    await store.request_abort(KEY, "two")
    loaded = await store.load(KEY)
    assert loaded is not None
    assert (loaded.spec.inputs_uri, loaded.abort_cause) == ("inputs", "one")
    assert await store.live() == [KEY]
    await store.save(Run(KEY, RunPhase.ABORTED), 1)
    assert await store.live() == []
