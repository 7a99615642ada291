"""Trivial tasks in the shapes that the benchmark of the demo runs."""

from flytekit import task, workflow


@task
def one(x: int) -> int:
    return x + 1


@task
def join(a: int, b: int) -> int:
    return a + b


@workflow
def single(x: int = 0) -> int:
    return one(x=x)


@workflow
def chain(x: int = 0) -> int:
    for _ in range(50):
        x = one(x=x)
    return x


@workflow
def fan(x: int = 0) -> int:
    made = [one(x=x) for _ in range(200)]
    last = join(a=made[0], b=made[1])
    for before in made[2:]:
        before >> last
    return last
