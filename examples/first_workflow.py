"""A first workflow: two tasks, one after the other."""

from flytekit import task, workflow


@task
def count(name: str) -> int:
    return len(name)


@task
def line(name: str, letters: int) -> str:
    return f"Hello {name}, your name has {letters} letters."


@workflow
def greet(name: str) -> str:
    return line(name=name, letters=count(name=name))
