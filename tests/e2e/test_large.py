"""Workflows of many nodes, with the demo shot in the middle: nothing is lost, and nothing runs twice."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A demo with the workflows of large.py."""
    folder = tmp_path_factory.mktemp("large")
    machine = Machine(folder / "home", folder)
    machine.start()
    machine.register("large.py")
    yield machine
    machine.end()
    machine.channel.close()


def lines(marks: Path) -> list[int]:
    return sorted(int(line) for line in marks.read_text().split()) if marks.exists() else []


@pytest.mark.parametrize(
    ("workflow", "n", "expected", "result"),
    [
        ("mapped", 100, list(range(100)), 5050),
        ("static", 0, list(range(100)), 5050),
        ("grown", 60, list(range(60)), 1830),
        ("diamond", 0, list(range(-1, 30)), 465),
        ("level19", 0, list(range(20)), 20),
    ],
)
def test_a_demo_that_is_shot_in_the_middle_goes_on(
    large: Machine, tmp_path: Path, workflow: str, n: int, expected: list[int], result: int
):
    marks = tmp_path / "marks"
    name = large.execute(f"large.{workflow}", n=n, file=str(marks))
    large.until(lambda: len(lines(marks)) >= len(expected) // 3)
    large.end(signal.SIGKILL)
    assert len(lines(marks)) < len(expected)
    large.start()
    done = large.finished(name)
    assert done.outputs["o0"] == result
    assert lines(marks) == expected
