"""Runs that recover others: what succeeded there is taken over, the rest runs."""

from dataclasses import replace
from typing import Any

import pytest
from flyteidl.core import literals_pb2
from lacewing.model.events import NodeEvent
from lacewing.model.ids import RunKey
from lacewing.model.phases import NodePhase, RunPhase
from lacewing.model.run import RunError
from lacewing.model.steps import Past
from lacewing.ports import ChildEnd
from lacewing.testing import Plan
from language import (
    branching,
    chain,
    cleaned,
    gated,
    growing,
    growing_twice,
    holding,
    keep_promises,
    late,
    launching,
    mapping,
    world_of,
)
from world import KEY, Crash, World, crashing, distinct, literals

EARLIER = RunKey("flytesnacks", "development", "earlier")
BAD = "permanent"
CASES: dict[str, tuple[Any, dict[tuple[str, int], str], list[str]]] = {
    "a chain": (chain, {("n1", 0): BAD}, ["n1"]),
    "the first of a chain": (chain, {("n0", 0): BAD}, ["n0", "n1"]),
    "a sub-workflow": (holding, {("n1-0-n1", 0): BAD}, ["n1-0-n1", "n2"]),
    "a branch": (branching, {("n0-0-n0-n1-0-n1", 0): BAD}, ["n0-0-n0-n1-0-n1"]),
    "a failure node": (cleaned, {("n1", 0): BAD}, ["n1"]),
    "failing late": (late, {("n0", 0): BAD}, ["n0", "n3"]),
    "gates": (gated, {("n4", 0): BAD}, ["n4"]),
    "after a map": (mapping, {("n2", 0): BAD}, ["n2"]),
    "a map": (mapping, {("n1#1", 0): BAD}, ["n1#0", "n1#1", "n1#2", "n2"]),
    "a dynamic task's task": (growing, {("n0-0-n1", 0): BAD}, ["n0-0-n1", "n1"]),
    "after a dynamic task": (growing, {("n1", 0): BAD}, ["n1"]),
    "a dynamic task": (growing, {("n0", 0): BAD}, ["n0", "fps3b5uy", "n0-0-n1", "n1"]),
    "the inner dynamic task": (
        growing_twice,
        {("n0-0-n0-0-n0-0-n1", 0): BAD},
        ["n0-0-n0-0-n0-0-n1", "n0-0-n0-0-n1", "n1"],
    ),
}


def past_of(world: World) -> dict[tuple[RunKey, str], Past]:
    """What admin would tell of every node of a run that is over."""
    found: dict[str, Past] = {}
    read = world.blobs.blobs
    for event in world.events.events:
        if not isinstance(event, NodeEvent) or event.phase is NodePhase.SKIPPED:
            continue
        if event.phase is NodePhase.SUCCEEDED:
            outputs = literals_pb2.LiteralMap.FromString(read[event.output_uri]) if event.output_uri else None
            found[event.node_id] = Past(True, None, outputs, child=event.child)
        elif event.grown is not None:
            attempt = int(event.grown.spec_uri.split("/")[-2])
            found[event.node_id] = Past(nodes_uri=event.grown.spec_uri, grown_attempt=attempt)
        elif event.phase is NodePhase.FAILED and event.node_id not in found:
            left = str(event.child) if event.child is not None else event.checkpoint_uri
            found[event.node_id] = Past(left=left)
    return {(EARLIER, node_id): past for node_id, past in found.items()}


async def recovering(entity: Any, outcomes: dict[tuple[str, int], str]) -> World:
    """The world of a run that recovers one that went as told."""
    earlier = world_of(entity, outcomes)
    assert (await earlier.play()).phase is RunPhase.FAILED
    world = world_of(entity)
    world.spec = replace(world.spec, recovers=str(EARLIER))
    world.children.past = past_of(earlier)
    world.blobs.blobs |= {
        uri: data for uri, data in earlier.blobs.blobs.items() if uri.endswith("futures.pb")
    }
    return world


@pytest.mark.parametrize("name", CASES)
async def test_only_what_did_not_succeed_runs_again(name: str):
    entity, outcomes, launches = CASES[name]
    world = await recovering(entity, outcomes)
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    keep_promises(world)
    assert sorted(place for place, _ in world.backend.launches) == sorted(launches)
    events = [one for one in world.events.events if isinstance(one, NodeEvent)]
    told = {one.node_id for one in events if one.phase is NodePhase.RECOVERED}
    done = {node_id for (_, node_id), past in world.children.past.items() if past.done}
    assert told <= done
    assert {one.node_id for one in events if one.node_id in told and one.phase is NodePhase.QUEUED} == set()


@pytest.mark.parametrize("name", CASES)
async def test_a_recovery_that_crashes_goes_on_as_if_it_had_not(name: str):
    entity, outcomes, _ = CASES[name]
    calm = await recovering(entity, outcomes)
    await calm.play()
    for at in range(2, 500):
        world = await recovering(entity, outcomes)
        crashing(world, at)
        try:
            await world.play()
            break
        except Crash:
            await world.play()
        assert sorted(world.backend.launches) == sorted(calm.backend.launches)
        assert distinct(world) == distinct(calm)
        assert world.blobs.blobs == calm.blobs.blobs


async def test_an_aborted_recovery_ends_what_it_began():
    for after in range(1, 30):
        world = await recovering(holding, {("n1-0-n1", 0): BAD})
        await world.play(abort_after=after)
        keep_promises(world)


async def test_a_task_that_failed_is_given_its_checkpoint():
    world = await recovering(chain, {("n1", 0): BAD})
    asked = {}

    def plan(attempt: Any) -> Plan:
        asked.setdefault((attempt.node_id, attempt.attempt), attempt.previous_checkpoint_prefix)
        return Plan("user" if not attempt.attempt else "success")

    world = await recovering(chain, {("n1", 0): BAD})
    earlier = world.children.past[EARLIER, "n1"].left
    assert earlier.endswith("/_flytecheckpoints")
    world.backend._plan = plan
    await world.play()
    assert asked == {("n1", 0): earlier}


async def test_a_child_execution_that_failed_is_recovered_in_its_turn():
    earlier = world_of(launching)
    error = RunError("Bad", "in the child")
    earlier.children.ends["test_language.child"] = ChildEnd(RunPhase.FAILED, literals(), error)
    await earlier.play()
    world = world_of(launching)
    world.spec = replace(world.spec, recovers=str(EARLIER))
    world.children.past = past_of(earlier)
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    (order,) = world.children.orders.values()
    assert RunKey.parse(order.recovers) in earlier.children.orders
    assert order.parent.key == KEY
