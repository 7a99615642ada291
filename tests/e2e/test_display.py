"""`lacewing demo run` and `lacewing demo logs` as a person has them, on a terminal and without one."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKFLOWS = """
import os
import time
import typing
from dataclasses import dataclass
from flytekit import task, workflow

@dataclass
class Point:
    x: int
    name: str

@task
def make(x: int) -> Point:
    print("made", x)
    return Point(x, "a\\nb")

@task(retries=1)
def second(p: Point) -> typing.List[int]:
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "0":
        print("not yet", flush=True)
        os._exit(3)
    return [p.x, 2]

@task
def wrong(p: Point) -> int:
    print("before it failed")
    raise ValueError(f"{p.x} is [wrong]")
    return 1

@workflow
def good(x: int) -> typing.Tuple[Point, typing.List[int]]:
    p = make(x=x)
    return p, second(p=p)

@task
def wait(gate: str) -> str:
    while not os.path.exists(gate):
        time.sleep(0.02)
    return "open"

@workflow
def watched(gate: str) -> str:
    return wait(gate=gate)

@workflow
def bad(x: int) -> int:
    return wrong(p=make(x=x))
"""


@pytest.fixture(scope="module")
def file(machine: Any) -> str:
    (machine.home / "lacewing.yaml").write_text(f"port: {machine.port}\n")
    path: Path = machine.folder / "display.py"
    path.write_text(WORKFLOWS)
    return str(path)


RUNNING = re.compile(r"n0 +display\.wait +Running +1 ")


def plain(data: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", data.decode(errors="replace"))


def on_terminal(machine: Any, gate: Path, *arguments: str) -> tuple[int, str]:
    """The exit code, and what a terminal was sent. The gate opens once a node is shown as running."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).parent / "lacewing"), "demo", *arguments]
    environment = machine.environment() | {"COLUMNS": "100", "LINES": "30", "TERM": "xterm"}
    process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    sent = b""
    while True:
        try:
            sent += os.read(ours, 65536)
        except OSError:
            break
        if RUNNING.search(plain(sent)):
            gate.touch()
    os.close(ours)
    return process.wait(), plain(sent)


def test_without_a_terminal_each_change_is_a_line_and_outputs_are_readable(machine: Any, file: str):
    done = machine.command("run", file, "good", "--x", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "/console/projects/flytesnacks/domains/development/executions/" in done.stdout
    assert any(re.fullmatch(r"n0  display\.make  Succeeded  [\d.]+ m?s", line) for line in lines)
    assert any(re.fullmatch(r"n1  display\.second  Succeeded  attempt 2  [\d.]+ m?s", line) for line in lines)
    assert 'o0 = {"x": 3, "name": "a\\nb"}' in lines
    assert "o1 = [3, 2]" in lines
    assert len(lines) == len(set(lines)) + lines.count("") - 1
    assert "\x1b" not in done.stdout


def test_a_failure_prints_the_traceback_and_the_path_of_the_log(machine: Any, file: str):
    done = machine.command("run", file, "bad", "--x", "3")
    assert done.returncode == 1
    assert "USER:RuntimeError" in done.stdout
    assert 'raise ValueError(f"{p.x} is [wrong]")' in done.stdout
    assert "ValueError: 3 is [wrong]" in done.stdout
    path = re.search(r"^Log of n1, attempt 1: (.*)$", done.stdout, re.MULTILINE)
    assert path is not None
    assert "before it failed" in Path(path[1]).read_text()


def test_on_a_terminal_a_table_moves_until_the_end(machine: Any, file: str):
    gate = machine.folder / "gate"
    code, text = on_terminal(machine, gate, "run", file, "watched", "--gate", str(gate))
    assert code == 0
    assert re.search(r"Node +Task +Phase +Attempt +Duration", text)
    assert RUNNING.search(text)
    assert re.search(r"n0 +display\.wait +Succeeded +1 ", text)
    assert text.rstrip().endswith("o0 = open")


def test_what_pyflyte_refuses_ends_with_its_words_and_code(machine: Any, file: str):
    done = machine.command("run", file, "nope")
    assert done.returncode != 0
    assert "nope" in done.stdout + done.stderr
    assert "Succeeded" not in done.stdout


def test_logs_are_printed_by_execution_and_node(machine: Any, file: str):
    printed = machine.command("run", file, "good", "--x", "3").stdout
    name = printed.split("/executions/")[1].split()[0]
    everything = machine.command("logs", name)
    one = machine.command("logs", name, "n1")
    assert everything.returncode == one.returncode == 0
    assert "made 3" in everything.stdout
    assert "not yet" in everything.stdout
    assert "made 3" not in one.stdout
    assert one.stdout.count("n1, attempt ") == 2
    for arguments, words in (
        (("logs", name, "n9"), f"There is no log of n9 in {name}."),
        (("logs", "nope"), "There is no execution nope in flytesnacks, development."),
    ):
        missing = machine.command(*arguments)
        assert (missing.returncode, missing.stdout.strip()) == (1, words)
    assert machine.command("logs").stdout == machine.log()
