"""Pods beyond a single container, in the demo."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from flyteidl.admin import task_execution_pb2
from machine import Machine

FILE = "pods.py"


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("pods")
    machine = Machine(folder / "home", folder)
    machine.home.mkdir()
    settings = {"plugin_settings": {"container": {"retry_memory_factor": 4}}}
    (machine.home / "lacewing.yaml").write_text(yaml.safe_dump(settings))
    machine.start()
    yield machine
    machine.end()
    machine.channel.close()


@pytest.fixture(scope="module")
def finished(machine: Machine) -> dict[str, Any]:
    machine.register(FILE)
    started = {name: machine.execute(f"pods.w_{name}", x=1) for name in ("accompanied", "hungry")}
    return {name: machine.finished(execution) for name, execution in started.items()}


def test_a_task_with_a_sidecar_runs_without_it(finished):
    assert finished["accompanied"].outputs["o0"] == 2


def test_a_task_that_ran_out_of_memory_is_given_more_and_says_so(machine, finished):
    execution = finished["hungry"]
    assert execution.outputs["o0"] == 1
    first, second = execution.node_executions["n0"].task_executions
    message = first.closure.error.message
    words = "used more than its memory limit of 200Mi. A further attempt, if there is one, is given 800Mi"
    assert words in message
    request = task_execution_pb2.TaskExecutionGetRequest(id=second.id.to_flyte_idl())
    reasons = [one.message for one in machine.admin.GetTaskExecution(request).closure.reasons]
    assert any("the memory limit was raised from 200Mi to 800Mi" in reason for reason in reasons), reasons
