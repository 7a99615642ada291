"""Workflows of every kind of node as flytekit writes them, worlds to run them in, and what always holds."""

import functools
import typing
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flytekit import (
    LaunchPlan,
    WorkflowFailurePolicy,
    approve,
    conditional,
    dynamic,
    map_task,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flytekit.core.array_node import array_node
from flytekit.core.task import Echo
from flytekit.types.error.error import FlyteError
from lacewing.model.events import RunEvent, TaskEvent
from lacewing.model.phases import NodePhase, RunPhase, TaskPhase
from lacewing.ports import ChildEnd
from lacewing.testing import Plan
from serialized import compiled
from world import World, literal, literals

LATE = WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE


@task
def inc(a: int) -> int:
    return a + 1


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def numbers(a: int) -> list[int]:
    return [a]


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def count(xs: list[typing.Optional[int]]) -> int:  # noqa: UP045
    return len(xs)


@task
def clean(a: int, err: typing.Optional[FlyteError] = None) -> None:  # noqa: UP045
    print(a, err)


@workflow
def chain(a: int) -> int:
    return inc(a=inc(a=a))


same = Echo(name="same", inputs={"a": int})


@workflow
def echoing(a: int) -> int:
    return inc(a=same(a=a))


@workflow
def holding(a: int) -> int:
    return inc(a=chain(a=chain(a=a)))


@workflow
def branching(a: int) -> int:
    return conditional("size").if_(a > 10).then(inc(a=a)).elif_(a > 3).then(chain(a=a)).else_().fail("small")


@workflow
def nested_branches(a: int) -> int:
    return (
        conditional("outer")
        .if_(a > 10)
        .then(conditional("inner").if_(a > 20).then(inc(a=a)).else_().then(add(a=a, b=1)))
        .else_()
        .then(holding(a=a))
    )


child = LaunchPlan.get_or_create(chain, "test_language.child")


@workflow
def launching(a: int) -> int:
    return inc(a=child(a=a))


@workflow
def gated(a: int) -> int:
    x = inc(a=a)
    pause = sleep(timedelta(seconds=3))
    number = wait_for_input("number", timeout=timedelta(hours=1), expected_type=int)
    seen = approve(x, "seen", timeout=timedelta(hours=1))
    x >> pause >> number
    return add(a=seen, b=number)


@dynamic
def made(a: int) -> int:
    return inc(a=a)


@dynamic
def made_again(a: int) -> int:
    return made(a=a)


@workflow
def growing(a: int) -> int:
    return inc(a=made(a=a))


@workflow
def yielded() -> int:
    """What `made` yields: a sub-workflow with a branch inside."""
    return inc(a=nested_branches(a=15))


@workflow
def yielded_again() -> int:
    """What `made_again` yields: a sub-workflow that holds a dynamic task."""
    return growing(a=1)


@workflow
def growing_twice(a: int) -> int:
    return inc(a=made_again(a=a))


@workflow
def mapping(a: int) -> int:
    return total(xs=map_task(inc, concurrency=2)(a=numbers(a=a)))


@workflow
def mapping_list(xs: list[int]) -> list[int]:
    return map_task(inc)(a=xs)  # type: ignore[no-any-return]


@workflow
def mapping_some(a: int) -> int:
    return count(xs=map_task(inc, min_success_ratio=0.5)(a=numbers(a=a)))


@workflow
def mapping_plans(a: int) -> int:
    return total(xs=array_node(child)(a=numbers(a=a)))


@workflow(on_failure=clean)
def cleaned(a: int) -> int:
    return inc(a=inc(a=a))


@workflow
def cleaned_inside(a: int) -> int:
    return inc(a=cleaned(a=a))


@workflow(failure_policy=LATE)
def late(a: int) -> int:
    first = inc(a=a)
    other = inc(a=a)
    inc(a=other)
    return inc(a=first)


@workflow
def late_inside(a: int) -> int:
    return inc(a=late(a=a))


@functools.cache
def closure_of(entity: Any) -> Any:
    """Compiled once for all tests."""
    return compiled(entity)


def prepared(world: World) -> None:
    """Whatever any of the workflows above waits for is there."""
    world.signals.values = {"number": literal(5), "seen": literal(True)}
    world.children.ends["test_language.child"] = ChildEnd(RunPhase.SUCCEEDED, literals(o0=1))
    module = __name__
    world.dynamics.closures = {
        f"{module}.made": closure_of(yielded),
        f"{module}.made_again": closure_of(yielded_again),
    }


def plans(outcomes: dict[tuple[str, int], str], looks: int = 0) -> Callable[[Any], Plan]:
    """Attempts end well but for those named; dynamic tasks yield their nodes."""

    def plan(attempt: Any) -> Plan:
        place = attempt.node_id
        if "array-index" in attempt.labels:
            place = f"{place}#{attempt.labels['array-index']}"
        found = outcomes.get((place, attempt.attempt))
        if found is None:
            found = "nodes" if ".made" in attempt.template.id.name else "success"
        return Plan(found, looks)

    return plan


def world_of(
    entity: Any, outcomes: dict[tuple[str, int], str] | None = None, looks: int = 0, a: int = 5, **more: Any
) -> World:
    world = World(closure_of(entity), plans(outcomes or {}, looks), inputs={"a": a}, **more)
    prepared(world)
    return world


def keep_promises(world: World) -> None:
    """What holds for every run, however it went."""
    launches = world.backend.launches
    assert len(set(launches)) == len(launches), "no attempt twice"
    seen: dict[str, NodePhase] = {}
    tasks: dict[tuple[str, int], TaskPhase] = {}
    for event in world.events.events:
        if isinstance(event, RunEvent):
            continue
        if isinstance(event, TaskEvent):
            before = tasks.get((event.node_id, event.attempt))
            assert before is None or not before.terminal, f"attempt {event} is over"
            tasks[event.node_id, event.attempt] = event.phase
            assert seen[event.node_id].active, "attempts belong to a node at work"
            continue
        assert not seen.get(event.node_id, NodePhase.WAITING).terminal, f"{event.node_id} is over"
        if event.parent_id and event.phase.active:
            assert seen[event.parent_id] is NodePhase.RUNNING, "what is held runs while its holder does"
        if event.phase in (NodePhase.RUNNING, NodePhase.QUEUED):
            assert not event.output_uri, "outputs only of what has succeeded"
        seen[event.node_id] = event.phase
    assert all(phase.terminal for phase in seen.values()), "all that began has ended"
    assert all(phase.terminal for phase in tasks.values()), "and so did every attempt"
    assert not world.run.active
    assert world.run.phase.terminal
