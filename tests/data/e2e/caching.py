"""Cached tasks: each answers a number that is another one each time it is computed."""

import time

from flytekit import dynamic, map_task, task, workflow


@task(cache=True, cache_version="1", cache_serialize=True)
def slow(a: int) -> int:
    time.sleep(2)
    return time.time_ns()


@task(cache=True, cache_version="1")
def quick(a: int) -> int:
    return time.time_ns()


@task
def plain(a: int) -> int:
    return time.time_ns()


@task
def numbers(size: int) -> list[int]:
    return list(range(size))


@dynamic(cache=True, cache_version="1")
def several(a: int) -> int:
    return plain(a=a)


@workflow
def serial(a: int) -> int:
    return slow(a=a)


@workflow
def overridden(a: int) -> int:
    return plain(a=a).with_overrides(cache=True, cache_version="1")


@workflow
def mapped(a: int) -> list[int]:
    return map_task(quick)(a=numbers(size=a))


@workflow
def grown(a: int) -> int:
    return several(a=a)
