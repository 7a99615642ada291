"""Workflows of many nodes. Each task leaves a line in a file, so that one can count what ran."""

from functools import partial

from flytekit import conditional, dynamic, map_task, task, workflow


@task
def mark(a: int, file: str) -> int:
    with open(file, "a") as marks:
        marks.write(f"{a}\n")
    return a + 1


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@workflow
def mapped(n: int, file: str) -> int:
    return total(xs=map_task(partial(mark, file=file))(a=numbers(n=n)))


@dynamic
def fan(n: int, file: str) -> list[int]:
    return [mark(a=at, file=file) for at in range(n)]


@workflow
def grown(n: int, file: str) -> int:
    return total(xs=fan(n=n, file=file))


@workflow
def static(n: int, file: str) -> int:
    return total(xs=[mark(a=at, file=file) for at in range(100)])


def diamond_of(size: int):
    """A workflow of that many branches between two tasks."""

    @workflow
    def diamond(n: int, file: str) -> int:
        first = mark(a=-1, file=file)
        arms = []
        for at in range(size):
            case = conditional(f"case{at}").if_(first == 0).then(mark(a=at, file=file))
            arms.append(case.else_().then(mark(a=-2, file=file)))
        return total(xs=arms)

    return diamond


diamond = diamond_of(30)


@workflow
def level0(n: int, file: str) -> int:
    return mark(a=n, file=file)


@workflow
def level1(n: int, file: str) -> int:
    return mark(a=level0(n=n, file=file), file=file)


@workflow
def level2(n: int, file: str) -> int:
    return mark(a=level1(n=n, file=file), file=file)


@workflow
def level3(n: int, file: str) -> int:
    return mark(a=level2(n=n, file=file), file=file)


@workflow
def level4(n: int, file: str) -> int:
    return mark(a=level3(n=n, file=file), file=file)


@workflow
def level5(n: int, file: str) -> int:
    return mark(a=level4(n=n, file=file), file=file)


@workflow
def level6(n: int, file: str) -> int:
    return mark(a=level5(n=n, file=file), file=file)


@workflow
def level7(n: int, file: str) -> int:
    return mark(a=level6(n=n, file=file), file=file)


@workflow
def level8(n: int, file: str) -> int:
    return mark(a=level7(n=n, file=file), file=file)


@workflow
def level9(n: int, file: str) -> int:
    return mark(a=level8(n=n, file=file), file=file)


@workflow
def level10(n: int, file: str) -> int:
    return mark(a=level9(n=n, file=file), file=file)


@workflow
def level11(n: int, file: str) -> int:
    return mark(a=level10(n=n, file=file), file=file)


@workflow
def level12(n: int, file: str) -> int:
    return mark(a=level11(n=n, file=file), file=file)


@workflow
def level13(n: int, file: str) -> int:
    return mark(a=level12(n=n, file=file), file=file)


@workflow
def level14(n: int, file: str) -> int:
    return mark(a=level13(n=n, file=file), file=file)


@workflow
def level15(n: int, file: str) -> int:
    return mark(a=level14(n=n, file=file), file=file)


@workflow
def level16(n: int, file: str) -> int:
    return mark(a=level15(n=n, file=file), file=file)


@workflow
def level17(n: int, file: str) -> int:
    return mark(a=level16(n=n, file=file), file=file)


@workflow
def level18(n: int, file: str) -> int:
    return mark(a=level17(n=n, file=file), file=file)


@workflow
def level19(n: int, file: str) -> int:
    return mark(a=level18(n=n, file=file), file=file)
