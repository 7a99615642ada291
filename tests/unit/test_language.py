"""Every kind of node, alone and inside each other: whole runs, aborts, crashes."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flyteidl.core import literals_pb2
from lacewing.engine.loop import EVERYTHING
from lacewing.model.events import NodeEvent, TaskEvent
from lacewing.model.phases import ErrorKind, NodePhase, RunPhase
from lacewing.model.run import RunError
from lacewing.model.task import Link
from lacewing.ports import ChildEnd
from lacewing.testing import Plan, make_workflow
from language import (
    branching,
    chain,
    cleaned,
    cleaned_inside,
    closure_of,
    echoing,
    gated,
    growing,
    growing_twice,
    holding,
    keep_promises,
    late,
    late_inside,
    launching,
    mapping,
    mapping_list,
    mapping_plans,
    mapping_some,
    world_of,
)
from world import KEY, Crash, World, crashing, distinct, literal, literals


@dataclass(frozen=True)
class Case:
    """A workflow, how attempts go, and what must come of it."""

    entity: Any
    launches: list[str]
    outcomes: dict[tuple[str, int], str] = field(default_factory=dict)
    a: int = 5
    phase: RunPhase = RunPhase.SUCCEEDED
    code: str = ""
    skipped: frozenset[str] = frozenset()


BAD = RunPhase.FAILED
CASES = {
    "sub-workflows": Case(holding, ["n0-0-n0", "n0-0-n1", "n1-0-n0", "n1-0-n1", "n2"]),
    "a sub-workflow's task fails": Case(
        holding, ["n0-0-n0", "n0-0-n1", "n1-0-n0"], {("n1-0-n0", 0): "permanent"}, phase=BAD, code="Bad"
    ),
    "a task of a sub-workflow is retried by the system": Case(
        chain, ["n0", "n0", "n1"], {("n0", 0): "system"}
    ),
    "a branch's first arm": Case(branching, ["n0-0-n0-n0"], a=11),
    "a branch's arm that is a sub-workflow": Case(branching, ["n0-0-n0-n1-0-n0", "n0-0-n0-n1-0-n1"]),
    "a branch that no case fits": Case(branching, [], a=1, phase=BAD, code="UserProvidedError"),
    "a branch's arm fails": Case(
        branching, ["n0-0-n0-n0"], {("n0-0-n0-n0", 0): "permanent"}, a=11, phase=BAD, code="Bad"
    ),
    "a launch plan": Case(launching, ["n1"]),
    "gates": Case(gated, ["n0", "n4"]),
    "a map": Case(mapping, ["n0", "n1#0", "n1#1", "n1#2", "n2"]),
    "a map's element is retried by the system": Case(
        mapping, ["n0", "n1#0", "n1#1", "n1#1", "n1#2", "n2"], {("n1#1", 0): "system"}
    ),
    "a map's element fails": Case(
        mapping, ["n0", "n1#0", "n1#1"], {("n1#0", 0): "permanent"}, phase=BAD, code="ArrayNodeFailed"
    ),
    "a map of which some may fail": Case(
        mapping_some, ["n0", "n1#0", "n1#1", "n1#2", "n2"], {("n1#1", 0): "permanent"}
    ),
    "a map of which too many fail": Case(
        mapping_some,
        ["n0", "n1#0", "n1#1", "n1#2"],
        {("n1#1", 0): "permanent", ("n1#2", 0): "permanent"},
        phase=BAD,
        code="ArrayNodeFailed",
    ),
    "a map over a launch plan": Case(mapping_plans, ["n0", "n2"]),
    "a failure node": Case(cleaned, ["n0", "fn0"], {("n0", 0): "permanent"}, phase=BAD, code="Bad"),
    "a failure node fails": Case(
        cleaned,
        ["n0", "fn0"],
        {("n0", 0): "permanent", ("fn0", 0): "user"},
        phase=BAD,
        code="RetriesExhausted|Error",
    ),
    "a failure node in a sub-workflow": Case(
        cleaned_inside, ["n0-0-n0", "n0-0-fn0"], {("n0-0-n0", 0): "permanent"}, phase=BAD, code="Bad"
    ),
    "failing late": Case(
        late,
        ["n0", "n1", "n2"],
        {("n0", 0): "permanent"},
        phase=BAD,
        code="Bad",
        skipped=frozenset({"n3", "end-node"}),
    ),
    "failing late in a sub-workflow": Case(
        late_inside,
        ["n0-0-n0", "n0-0-n1", "n0-0-n2"],
        {("n0-0-n0", 0): "permanent"},
        phase=BAD,
        code="Bad",
        skipped=frozenset({"n0-0-n3", "n0-0-end-node"}),
    ),
    "a branch in a sub-workflow in a dynamic task": Case(growing, ["n0", "fps3b5uy", "n0-0-n1", "n1"]),
    "a task of a dynamic task fails": Case(
        growing, ["n0", "fps3b5uy"], {("fps3b5uy", 0): "permanent"}, phase=BAD, code="Bad"
    ),
    "a dynamic task's second attempt yields": Case(
        growing, ["n0", "n0", "fx54qi3q", "n0-1-n1", "n1"], {("n0", 0): "system"}
    ),
    "a dynamic task in a sub-workflow in a dynamic task": Case(
        growing_twice,
        ["n0", "n0-0-n0-0-n0", "f6x26f2a", "n0-0-n0-0-n0-0-n1", "n0-0-n0-0-n1", "n1"],
    ),
}


def skipped(world: World) -> set[str]:
    events = world.events.events
    return {one.node_id for one in events if isinstance(one, NodeEvent) and one.phase is NodePhase.SKIPPED}


@pytest.mark.parametrize("name", CASES)
async def test_a_workflow_runs_as_flyte_runs_it(name: str):
    case = CASES[name]
    world = world_of(case.entity, case.outcomes, a=case.a)
    run = await world.play()
    keep_promises(world)
    assert run.phase is case.phase, run.error
    assert (run.error.code if run.error else "") == case.code
    assert sorted(place for place, _ in world.backend.launches) == sorted(case.launches)
    assert skipped(world) == case.skipped


@pytest.mark.parametrize("name", CASES)
async def test_a_crash_at_any_moment_replays_into_the_same(name: str):
    case = CASES[name]
    calm = world_of(case.entity, case.outcomes, a=case.a)
    await calm.play()
    for at in range(2, 2000):
        world = world_of(case.entity, case.outcomes, a=case.a)
        crashing(world, at)
        try:
            await world.play()
            break
        except Crash:
            run = await world.play()
        assert run.phase is calm.run.phase
        assert sorted(world.backend.launches) == sorted(calm.backend.launches)
        assert distinct(world) == distinct(calm)
        assert world.blobs.blobs == calm.blobs.blobs
    assert at > 8, "it crashed at many places"


@pytest.mark.parametrize("name", CASES)
async def test_an_abort_at_any_moment_ends_everything(name: str):
    case = CASES[name]
    for after in range(1, 100):
        world = world_of(case.entity, case.outcomes, looks=2, a=case.a)
        world.children.ends = {}
        world.signals.values = {}
        run = await world.play(abort_after=after)
        keep_promises(world)
        if run.phase is not RunPhase.ABORTED:
            break
        assert not set(world.backend.launches) - set(world.backend.aborted) - world.backend.ended
        assert set(world.children.stopped) == set(world.children.orders)


def node_events(world: World, node_id: str) -> list[NodeEvent]:
    events = world.events.events
    return [one for one in events if isinstance(one, NodeEvent) and one.node_id == node_id]


async def test_a_node_that_had_twice_its_time_is_timed_out():
    world = World({"n0": []}, lambda task: Plan(looks=99), timeout_seconds=5, retries=9)
    run = await world.play()
    assert world.backend.launches == [("n0", 0), ("n0", 1)]
    assert run.nodes["n0"].phase is NodePhase.TIMED_OUT
    assert run.error is not None
    assert (run.error.code, run.error.message) == ("Timeout", "Timeout in node")
    keep_promises(world)


async def test_the_last_attempt_that_the_system_pays_for_is_not_interruptible():
    asked = {}

    def plan(attempt: Any) -> Plan:
        asked.setdefault(attempt.attempt, (attempt.interruptible, attempt.labels["interruptible"]))
        return Plan("system" if attempt.attempt < 3 else "success")

    world = World({"n0": []}, plan)
    world.spec = replace(world.spec, interruptible=True)
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    assert asked == {0: (True, "true"), 1: (True, "true"), 2: (True, "true"), 3: (False, "false")}
    told = {one.attempt: one.interruptible for one in world.events.events if isinstance(one, TaskEvent)}
    assert told == {0: True, 1: True, 2: True, 3: False}


@pytest.mark.parametrize(("says", "writes"), [(True, True), (True, False), (None, True), (False, True)])
async def test_a_deck_is_told_of_from_the_start_if_promised_and_at_the_end_if_there(says: Any, writes: bool):
    closure = make_workflow({"n0": []})
    if says is not None:
        closure.tasks[0].template.metadata.generates_deck.value = says
    world = World(closure)
    deck = "/out/n0/data/0/deck.html"
    if writes:
        world.blobs.blobs[deck] = b"<html>"
    await world.play()
    told = {one.phase: one.deck_uri for one in node_events(world, "n0")}
    assert told[NodePhase.RUNNING] == (deck if says else "")
    assert told[NodePhase.SUCCEEDED] == (deck if writes and says is not False else "")


@pytest.mark.parametrize("entity", [late, chain])
async def test_outputs_that_cannot_be_put_together_fail_the_run(entity: Any):
    world = world_of(entity)
    last = {late: "n3", chain: "n1"}[entity]
    lost = f"/out/{last}/data/0/outputs.pb"
    asked = world.blobs.read

    async def read(uri: str) -> bytes:
        if uri == lost:
            raise FileNotFoundError(uri)
        return await asked(uri)

    world.blobs.read = read  # type: ignore[method-assign]
    world.backend._write = lambda attempt: silent(world, attempt)
    run = await world.play()
    assert run.phase is RunPhase.FAILED
    assert run.error is not None
    keep_promises(world)


async def silent(world: World, attempt: Any) -> None:
    """Outputs that nobody finds again once the attempt was judged."""
    await world.blobs.write(f"{attempt.output_prefix}/outputs.pb", literals(o0=1).SerializeToString())


async def test_what_we_get_wrong_ourselves_is_tried_again_and_then_fails_the_node():
    for failures, phase in ((2, RunPhase.SUCCEEDED), (9, RunPhase.FAILED)):
        world = world_of(mapping)
        left, written = failures, world.blobs.write

        async def write(uri: str, data: bytes, written: Any = written) -> None:
            nonlocal left
            if uri == "/out/n1/data/0/outputs.pb" and left:
                left -= 1
                raise RuntimeError("a bug")
            await written(uri, data)

        world.blobs.write = write  # type: ignore[method-assign]
        run = await world.play()
        assert run.phase is phase
        assert run.error is None or run.error.code == "PluginError"
        keep_promises(world)


async def test_a_look_at_an_unchanged_run_does_not_load_it():
    world = world_of(gated)
    world.signals.values = {}
    await world.store.create(world.spec)
    loop = world.loop()
    for _ in range(5):
        await loop.reconcile(KEY, {EVERYTHING})
    loaded = world.store.loads
    await loop.reconcile(KEY, {"+", EVERYTHING})
    assert world.store.loads == loaded
    await world.store.request_abort(KEY, "enough")
    await loop.reconcile(KEY, {"+", EVERYTHING})
    assert world.run.phase is RunPhase.ABORTED


async def test_an_echo_needs_nobody():
    world = world_of(echoing)
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    keep_promises(world)
    assert world.backend.launches == [("n1", 0)]
    outputs = literals_pb2.LiteralMap.FromString(world.blobs.blobs["/out/n0/data/0/outputs.pb"])
    assert outputs == literals(o0=5)


async def test_the_failure_node_is_given_the_error():
    world = world_of(cleaned, {("n0", 0): "permanent"})
    await world.play()
    given = literals_pb2.LiteralMap.FromString(world.blobs.blobs["/out/fn0/data/inputs.pb"])
    assert given.literals["a"] == literal(5)
    error = given.literals["err"].scalar.union
    assert error.type.structure.tag == "FlyteError"
    assert error.value.scalar.error.message == "as planned"
    assert error.value.scalar.error.failed_node_id == "fn0"


async def test_each_element_of_a_map_has_its_links():
    world = world_of(mapping)
    observe = world.backend.observe

    async def linked(cluster: Any, attempt: Any, handle: Any) -> Any:
        seen = await observe(cluster, attempt, handle)
        return replace(seen, links=(Link("Logs", f"http://{attempt.name}"),))

    world.backend.observe = linked  # type: ignore[method-assign]
    await world.play()
    told = [one for one in world.events.events if isinstance(one, TaskEvent) and one.node_id == "n1"]
    links = {one.index: one.links for event in told for one in event.elements if one.links}
    assert links == {at: (Link("Logs", f"http://run1-n1-0-n{at}-0"),) for at in range(3)}


@pytest.mark.parametrize("entity", [mapping, mapping_plans])
async def test_a_map_goes_over_a_list_that_was_put_into_a_file_of_its_own(entity: Any):
    world = world_of(entity)
    away, write = literals(), world.backend._write
    away.literals["o0"].offloaded_metadata.uri = "/raw/list"
    world.blobs.blobs["/raw/list"] = literal([1, 2, 3, 4]).SerializeToString()

    async def offloading(attempt: Any) -> None:
        await write(attempt)
        if attempt.node_id == "n0":
            world.blobs.blobs[f"{attempt.output_prefix}/outputs.pb"] = away.SerializeToString()

    world.backend._write = offloading  # type: ignore[method-assign]
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    outputs = literals_pb2.LiteralMap.FromString(world.blobs.blobs["/out/n1/data/0/outputs.pb"])
    assert len(outputs.literals["o0"].collection.literals) == 4
    kept = literals_pb2.LiteralMap.FromString(world.blobs.blobs["/out/n1/data/inputs.pb"])
    assert kept.literals["a"].HasField("offloaded_metadata")


async def test_a_map_of_nothing_succeeds_with_nothing():
    world = World(closure_of(mapping_list), inputs={"xs": []})
    assert (await world.play()).phase is RunPhase.SUCCEEDED
    outputs = literals_pb2.LiteralMap.FromString(world.blobs.blobs["/out/n0/data/0/outputs.pb"])
    assert outputs == literals(o0=[])
    keep_promises(world)


async def test_a_child_that_fails_or_is_aborted_fails_its_node_for_good():
    failed = ChildEnd(RunPhase.FAILED, literals(), RunError("Bad", "in the child", ErrorKind.SYSTEM))
    aborted = ChildEnd(RunPhase.ABORTED, literals(), RunError("", "enough"))
    for end, code in ((failed, "Bad"), (aborted, "RemoteChildWorkflowExecutionFailed")):
        world = world_of(launching)
        world.children.ends["test_language.child"] = end
        run = await world.play()
        assert run.error is not None
        assert run.error.code == code
        assert len(world.children.orders) == 1
        keep_promises(world)


async def test_a_refused_approval_fails_its_gate():
    world = world_of(gated)
    world.signals.values["seen"] = literal(False)
    run = await world.play()
    assert run.error is not None
    assert run.error.code == "ReceivedRejectSignal"
    keep_promises(world)
