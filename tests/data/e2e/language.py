"""What flytekit can say and only a server can show: each workflow here is a line of docs/compatibility.md."""

import os
import typing
from dataclasses import dataclass
from enum import Enum
from functools import partial

from flytekit import (
    Deck,
    LaunchPlan,
    WorkflowFailurePolicy,
    conditional,
    current_context,
    dynamic,
    eager,
    kwtypes,
    map_task,
    task,
    workflow,
)
from flytekit.core.array_node import array_node
from flytekit.core.task import Echo
from flytekit.core.workflow import ImperativeWorkflow
from flytekit.extras.tasks.shell import OutputLocation, ShellTask
from flytekit.types.directory import FlyteDirectory
from flytekit.types.error.error import FlyteError
from flytekit.types.file import FlyteFile


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    names: list[str]


@task
def inc(a: int) -> int:
    return a + 1


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def there(file: str, a: int) -> int:
    if not os.path.exists(file):
        raise ValueError(f"{file} is not there yet")
    return a


@workflow
def sub(a: int, file: str) -> int:
    return there(file=file, a=inc(a=a))


child = LaunchPlan.get_or_create(sub, "language.child")


@dynamic
def many(n: int, file: str) -> int:
    return total(xs=[inc(a=1), there(file=file, a=n)])


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def recovered(file: str) -> int:
    first = inc(a=1)
    return total(xs=[sub(a=first, file=file), child(a=first, file=file), many(n=first, file=file)])


@eager
async def calls(a: int) -> int:
    return inc(a=inc(a=a))


@task(enable_deck=True)
def decked(a: int) -> int:
    Deck("mine", "<b>seen</b>")
    return a


@workflow
def with_deck(a: int) -> int:
    return decked(a=a)


script = ShellTask(
    name="language.script",
    script="echo -n {inputs.a} > {outputs.o}",
    inputs=kwtypes(a=int),
    output_locs=[OutputLocation(var="o", var_type=FlyteFile, location="out.txt")],
)


@task
def read(f: FlyteFile) -> str:
    with open(f) as opened:
        return opened.read()


@workflow
def shell(a: int) -> str:
    return read(f=script(a=a))


@workflow
def values(a: int) -> tuple[int, str, Colour]:
    made = point(a=a)
    return inc(a=made.x), same(name=made.names[0]), colour()


@task
def point(a: int) -> Point:
    return Point(a, ["first"])


@task
def same(name: str) -> str:
    return name


@task
def colour() -> Colour:
    return Colour.BLUE


@task
def maybe(a: int) -> typing.Optional[int]:  # noqa: UP045
    return a if a > 1 else None


@workflow
def nothing(a: int) -> int:
    found = maybe(a=a)
    return conditional("none").if_(found.is_none()).then(inc(a=0)).else_().then(inc(a=10))


@task
def folder() -> FlyteDirectory:
    path = os.path.join(current_context().working_directory, "made")
    os.makedirs(path)
    for name in ("a", "b"):
        with open(os.path.join(path, name), "w") as file:
            file.write(name)
    return FlyteDirectory(path)


@task
def count(d: FlyteDirectory) -> int:
    return len(os.listdir(d))


@workflow
def folders() -> int:
    return count(d=folder())


@task
def add(a: int, b: int) -> int:
    return a + b


@dynamic
def mapped_inside(n: int) -> int:
    return total(xs=map_task(partial(add, b=10))(a=[inc(a=at) for at in range(n)]))


@workflow
def map_in_dynamic(n: int) -> int:
    return mapped_inside(n=n)


@workflow
def simple(a: int) -> int:
    return inc(a=a)


simple_plan = LaunchPlan.get_or_create(simple, "language.simple_plan")


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@workflow
def map_of_plans(n: int) -> int:
    return total(xs=array_node(simple_plan, concurrency=2)(a=numbers(n=n)))


@dynamic
def deeper(n: int) -> int:
    return inc(a=n) if n <= 0 else deeper(n=n - 1)


@workflow
def recursion(n: int) -> int:
    return deeper(n=n)


@task
def boom(a: int) -> int:
    raise ValueError(f"boom {a}")
    return a


@task
def clean(a: int, err: typing.Optional[FlyteError] = None) -> None:  # noqa: UP045
    print("cleaned after", err.message if err else None)


@workflow(on_failure=clean)
def cleaned(a: int) -> int:
    return boom(a=a)


same_number = Echo(name="language.same_number", inputs={"a": int})


@workflow
def echoed(a: int) -> int:
    return inc(a=same_number(a=a))


@workflow
def overridden(a: int) -> int:
    return inc(a=a).with_overrides(node_name="renamed", retries=2, interruptible=True)


imperative = ImperativeWorkflow("language.imperative")
imperative.add_workflow_input("a", int)
imperative.add_workflow_output("out", imperative.add_entity(inc, a=imperative.inputs["a"]).outputs["o0"])
