"""Workflows of many nodes, for the benchmark of the language."""

from flytekit import conditional, dynamic, map_task, task, workflow


@task
def inc(a: int) -> int:
    return a + 1


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@workflow
def map_1000() -> int:
    return total(xs=map_task(inc)(a=numbers(n=1000)))


@workflow
def map_5000() -> int:
    return total(xs=map_task(inc)(a=numbers(n=5000)))


@dynamic
def fan(n: int) -> list[int]:
    return [inc(a=at) for at in range(n)]


@workflow
def dynamic_500() -> int:
    return total(xs=fan(n=500))


@workflow
def static_1000() -> int:
    return total(xs=[inc(a=at) for at in range(1000)])


@workflow
def diamond_300() -> int:
    first = inc(a=-1)
    arms = []
    for at in range(300):
        case = conditional(f"case{at}").if_(first == 0).then(inc(a=first))
        arms.append(case.else_().then(inc(a=at)))
    return total(xs=arms)


@workflow
def level0(a: int) -> int:
    return inc(a=a)


@workflow
def level1(a: int) -> int:
    return inc(a=level0(a=a))


@workflow
def level2(a: int) -> int:
    return inc(a=level1(a=a))


@workflow
def level3(a: int) -> int:
    return inc(a=level2(a=a))


@workflow
def level4(a: int) -> int:
    return inc(a=level3(a=a))


@workflow
def level5(a: int) -> int:
    return inc(a=level4(a=a))


@workflow
def level6(a: int) -> int:
    return inc(a=level5(a=a))


@workflow
def level7(a: int) -> int:
    return inc(a=level6(a=a))


@workflow
def level8(a: int) -> int:
    return inc(a=level7(a=a))


@workflow
def level9(a: int) -> int:
    return inc(a=level8(a=a))


@workflow
def level10(a: int) -> int:
    return inc(a=level9(a=a))


@workflow
def level11(a: int) -> int:
    return inc(a=level10(a=a))


@workflow
def level12(a: int) -> int:
    return inc(a=level11(a=a))


@workflow
def level13(a: int) -> int:
    return inc(a=level12(a=a))


@workflow
def level14(a: int) -> int:
    return inc(a=level13(a=a))


@workflow
def level15(a: int) -> int:
    return inc(a=level14(a=a))


@workflow
def level16(a: int) -> int:
    return inc(a=level15(a=a))


@workflow
def level17(a: int) -> int:
    return inc(a=level16(a=a))


@workflow
def level18(a: int) -> int:
    return inc(a=level17(a=a))


@workflow
def level19(a: int) -> int:
    return inc(a=level18(a=a))


@workflow
def levels_20() -> int:
    return level19(a=0)
