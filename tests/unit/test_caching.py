"""Cached tasks in the loop, with memory twins: who is asked when, and what is told of it."""

import asyncio
from typing import Any

import pytest
from flyteidl.admin import workflow_pb2
from flyteidl.core import literals_pb2, tasks_pb2
from lacewing.errors import TransientError
from lacewing.model.cache import CacheStatus
from lacewing.model.events import NodeEvent, TaskEvent
from lacewing.model.phases import NodePhase, RunPhase, TaskPhase
from lacewing.testing import Plan, make_workflow
from world import Crash, World, chain, crashing

CACHED = tasks_pb2.TaskMetadata(discoverable=True, discovery_version="1")
SERIAL = tasks_pb2.TaskMetadata(discoverable=True, discovery_version="1", cache_serializable=True)


def cached(*args: Any, **options: Any) -> World:
    return World(*args, **{"metadata": CACHED, **options})


def serial(*args: Any, **options: Any) -> World:
    return World(*args, **{"metadata": SERIAL, **options})


def told(world: World, node_id: str = "n0") -> list[NodeEvent]:
    return [one for one in world.events.events if isinstance(one, NodeEvent) and one.node_id == node_id]


def attempts(world: World) -> list[TaskEvent]:
    return [one for one in world.events.events if isinstance(one, TaskEvent)]


class Going:
    """A run that is played turn by turn."""

    def __init__(self, world: World) -> None:
        self.world, self.loop = world, world.loop()

    async def turn(self, seconds: float = 0.0) -> None:
        """One pass after some time, with whatever is due."""
        await self.world.store.create(self.world.spec)
        self.world.clock.move(seconds)
        await self.world.turn(self.loop)


def mapped(world: World, size: int) -> None:
    """Have the world's node repeat its task over a list of numbers."""
    workflow = make_workflow({"n0": []}, metadata=CACHED)
    template, task = workflow.primary.template, workflow.tasks[0].template
    for kind in (task.interface.inputs.variables["a"], task.interface.outputs.variables["o0"]):
        kind.type.collection_type.simple = 1
    node = next(one for one in template.nodes if one.id == "n0")
    node.array_node.node.task_node.reference_id.CopyFrom(task.id)
    data = node.inputs.add(var="a").binding.collection
    for number in range(size):
        data.bindings.add().scalar.primitive.integer = number
    closure = workflow_pb2.WorkflowClosure(compiled_workflow=workflow)
    world.blobs.blobs["closure"] = closure.SerializeToString()


async def test_what_was_computed_once_is_found_by_the_next_run():
    first = cached(chain(2))
    await first.play()
    (*_, done) = told(first)
    assert done.cache is not None
    assert (done.cache.status, done.cache.source) == (CacheStatus.POPULATED, None)
    second = cached(chain(2), beside=first, name="run2")
    assert (await second.play()).phase is RunPhase.SUCCEEDED
    assert second.backend.launches == []
    assert attempts(second) == []
    (hit,) = told(second)
    assert hit.phase is NodePhase.SUCCEEDED
    assert hit.output_uri == "/out/n0/data/0/outputs.pb"
    assert hit.cache is not None
    assert hit.cache.status is CacheStatus.HIT
    assert hit.cache.source is not None
    assert (hit.cache.source.run, hit.cache.source.node_id) == (first.key, "n0")
    assert not hit.checkpoint_uri
    copied = literals_pb2.LiteralMap.FromString(second.blobs.blobs[hit.output_uri])
    assert copied.literals["o0"].scalar.primitive.integer == 1


async def test_a_task_that_is_not_cached_asks_nobody():
    world = World({"n0": []})
    world.catalog = None
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    assert told(world)[-1].cache is None


async def test_overwriting_computes_again_and_replaces():
    first = cached({"n0": []})
    await first.play()
    second = cached({"n0": []}, beside=first, name="run2", overwrite_cache=True)
    await second.play()
    assert second.backend.launches == [("n0", 0)]
    note, before = told(second)[-1].cache, told(first)[-1].cache
    assert note is not None
    assert before is not None
    assert (note.status, note.artifact_id) == (CacheStatus.POPULATED, before.artifact_id)
    assert note.source is not None
    assert note.source.run == second.key


