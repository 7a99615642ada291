"""The loop with memory twins: whole runs, and a crash at every point."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from flyteidl.admin import workflow_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from lacewing.engine.loop import EVERYTHING
from lacewing.model.events import NodeEvent, RunEvent, TaskEvent
from lacewing.model.phases import NodePhase, RunPhase, TaskPhase
from lacewing.testing import MockBackend, Plan
from world import KEY, Crash, World, chain, crashing, distinct


async def test_a_chain_runs_to_its_end():
    world = World(chain(3))
    run = await world.play()
    assert run.phase is RunPhase.SUCCEEDED
    assert world.backend.launches == [("n0", 0), ("n1", 0), ("n2", 0)]
    phases = [e.phase for e in world.events.events if isinstance(e, NodeEvent) and e.node_id == "n1"]
    assert phases == [NodePhase.QUEUED, NodePhase.RUNNING, NodePhase.SUCCEEDED]
    assert "/out/end-node/data/0/outputs.pb" in world.blobs.blobs


async def test_a_task_that_ended_between_two_looks_is_told_to_have_run():
    world = World({"n0": []})
    began, started = world.clock.now(), MockBackend.observe

    async def observe(*asked: Any) -> Any:
        return replace(await started(world.backend, *asked), started_at=began)

    world.backend.observe = observe
    await world.play()
    told = [(e.phase, e.at) for e in world.events.events if isinstance(e, TaskEvent)]
    assert [phase for phase, _ in told] == [TaskPhase.QUEUED, TaskPhase.RUNNING, TaskPhase.SUCCEEDED]
    assert told[1][1] == began


async def test_user_retries_are_spent_and_named():
    world = World({"n0": []}, lambda task: Plan("user"), retries=2)
    run = await world.play()
    assert run.phase is RunPhase.FAILED
    assert world.backend.launches == [("n0", 0), ("n0", 1), ("n0", 2)]
    assert run.error is not None
    assert run.error.code == "RetriesExhausted|Error"
    assert run.error.message == "[3/3] currentAttempt done. Last Error: USER::as planned"


def remembering(world: World) -> list[tuple[str, ...]]:
    """What each launch is told of the attempts before it."""
    told: list[tuple[str, ...]] = []
    launch = world.backend.launch

    async def launched(cluster: Any, task: Any) -> Any:
        told.append(task.failures)
        return await launch(cluster, task)

    world.backend.launch = launched
    return told


async def test_an_attempt_knows_what_those_before_it_died_of():
    outcomes = ["user", "system", "success"]
    world = World({"n0": []}, lambda task: Plan(outcomes[task.attempt]), retries=1)
    told = remembering(world)
    await world.play()
    assert told == [(), ("Error",), ("Error", "Interrupted")]


async def test_an_element_of_an_array_knows_what_its_attempts_before_died_of():
    outcomes = ["system", "user", "success"]
    world = World({"n0": []}, lambda task: Plan(outcomes[task.attempt]))
    closure = workflow_pb2.WorkflowClosure.FromString(world.blobs.blobs["closure"])
    node = closure.compiled_workflow.primary.template.nodes[2]
    inner = type(node)()
    inner.CopyFrom(node)
    inner.metadata.retries.retries = 1
    node.ClearField("task_node")
    node.array_node.node.CopyFrom(inner)
    world.blobs.blobs["closure"] = closure.SerializeToString()
    told = remembering(world)
    await world.play()
    assert told == [(), ("Interrupted",), ("Interrupted", "Error")]


async def test_system_failures_do_not_cost_the_user():
    world = World({"n0": []}, lambda task: Plan("system" if task.attempt < 3 else "success"))
    run = await world.play()
    assert run.phase is RunPhase.SUCCEEDED
    assert len(world.backend.launches) == 4


async def test_a_task_without_outputs_is_retried_and_fails():
    run = await World({"n0": []}, lambda task: Plan("silent")).play()
    assert run.error is not None
    assert run.error.code == "RetriesExhausted|OutputsNotFound"


async def test_failing_at_once_aborts_what_is_active():
    plan = lambda task: Plan("permanent") if task.node_id == "n0" else Plan(looks=99)  # noqa: E731
    world = World({"n0": [], "n1": [], "n2": ["n1"]}, plan)
    run = await world.play()
    assert run.phase is RunPhase.FAILED
    assert ("n1", 0) in world.backend.aborted
    assert run.nodes["n1"].phase is NodePhase.ABORTED
    assert "n2" not in run.nodes


async def test_failing_late_runs_all_that_can_run_and_skips_the_rest():
    plan = lambda task: Plan("permanent") if task.node_id == "a" else Plan(looks=2)  # noqa: E731
    world = World({"a": [], "b": ["a"], "c": [], "d": ["c"]}, plan, fail_late=True)
    run = await world.play()
    assert run.phase is RunPhase.FAILED
    assert run.nodes["b"].phase is NodePhase.SKIPPED
    assert run.nodes["d"].phase is NodePhase.SUCCEEDED
    assert run.nodes["end-node"].phase is NodePhase.SKIPPED


async def test_an_abort_ends_everything():
    world = World(chain(2), lambda task: Plan(looks=99))
    await world.store.create(world.spec)
    loop = world.loop()
    await loop.reconcile(KEY, {EVERYTHING})
    await world.store.request_abort(KEY, "enough")
    await loop.reconcile(KEY, {"+", EVERYTHING})
    assert world.run.phase is RunPhase.ABORTED
    assert world.backend.aborted == [("n0", 0)]
    assert isinstance(world.events.events[-1], RunEvent)


async def test_a_task_that_runs_out_of_time_is_stopped():
    world = World({"n0": []}, lambda task: Plan(looks=99), timeout_seconds=5)
    run = await world.play()
    assert run.error is not None
    assert run.error.code == "RetriesExhausted|TimeoutExpired"
    assert run.error.message.endswith("task execution timeout [5s] expired")
    assert world.backend.aborted == [("n0", 0)]


async def test_a_refused_launch_waits_without_blocking_its_siblings():
    plan = lambda task: Plan("delay") if task.node_id == "n0" else Plan()  # noqa: E731
    world = World({"n0": [], "n1": []}, plan)
    run = await world.play()
    assert run.phase is RunPhase.SUCCEEDED
    assert world.backend.launches == [("n1", 0), ("n0", 0)]


async def test_parallelism_is_bounded():
    world = World({f"n{i}": [] for i in range(9)}, lambda task: Plan(looks=1), max_parallelism=2)
    await world.store.create(world.spec)
    loop = world.loop()
    await loop.reconcile(KEY, {EVERYTHING})
    assert len(world.backend.launches) == 2
    assert (await world.play()).phase is RunPhase.SUCCEEDED


async def test_a_run_whose_workflow_cannot_be_read_fails_with_the_reason():
    world = World({"n0": []})
    del world.blobs.blobs["closure"]
    run = await world.play()
    assert run.error is not None
    assert run.error.code == "WorkflowNotReadable"


@pytest.mark.parametrize("at", range(2, 70))
async def test_a_crash_at_any_point_replays_into_the_same(at: int):
    edges = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    plan = lambda task: Plan("user" if task.node_id == "c" and not task.attempt else "success")  # noqa: E731
    calm = World(edges, plan, retries=1)
    await calm.play()
    world = World(edges, plan, retries=1)
    crashing(world, at)
    for _ in range(3):
        try:
            run = await world.play()
            break
        except Crash:
            continue
    assert run.phase is RunPhase.SUCCEEDED
    assert sorted(world.backend.launches) == sorted(calm.backend.launches)
    assert distinct(world) == distinct(calm)
    assert world.blobs.blobs == calm.blobs.blobs


@st.composite
def dags(draw: Any) -> dict[str, list[str]]:
    size = draw(st.integers(1, 12))
    return {
        f"n{i}": sorted(draw(st.sets(st.sampled_from([f"n{j}" for j in range(i)]), max_size=3)) if i else [])
        for i in range(size)
    }


OUTCOMES = st.sampled_from(["success"] * 6 + ["user", "system", "permanent", "silent", "refuse", "delay"])


@settings(max_examples=60, deadline=None)
@given(dags(), st.dictionaries(st.tuples(st.integers(0, 11), st.integers(0, 3)), OUTCOMES), st.booleans(),
       st.integers(0, 3), st.integers(0, 2))  # fmt: skip
def test_any_graph_and_any_backend_keep_the_promises(edges, outcomes, fail_late, parallelism, retries):
    def plan(task: Any) -> Plan:
        return Plan(outcomes.get((int(task.node_id[1:]), task.attempt), "success"), task.attempt)

    world = World(edges, plan, fail_late=fail_late, max_parallelism=parallelism, retries=retries)
    run = asyncio.run(world.play())
    assert len(set(world.backend.launches)) == len(world.backend.launches), "no attempt twice"
    done: set[str] = set()
    seen: dict[str, NodePhase] = {}
    for event in world.events.events:
        if not isinstance(event, NodeEvent):
            continue
        assert not seen.get(event.node_id, NodePhase.WAITING).terminal, "terminal is final"
        seen[event.node_id] = event.phase
        if event.phase is NodePhase.QUEUED and event.node_id in edges:
            assert set(edges[event.node_id]) <= done, "a node runs only after its upstreams"
        if event.phase is NodePhase.SUCCEEDED:
            done.add(event.node_id)
        else:
            assert not event.output_uri, "outputs only from succeeded nodes"
    assert (run.phase is RunPhase.SUCCEEDED) == (set(edges) | {"start-node", "end-node"} <= done)
    assert not run.active
