"""Workflows whose tasks misbehave: a user learns what went wrong, and nothing hangs."""

from typing import Any

import pytest
from machine import processes

FILE = "fault.py"
USER, SYSTEM = 1, 2


@pytest.fixture(scope="module")
def finished(machine) -> dict[str, Any]:
    """Every workflow `w_...` of the file, run at once and waited for."""
    machine.register(FILE)
    inputs = {"w_exits": 3, "w_binary": 9, "w_counts": 2}
    names = [
        "raises", "slow", "stopped", "killed", "silent", "exits", "crashes", "greedy", "second_try",
        "always_again", "counts", "binary", "talkative", "leaves_things_behind", "corrupted_outputs",
        "empty_outputs", "empty_error",
    ]  # fmt: skip
    started = {name: machine.execute(f"fault.w_{name}", x=inputs.get(f"w_{name}", 1)) for name in names}
    return {name: machine.finished(execution) for name, execution in started.items()}


FAILURES = {
    "raises": ("USER:RuntimeError", USER, 1, "ValueError: the value 1 is wrong: ünïcödé 漢字"),
    "slow": ("RetriesExhausted|TimeoutExpired", USER, 1, "task execution timeout [1s] expired"),
    "stopped": ("RetriesExhausted|TimeoutExpired", USER, 1, "task execution timeout [1s] expired"),
    "killed": ("RetriesExhausted|Interrupted", USER, 4, "exit code (137)"),
    "silent": ("RetriesExhausted|OutputsNotFound", USER, 1, "outputs.pb does not exist"),
    "exits": ("RetriesExhausted|Error", USER, 1, "the last words"),
    "crashes": ("RetriesExhausted|Error", USER, 1, "exit code (139)"),
    "greedy": ("RetriesExhausted|OOMKilled", USER, 1, "Reason [OOMKilled]"),
    "always_again": ("RetriesExhausted|USER:Recoverable", USER, 2, "FlyteRecoverableException"),
    "binary": ("RetriesExhausted|Error", USER, 1, "exit code (9)"),
    "corrupted_outputs": ("CorruptedFile", USER, 1, "is no LiteralMap"),
    "empty_outputs": ("OutputsNotFound", USER, 1, "lacks the outputs ['o0']"),
    "empty_error": ("RetriesExhausted|ErrorFileBadFormat", USER, 4, "error.pb holds no error"),
}


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_a_failure_tells_what_happened_and_how_often_it_was_tried(finished, name):
    code, kind, attempts, words = FAILURES[name]
    execution = finished[name]
    error = execution.error
    assert (error.code, error.kind) == (code, kind)
    assert words in error.message
    assert len(execution.node_executions["n0"].task_executions) == attempts


def test_a_traceback_shows_the_line_of_the_user(finished):
    message = finished["raises"].error.message
    assert 'raise ValueError(f"the value {x} is wrong' in message
    assert "n1" not in finished["raises"].node_executions


@pytest.mark.parametrize(
    ("name", "answer", "attempts"),
    [("second_try", 1, 2), ("counts", 2, 3), ("talkative", 1, 1), ("leaves_things_behind", 1, 1)],
)
def test_what_can_be_survived_is_survived(finished, name, answer, attempts):
    execution = finished[name]
    assert execution.outputs["o0"] == answer
    assert len(execution.node_executions["n0"].task_executions) == attempts


def test_a_running_task_is_terminated_with_its_cause(machine, finished, tmp_path):
    name = machine.execute("fault.held", x=1, until=str(tmp_path / "never"))
    execution = machine.remote.fetch_execution(name=name)
    machine.until(lambda: machine.remote.sync(execution).closure.phase == 2)
    machine.remote.terminate(execution, "enough: ünïcödé")
    execution = machine.finished(name)
    assert execution.closure.phase == 7
    assert execution.closure.abort_metadata.cause == "enough: ünïcödé"
    assert execution.node_executions["n0"].closure.phase == 6


def test_no_process_of_a_task_is_left(machine, finished):
    machine.until(lambda: len(processes(str(machine.home / "cluster"))) <= 1)
