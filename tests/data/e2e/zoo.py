"""A value of every type that flytekit knows, out of one task and into another."""

import enum
import os
import typing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import pandas as pd
from flytekit import Deck, StructuredDataset, kwtypes, task, workflow
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from pydantic import BaseModel

Nested = typing.Dict[str, typing.List[typing.Dict[str, int]]]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Inner:
    counts: typing.Dict[str, int]
    note: typing.Optional[str] = None


@dataclass
class Outer:
    number: int
    ratio: float
    inner: typing.List[Inner]


class Model(BaseModel):
    number: int
    tags: typing.List[str]


@task
def scalars(
    a: int, b: float, c: str, d: bool, e: datetime, f: timedelta
) -> typing.Tuple[int, float, str, bool, datetime, timedelta]:
    return a + 1, b * 2, c + "é漢🙂", not d, e, f * 2


@task
def nested(x: int) -> Nested:
    return {"ключ": [{"a": x}, {}], "empty": []}


@task
def outer(x: int) -> Outer:
    return Outer(x, 0.5, [Inner({"q": 1})])


@task
def describe(outer: Outer, count: int) -> str:
    return f"{outer.number} {outer.ratio} {outer.inner[0].note} {count}"


@task
def optional(x: typing.Optional[int]) -> typing.Optional[str]:
    return None if x is None else str(x)


@task
def union(x: typing.Union[int, str]) -> typing.Union[str, float]:
    return float(x) if isinstance(x, int) else x


@task
def colour(x: Colour) -> Colour:
    return Colour.GREEN if x == Colour.RED else Colour.RED


@task
def nothing():
    print("nothing comes of this")


@task
def write(text: str) -> FlyteFile:
    with open("имя файла.txt", "w") as file:
        file.write(text)
    return FlyteFile("имя файла.txt")


@task
def read(file: FlyteFile) -> str:
    with open(file) as opened:
        return opened.read()


@task
def folder() -> FlyteDirectory:
    os.makedirs("folder/below")
    for number in range(3):
        with open(f"folder/below/{number} ü.txt", "w") as file:
            file.write(str(number))
    return FlyteDirectory("folder")


@task
def names(folder: FlyteDirectory) -> typing.List[str]:
    folder.download()
    found = [os.path.join(at, file) for at, _, files in os.walk(folder.path) for file in files]
    return sorted(os.path.relpath(one, folder.path) for one in found)


@task
def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(rows), "b": ["x"] * rows})


@task
def total(frame: pd.DataFrame) -> int:
    return int(frame["a"].sum())


@task
def dataset(frame: pd.DataFrame) -> Annotated[StructuredDataset, kwtypes(a=int, b=str)]:
    return StructuredDataset(dataframe=frame)


@task
def columns(data: Annotated[StructuredDataset, kwtypes(a=int)]) -> typing.List[str]:
    return list(data.open(pd.DataFrame).all().columns)


@task
def model(number: int) -> Model:
    return Model(number=number, tags=["one"])


@task
def tagged(model: Model) -> Model:
    return Model(number=model.number + 1, tags=[*model.tags, "two"])


@task
def loose(values: dict) -> dict:
    return {**values, "more": [1, "2", None]}


@task
def numbers(count: int) -> typing.List[int]:
    return list(range(count))


@task
def same(x: int) -> int:
    return x


@task(enable_deck=True)
def decked(x: int) -> int:
    Deck("mine", "<h1>a deck</h1>")
    return x


@workflow
def w_scalars(
    a: int, b: float, c: str, d: bool, e: datetime, f: timedelta
) -> typing.Tuple[int, float, str, bool, datetime, timedelta]:
    return scalars(a=a, b=b, c=c, d=d, e=e, f=f)


@workflow
def w_structures(x: int) -> typing.Tuple[Nested, str, int, Model, dict]:
    made = outer(x=x)
    text = describe(outer=made, count=made.inner[0].counts["q"])
    third = same(x=numbers(count=4)[2])
    return nested(x=x), text, third, tagged(model=model(number=x)), loose(values={"z": 1})


@workflow
def w_choices(
    x: typing.Union[int, str], c: Colour, n: typing.Optional[int] = None
) -> typing.Tuple[typing.Optional[str], typing.Union[str, float], Colour]:
    nothing()
    return optional(x=n), union(x=x), colour(x=c)


@workflow
def w_files(text: str) -> typing.Tuple[str, typing.List[str], int, typing.List[str]]:
    made = frame(rows=5)
    return read(file=write(text=text)), names(folder=folder()), total(frame=made), columns(data=dataset(frame=made))


@workflow
def w_given(file: FlyteFile, folder: FlyteDirectory) -> typing.Tuple[str, typing.List[str]]:
    return read(file=file), names(folder=folder)


@workflow
def w_deck(x: int) -> int:
    return decked(x=x).with_overrides(name="nöde 漢")


@workflow
def größe(naïve: str) -> str:
    return read(file=write(text=naïve))
