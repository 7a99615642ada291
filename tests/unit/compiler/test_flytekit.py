"""flytekit's own templates compile: the recorded workflows, and a small one for each feature."""

import importlib
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any

import pytest
from flytekit import (
    FlyteDirectory,
    FlyteFile,
    LaunchPlan,
    Resources,
    StructuredDataset,
    approve,
    conditional,
    dynamic,
    kwtypes,
    map_task,
    reference_launch_plan,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flytekit.core.array_node import array_node
from flytekit.core.workflow import ImperativeWorkflow, WorkflowBase
from flytekit.types.error.error import FlyteError
from flytekit.types.schema import FlyteSchema
from lacewing.compiler.requirements import every_node
from recorded import DATA, views
from serialized import compiled

MODULES = ("basics", "cache", "control", "failures")


@pytest.fixture(scope="module")
def recorded_workflows() -> Iterator[dict[str, Any]]:
    """The workflows that the reference server ran, by name."""
    sys.path.insert(0, str(DATA / "workflows"))
    yield {
        f"{name}.{key}": found
        for name in MODULES
        for key, found in vars(importlib.import_module(name)).items()
        if isinstance(found, WorkflowBase)
    }
    sys.path.remove(str(DATA / "workflows"))


def node_ids(entity: Any) -> list[str]:
    return [node.id for node in every_node(compiled(entity).primary.template)]


def test_the_recorded_workflows_compile_to_the_nodes_that_their_views_show(recorded_workflows):
    seen = set()
    for view in views():
        name = view["case"]["name"]
        closure = compiled(recorded_workflows[name])
        known = {node.id for node in every_node(closure.primary.template)}
        inner = {node.id for one in closure.sub_workflows for node in every_node(one.template)} | {
            "dn0",
            "dn1",
            "dn2",
            "start-node",
            "end-node",
        }
        for node in view["view"]["nodes"]:
            assert node["node"]["metadata"]["spec_node_id"] in known, name
            for child in node.get("children", []):
                assert child["node"]["metadata"]["spec_node_id"] in known | inner, name
        seen.add(name)
    assert len(seen) > 20


def test_all_of_the_recorded_modules_compile(recorded_workflows):
    for entity in recorded_workflows.values():
        assert compiled(entity).primary.template.nodes


def test_the_arms_of_a_branch_have_full_ids_and_come_after_what_they_read(recorded_workflows):
    closure = compiled(recorded_workflows["control.branch"])
    assert [node.id for node in every_node(closure.primary.template)][2:] == ["n0", "n0-n0", "n0-n1", "n0-n2"]
    upstream = {key: list(ids.ids) for key, ids in closure.primary.connections.upstream.items()}
    assert upstream == {
        "n0": ["start-node"],
        "n0-n0": ["start-node"],
        "n0-n1": ["start-node"],
        "end-node": ["n0"],
    }
    assert [one.template.id.name for one in closure.sub_workflows] == ["control.sub"]


def test_a_failure_node_is_read_for_only_upstream(recorded_workflows):
    closure = compiled(recorded_workflows["control.with_cleanup"])
    assert closure.primary.template.failure_node.id == "fn0"
    assert list(closure.primary.connections.upstream["fn0"].ids) == ["start-node"]
    assert "fn0" not in [one for ids in closure.primary.connections.downstream.values() for one in ids.ids]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Inner:
    n: int
    names: list[str]


@dataclass
class Outer:
    inner: Inner
    by_name: dict[str, Inner]
    maybe: typing.Optional[int] = None  # noqa: UP045


@task
def inc(a: int) -> int:
    return a + 1


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def text(a: int) -> str:
    return str(a)


@task
def outer() -> Outer:
    return Outer(Inner(1, ["a"]), {})


@task
def take(n: int, name: str, inner: Inner) -> int:
    return n


@task
def maybe(a: typing.Optional[int] = None) -> typing.Optional[int]:  # noqa: UP045
    return a


@task
def paint(colour: Colour, either: typing.Union[int, str, list[int]], words: str) -> Colour:  # noqa: UP007
    return colour


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def some(xs: list[typing.Optional[int]]) -> int:  # noqa: UP045
    return len(xs)


@task
def frame() -> typing.Annotated[StructuredDataset, kwtypes(a=int, b=str)]:
    return StructuredDataset(uri="s3://bucket/frame")


@task
def narrow(s: typing.Annotated[StructuredDataset, kwtypes(a=int)]) -> int:
    return 1


@task
def schema(s: FlyteSchema[kwtypes(a=int)]) -> FlyteSchema:  # type: ignore[valid-type]
    return s


@task
def files(f: FlyteFile["txt"], d: FlyteDirectory) -> FlyteFile:  # noqa: F821
    return f


@dynamic
def many(n: int) -> list[int]:
    return [inc(a=at) for at in range(n)]


@task
def clean(a: int, err: typing.Optional[FlyteError] = None) -> None:  # noqa: UP045
    print(a, err)


@workflow
def paths() -> int:
    found = outer()
    return take(n=found.inner.n, name=found.inner.names[0], inner=found.by_name["x"])


@workflow
def constants() -> Colour:
    take(n=1, name="x", inner=Inner(2, []))
    paint(colour=Colour.RED, either=[1, 2], words="x")
    return paint(colour=Colour.BLUE, either="x", words=text(a=1))


@workflow
def nested(a: int, b: str) -> int:
    return (
        conditional("outer")
        .if_(a > 10)
        .then(conditional("inner").if_((b == "x") | (a < 20)).then(inc(a=a)).else_().then(add(a=a, b=1)))
        .elif_(a == 3)
        .then(inc(a=a))
        .else_()
        .fail("neither")
    )


@workflow
def nones(a: typing.Optional[int] = None) -> int:  # noqa: UP045
    found = maybe(a=a)
    return conditional("none").if_(found.is_none()).then(inc(a=0)).else_().then(inc(a=1))


@workflow
def sub(a: int) -> int:
    return inc(a=a)


@workflow
def subsub(a: int) -> int:
    return sub(a=sub(a=a))


plan = LaunchPlan.get_or_create(sub, name="sub_plan", default_inputs={"a": 40})
fixed = LaunchPlan.get_or_create(sub, name="fixed_plan", fixed_inputs={"a": 40})


@workflow
def plans(a: int) -> tuple[int, int, int, int]:
    return plan(), plan(a=a), fixed(), subsub(a=a)


@reference_launch_plan("flytesnacks", "development", f"{__name__}.recursive", "v1")
def itself(a: int) -> int:
    return a


@workflow
def recursive(a: int) -> int:
    return conditional("go").if_(a > 0).then(itself(a=a)).else_().then(inc(a=a))


@workflow
def maps(xs: list[int]) -> tuple[int, int, list[int], list[int]]:
    first = map_task(partial(add, b=10), concurrency=3)(a=xs)
    second = map_task(inc, min_success_ratio=0.5)(a=xs)
    third = array_node(plan, concurrency=2)(a=first)
    some_plans = array_node(plan, min_success_ratio=0.5)(a=first)
    some(xs=some_plans)
    return total(xs=first), some(xs=second), third, many(n=1)


@workflow
def gated(a: int) -> int:
    x = inc(a=a)
    pause = sleep(timedelta(seconds=1))
    number = wait_for_input("number", timeout=timedelta(hours=1), expected_type=int)
    seen = approve(x, "seen", timeout=timedelta(hours=1))
    again = approve(seen, "again", timeout=timedelta(hours=1))
    x >> pause >> number
    return add(a=again, b=number)


@workflow(on_failure=clean)
def cleaned(a: int) -> int:
    return inc(a=a)


@workflow
def tables() -> tuple[int, FlyteSchema]:
    wide = frame()
    return narrow(s=wide), schema(s=wide)


@workflow
def blobs(f: FlyteFile["txt"], d: FlyteDirectory) -> FlyteFile:  # noqa: F821
    return files(f=f, d=d)


@workflow
def overridden(a: int) -> int:
    first = inc(a=a).with_overrides(
        node_name="first-one",
        retries=3,
        timeout=timedelta(minutes=1),
        requests=Resources(cpu="1", mem="1Gi"),
        limits=Resources(cpu="2", mem="2Gi"),
        cache=True,
        cache_version="1",
        interruptible=True,
    )
    inc(a=first).with_overrides(aliases={"o0": "renamed"})
    return first


imperative = ImperativeWorkflow("imperative")
imperative.add_workflow_input("a", int)
_node = imperative.add_entity(inc, a=imperative.inputs["a"])
imperative.add_workflow_output("out", imperative.add_entity(sub, a=_node.outputs["o0"]).outputs["o0"])
imperative.add_on_failure_handler(clean)

FEATURES: dict[str, tuple[Any, list[str]]] = {
    "attribute access": (paths, ["n0", "n1"]),
    "constants of every type": (constants, ["n0", "n1", "n2", "n3"]),
    "nested branches": (nested, ["n0", "n0-n0", "n0-n0-n0", "n0-n0-n1", "n0-n1"]),
    "comparison with None": (nones, ["n0", "n1", "n1-n0", "n1-n1"]),
    "sub-workflows": (subsub, ["n0", "n1"]),
    "launch plans": (plans, ["n0", "n1", "n2", "n3"]),
    "a launch plan of itself": (recursive, ["n0", "n0-n0", "n0-n1"]),
    "gates": (gated, ["n0", "n1", "n2", "n3", "n4", "n5"]),
    "failure node": (cleaned, ["n0", "fn0"]),
    "tables": (tables, ["n0", "n1", "n2"]),
    "files": (blobs, ["n0"]),
    "imperative": (imperative, ["n0", "n1", "efn"]),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_of_flytekit_compiles_to_the_nodes_that_flyte_makes(feature: str):
    entity, expected = FEATURES[feature]
    assert node_ids(entity)[2:] == expected


def test_maps_over_tasks_and_launch_plans_compile():
    closure = compiled(maps)
    assert [node.id for node in closure.primary.template.nodes][2:] == [
        "n0",
        "n1",
        "n2",
        "n3",
        "n4",
        "n5",
        "n6",
        "n7",
    ]
    assert closure.tasks


def test_names_and_aliases_that_were_given_are_kept():
    ids = node_ids(overridden)
    assert ids[2:] == ["first-one", "n1"]


def test_compiling_twice_gives_the_same_bytes():
    for entity in (nested, plans, maps, recursive):
        one, other = (compiled(entity).SerializeToString(deterministic=True) for _ in range(2))
        assert one == other
