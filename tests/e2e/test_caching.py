"""Caching as users have it: real tasks in a demo, whose answers tell when they were computed."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from client import Client, running_demo

CODE = Path(__file__).parent.parent / "data" / "e2e" / "caching.py"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("caching")
    (folder / "code").mkdir()
    shutil.copy(CODE, folder / "code")
    async with running_demo(folder / "home", 4) as found:
        await found.register(folder / "code", "v1", ["caching"])
        yield found


async def view(client: Client, workflow: str, a: int) -> dict[str, Any]:
    """All of a run that succeeded."""
    execution = await client.start(f"caching.{workflow}", "v1", {"a": a}, {})
    assert await client.end(execution) == "SUCCEEDED"
    return await client.view(execution)


def output(view: dict[str, Any]) -> Any:
    return view["data"]["full_outputs"]["literals"]["o0"]


def node(view: dict[str, Any], node_id: str) -> dict[str, Any]:
    return next(one for one in view["nodes"] if one["node"]["id"]["node_id"] == node_id)


def status(view: dict[str, Any], node_id: str = "n0") -> str:
    return str(node(view, node_id)["node"]["closure"]["task_node_metadata"]["cache_status"])


async def test_of_two_runs_at_once_one_computes_a_serialised_cache(client: Client):
    both = await asyncio.gather(view(client, "serial", 1), view(client, "serial", 1))
    assert output(both[0]) == output(both[1])
    assert sorted(map(status, both)) == ["CACHE_HIT", "CACHE_POPULATED"]
    (waited,) = (one for one in both if status(one) == "CACHE_HIT")
    (attempt,) = node(waited, "n0")["tasks"]
    reasons = [one["message"] for one in attempt["task"]["closure"]["reasons"]]
    assert any(one.startswith("waiting on serialized cache: flytesnacks:development:") for one in reasons)
    assert attempt["task"]["closure"]["phase"] == "SUCCEEDED"


async def test_a_nodes_own_cache_settings_count(client: Client):
    first, second = await view(client, "overridden", 1), await view(client, "overridden", 1)
    assert output(first) == output(second) != output(await view(client, "overridden", 2))
    assert (status(first), status(second)) == ("CACHE_POPULATED", "CACHE_HIT")


async def test_of_a_map_task_what_is_known_is_not_computed(client: Client):
    few, more, again = [await view(client, "mapped", size) for size in (2, 4, 4)]
    known = output(few)["collection"]["literals"]
    assert output(more)["collection"]["literals"][:2] == known
    assert output(again) == output(more)
    (attempt,) = node(again, "n1")["tasks"]
    resources = attempt["task"]["closure"]["metadata"]["external_resources"]
    assert [one["cache_status"] for one in resources] == ["CACHE_HIT"] * 4
    (attempt,) = node(more, "n1")["tasks"]
    resources = attempt["task"]["closure"]["metadata"]["external_resources"]
    assert [one["cache_status"] for one in resources] == ["CACHE_HIT"] * 2 + ["CACHE_POPULATED"] * 2


async def test_a_cached_dynamic_task_is_found_whole(client: Client):
    first, second = await view(client, "grown", 1), await view(client, "grown", 1)
    assert output(first) == output(second)
    assert (status(first), status(second)) == ("CACHE_POPULATED", "CACHE_HIT")
    assert node(first, "n0")["children"]
    assert "children" not in node(second, "n0")
