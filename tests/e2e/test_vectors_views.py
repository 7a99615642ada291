"""Every recorded execution, run here and read back: our views against those of the reference server."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from client import Client, running_demo
from recorded import DATA, differences, normal_view, views

NOT_YET = {}
"""Recorded executions that cannot be compared yet, and what they wait for. A line less is a feature more."""
VERSION = "sample1"
SLOTS = 8
SLOW_FIRST = ("failures.wf_too_slow", "failures.to_abort", "failures.fail_late")
"""These sleep, so they begin first. One of them must run within seconds, before its time is over."""

COMPARED = [one for one in views() if one["case"]["name"] not in NOT_YET]
MODULES = sorted({one["case"]["name"].partition(".")[0] for one in COMPARED})
pytestmark = pytest.mark.asyncio(loop_scope="module")


def place(number: int) -> tuple[bool, int]:
    """When to start a case: the sleeping ones first, the rest as recorded."""
    return COMPARED[number]["case"]["name"] not in SLOW_FIRST, number


async def run(client: Client, case: dict[str, Any]) -> dict[str, Any]:
    """Run one recorded case to its end and read all of it."""
    execution = await client.start(case["name"], VERSION, case["inputs"], case["spec"])
    if case["act"] == "abort":
        await client.abort_at(execution, "n1", "an abort")
    elif case["act"] == "signal":
        await client.signal(execution, {"number": {"integer": 5}, "ok": {"boolean": True}})
    await client.end(execution)
    return await client.view(execution)


async def run_after(before: asyncio.Task[Any] | None, client: Client, case: dict[str, Any]) -> dict[str, Any]:
    """Run a case when the one before it has ended."""
    if before is not None:
        await before
    return await run(client, case)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[int, dict[str, Any]]]:
    """What this server shows of every case, by its place in COMPARED."""
    folder: Path = tmp_path_factory.mktemp("views")
    shutil.copytree(DATA / "workflows", folder / "code")
    order = sorted(range(len(COMPARED)), key=place)
    before: dict[str, asyncio.Task[Any]] = {}
    running: list[asyncio.Task[Any]] = []
    async with running_demo(folder / "home", SLOTS) as client:
        await client.register(folder / "code", VERSION, MODULES)
        for number in order:
            # Of one workflow one after the other, since a cached task finds what the one before it wrote.
            case = COMPARED[number]["case"]
            before[case["name"]] = asyncio.create_task(run_after(before.get(case["name"]), client, case))
            running.append(before[case["name"]])
        found = await asyncio.gather(*running)
    yield dict(zip(order, found, strict=True))


@pytest.mark.parametrize("number", range(len(COMPARED)), ids=lambda number: COMPARED[number]["case"]["name"])
async def test_an_execution_looks_as_the_reference_server_shows_it(
    ours: dict[int, dict[str, Any]], number: int
):
    assert not differences(normal_view(ours[number]), normal_view(COMPARED[number]["view"]))


async def test_every_recorded_execution_is_compared_or_waits(capsys: pytest.CaptureFixture[str]):
    recorded = [one["case"]["name"] for one in views()]
    waiting = [name for name in recorded if name in NOT_YET]
    with capsys.disabled():
        print(f"\nviews compared: {len(COMPARED)} of {len(recorded)}; waiting for features: {len(waiting)}")
    assert set(NOT_YET) <= set(recorded)
    assert len(COMPARED) + len(waiting) == len(recorded)


async def test_nodes_are_listed_in_the_order_of_their_making(ours: dict[int, dict[str, Any]]):
    for number, view in ours.items():
        made = [one["node"]["id"]["node_id"] for one in view["nodes"]]
        recorded = [one["node"]["id"]["node_id"] for one in COMPARED[number]["view"]["nodes"]]
        assert (made[0], made[-1]) == (recorded[0], recorded[-1])