async def test_a_catalog_that_cannot_be_asked_delays_the_launch_with_the_reason():
    world, asked = cached({"n0": []}), 0
    original = world.catalog.lookup

    async def lookup(key: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise TransientError("the catalog is down", delay=3.0)
        return await original(key)

    world.catalog.lookup = lookup
    await Going(world).turn()
    assert [one.phase for one in told(world)] == [NodePhase.QUEUED]
    assert [one.reason for one in attempts(world)] == ["the catalog is down"]
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    assert world.backend.launches == [("n0", 0)]


async def test_outputs_that_cannot_be_kept_fail_nothing():
    world = serial({"n0": []})

    async def put(*args: Any, **options: Any) -> Any:
        raise TransientError("the catalog is full")

    world.catalog.put = put
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    assert not world.catalog.reservations
    note = told(world)[-1].cache
    assert note is not None
    assert note.status is CacheStatus.PUT_FAILURE


async def test_a_cached_task_without_a_version_fails_with_the_reason():
    world = World({"n0": []}, metadata=tasks_pb2.TaskMetadata(discoverable=True))
    run = await world.play()
    assert run.error is not None
    assert run.error.code == "CacheVersionMissing"
    assert [one.phase for one in told(world)] == [NodePhase.QUEUED, NodePhase.FAILED]


async def test_a_failed_attempt_keeps_nothing_and_another_is_made():
    plan = lambda task: Plan("user" if not task.attempt else "success")  # noqa: E731
    world = cached({"n0": []}, plan, retries=1)
    await world.play()
    assert world.backend.launches == [("n0", 0), ("n0", 1)]
    (artifact,) = world.catalog.artifacts.values()
    assert artifact.source is not None
    assert artifact.source.attempt == 1


async def test_of_two_runs_with_one_serialised_key_one_computes():
    first = serial({"n0": []}, lambda task: Plan(looks=20))
    second = serial({"n0": []}, beside=first, name="run2")
    one, other = Going(first), Going(second)
    await one.turn()
    await other.turn()
    assert [one.phase for one in told(second)] == [NodePhase.QUEUED]
    (waiting,) = attempts(second)
    assert waiting.phase is TaskPhase.WAITING_FOR_RESOURCES
    assert waiting.reason == f"waiting on serialized cache: {first.key}:n0 computes the same"
    for _ in range(10):
        await one.turn(1.0)
        await other.turn()
    assert len(attempts(second)) == 1
    await first.play()
    assert not first.catalog.reservations
    await second.play()
    assert second.backend.launches == []
    assert [one.phase for one in told(second)] == [NodePhase.QUEUED, NodePhase.SUCCEEDED]
    assert attempts(second)[-1].phase is TaskPhase.SUCCEEDED


async def test_a_reservation_is_held_by_heartbeats_and_lost_without_them():
    first = serial({"n0": []}, lambda task: Plan(looks=999))
    second = serial({"n0": []}, beside=first, name="run2")
    one, other = Going(first), Going(second)
    await one.turn()
    for _ in range(60):
        await one.turn(1.0)
        await other.turn()
    assert second.backend.launches == []
    await other.turn(40.0)
    assert second.backend.launches == [("n0", 0)]


async def test_an_attempt_that_waits_for_another_ends_with_its_run():
    first = serial({"n0": []}, lambda task: Plan(looks=50))
    second = serial({"n0": []}, beside=first, name="run2")
    await Going(first).turn()
    await Going(second).turn()
    await second.store.request_abort(second.key, "enough")
    await second.loop().reconcile(second.key, {"+", "*"})
    assert second.run.phase is RunPhase.ABORTED
    assert attempts(second)[-1].phase is TaskPhase.ABORTED


async def test_whoever_waits_in_the_same_process_goes_on_at_once():
    world = serial({"n0": [], "n1": []}, lambda task: Plan(looks=3))
    await world.store.create(world.spec)
    loop = world.loop()
    working = asyncio.ensure_future(loop.work())
    for _ in range(200):
        # The clock stands still, so nothing is ever due.
        loop.wake(world.key)
        await asyncio.sleep(0)
    working.cancel()
    assert world.run.phase is RunPhase.SUCCEEDED
    assert len(world.backend.launches) == 1
    assert {told(world, node_id)[-1].cache.status.name for node_id in ("n0", "n1")} == {"POPULATED", "HIT"}


async def test_a_propeller_that_starts_again_goes_on_with_its_heartbeats():
    first = serial({"n0": []}, lambda task: Plan(looks=999))
    second = serial({"n0": []}, beside=first, name="run2")
    await Going(first).turn()
    again, other = Going(first), Going(second)
    for _ in range(60):
        await again.turn(1.0)
        await other.turn()
    assert second.backend.launches == []


async def test_waiting_for_another_is_no_part_of_an_attempts_time():
    first = serial({"n0": []}, lambda task: Plan(looks=50))
    second = serial({"n0": []}, lambda task: Plan(looks=1), beside=first, name="run2", timeout_seconds=5)
    await Going(first).turn()
    other = Going(second)
    for _ in range(15):
        await other.turn(1.0)
    assert second.run.nodes["n0"].attempt == 0
    first.catalog.reservations.clear()
    assert (await second.play()).phase is RunPhase.SUCCEEDED


async def test_an_element_of_an_array_is_found_by_its_own_input():
    first = cached({"n0": []})
    mapped(first, 3)
    await first.play()
    assert len(first.backend.launches) == 3
    second = cached({"n0": []}, beside=first, name="run2")
    mapped(second, 5)
    assert (await second.play()).phase is RunPhase.SUCCEEDED
    assert len(second.backend.launches) == 2
    assert [one.cache for one in attempts(second)[-1].elements] == [CacheStatus.HIT] * 3 + [
        CacheStatus.POPULATED
    ] * 2
    third = cached({"n0": []}, beside=first, name="run3")
    mapped(third, 5)
    assert (await third.play()).phase is RunPhase.SUCCEEDED
    assert third.backend.launches == []
    outputs = literals_pb2.LiteralMap.FromString(third.blobs.blobs["/out/n0/data/0/outputs.pb"])
    assert len(outputs.literals["o0"].collection.literals) == 5
    assert told(third)[-1].cache is None


@pytest.mark.parametrize("at", range(2, 50))
@pytest.mark.parametrize("make", [cached, serial])
async def test_a_crash_at_any_point_computes_nothing_twice(at: int, make: Any):
    world, calm = make(chain(3)), make(chain(3))
    await calm.play()
    crashing(world, at)
    for _ in range(3):
        try:
            run = await world.play()
            break
        except Crash:
            continue
    assert run.phase is RunPhase.SUCCEEDED
    assert world.backend.launches == [("n0", 0), ("n1", 0), ("n2", 0)]
    assert len(world.catalog.artifacts) == 3
    assert not world.catalog.reservations
    assert world.blobs.blobs == calm.blobs.blobs


async def test_what_is_aborted_while_it_is_looked_up_is_told_to_nobody():
    plan = lambda task: Plan("permanent")  # noqa: E731
    world = cached({"n0": [], "n1": ["n0"]}, plan)
    run = await world.play()
    assert run.phase is RunPhase.FAILED
    assert told(world, "n1") == []


async def test_a_cached_dynamic_task_is_kept_when_its_nodes_are_done_and_then_found_whole():
    def dynamic(world: World) -> World:
        made = make_workflow({"d0": []})
        made.tasks[0].template.id.name = "inner"
        nodes = {one.id: one for one in made.primary.template.nodes}
        nodes["d0"].task_node.reference_id.name = "inner"
        nodes["end-node"].inputs[0].var = "o0"
        world.dynamics.closures["work"] = made
        write = world.backend._write

        async def _write(task: Any) -> None:
            if task.node_id == "n0":
                await world.blobs.write(f"{task.output_prefix}/futures.pb", b"")
            else:
                await write(task)

        world.backend._write = _write
        return world

    first = dynamic(serial({"n0": []}))
    await first.play()
    assert [node_id for node_id, _ in first.backend.launches] == ["n0", "n0-0-d0"]
    note = told(first)[-1].cache
    assert note is not None
    assert note.status is CacheStatus.POPULATED
    assert told(first, "n0-0-d0")[-1].cache is None
    assert not first.catalog.reservations
    second = dynamic(serial({"n0": []}, beside=first, name="run2"))
    assert (await second.play()).phase is RunPhase.SUCCEEDED
    assert second.backend.launches == []
