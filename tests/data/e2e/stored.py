"""Frames, files and folders, in and out, through whatever store there is."""

import os
import typing

import pandas as pd
from flytekit import dynamic, map_task, task, workflow
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile


@task
def double(frame: pd.DataFrame) -> pd.DataFrame:
    return frame * 2


@task
def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(rows)})


@task
def count(file: FlyteFile) -> int:
    with open(file) as opened:
        return len(opened.read())


@task
def written(frame: pd.DataFrame, letters: int) -> FlyteFile:
    with open("sum.txt", "w") as file:
        file.write(f"{int(frame.a.sum())} {letters}")
    return FlyteFile("sum.txt")


@task
def folder(file: FlyteFile) -> FlyteDirectory:
    os.mkdir("out")
    with open(file) as source, open("out/copy.txt", "w") as target:
        target.write(source.read())
    return FlyteDirectory("out")


@task
def read(folder: FlyteDirectory) -> str:
    with open(os.path.join(folder, "copy.txt")) as file:
        return file.read()


@workflow
def through(file: FlyteFile, rows: int = 4) -> typing.Tuple[pd.DataFrame, FlyteFile, str]:
    frame = double(frame=table(rows=rows))
    result = written(frame=frame, letters=count(file=file))
    return frame, result, read(folder=folder(file=result))


@task
def square(x: int) -> int:
    return x * x


@dynamic
def several(n: int) -> typing.List[int]:
    return [square(x=one) for one in range(n)]


@task
def total(xs: typing.List[int], ys: typing.List[int]) -> int:
    return sum(xs) + sum(ys)


@workflow
def spread(n: int = 3) -> int:
    return total(xs=map_task(square)(x=[1, 2, 3]), ys=several(n=n))


@task
def wrong() -> int:
    raise ValueError("it is wrong")
    return 0


@workflow
def failing() -> int:
    return wrong()
