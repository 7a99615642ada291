"""flytekit's features, run on a demo by unmodified clients: the table of docs/compatibility.md, kept true."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flytekit import task
from flytekit.remote import FlyteRemote
from machine import WORKFLOWS, Machine

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
SUCCEEDED, RECOVERED = core_pb2.NodeExecution.SUCCEEDED, core_pb2.NodeExecution.RECOVERED
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "with_deck": ({"a": 1}, {"o0": 1}),
    "shell": ({"a": 3}, {"o0": "3"}),
    "values": ({"a": 1}, {"o0": 2, "o1": "first", "o2": "blue"}),
    "nothing": ({"a": 1}, {"o0": 1}),
    "folders": ({}, {"o0": 2}),
    "map_in_dynamic": ({"n": 3}, {"o0": 36}),
    "map_of_plans": ({"n": 3}, {"o0": 6}),
    "recursion": ({"n": 2}, {"o0": 1}),
    "echoed": ({"a": 1}, {"o0": 2}),
    "overridden": ({"a": 1}, {"o0": 2}),
    "imperative": ({"a": 1}, {"out": 2}),
}
"""Workflows that succeed, with their inputs and outputs."""
OTHERS = {"calls", "recovered", "cleaned"}
"""Workflows with a test of their own."""


@task
def double(a: int) -> int:
    """A task of no module that the demo knows."""
    return 2 * a


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A demo with the workflows of language.py."""
    folder = tmp_path_factory.mktemp("language")
    machine = Machine(folder / "home", folder)
    machine.start()
    machine.register("language.py")
    yield machine
    machine.end()
    machine.channel.close()


@pytest.mark.parametrize("name", CASES)
def test_a_feature_works_and_can_be_read_back(demo: Machine, name: str):
    inputs, outputs = CASES[name]
    done = demo.finished(demo.execute(f"language.{name}", **inputs))
    assert done.error is None, done.error
    for key, value in outputs.items():
        found = done.outputs[key]
        assert getattr(found, "value", found) == value
    assert all(node.closure.phase == SUCCEEDED for node in done.node_executions.values())


def test_an_eager_workflow_starts_executions_of_its_own(demo: Machine):
    entity = demo.remote.fetch_task(name="language.calls", version="v1")
    done = demo.finished(demo.remote.execute(entity, inputs={"a": 1}).id.name)
    assert done.error is None, done.error
    assert done.outputs["o0"] == 3


def test_a_function_that_was_pickled_runs(demo: Machine):
    place = {"default_project": "flytesnacks", "default_domain": "development"}
    notebook = FlyteRemote(demo.remote.config, **place, interactive_mode_enabled=True)
    done = demo.finished(notebook.execute(double, inputs={"a": 2}).id.name)
    assert done.error is None, done.error
    assert done.outputs["o0"] == 4


def test_a_failure_node_runs_and_the_run_fails_with_the_first_error(demo: Machine):
    done = demo.finished(demo.execute("language.cleaned", a=1))
    assert "boom 1" in done.error.message
    assert done.node_executions["fn0"].closure.phase == SUCCEEDED


def test_a_recovered_execution_takes_over_what_succeeded(demo: Machine, tmp_path: Path):
    file = tmp_path / "there"
    failed = demo.finished(demo.execute("language.recovered", file=str(file)))
    assert failed.error is not None
    file.touch()
    request = execution_pb2.ExecutionRecoverRequest(id=failed.id.to_flyte_idl())
    done = demo.finished(demo.admin.RecoverExecution(request).id.name)
    assert done.error is None, done.error
    assert done.outputs["o0"] == 10
    assert done.spec.metadata.mode == execution_pb2.ExecutionMetadata.RECOVERED
    nodes = done.node_executions
    assert nodes["n0"].closure.phase == RECOVERED
    assert nodes["n1"].subworkflow_node_executions["n1-0-n0"].closure.phase == RECOVERED
    child = nodes["n2"].workflow_executions[0]
    assert child.spec.metadata.mode == execution_pb2.ExecutionMetadata.RECOVERED
    assert child.node_executions["n0"].closure.phase == RECOVERED


def test_the_table_of_features_names_every_workflow_that_is_run():
    told = set(re.findall(r"^\|[^|]*\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    defined = set(
        re.findall(r"^@workflow.*\ndef (\w+)", (WORKFLOWS / "language.py").read_text(), re.MULTILINE)
    )
    assert told == set(CASES) | OTHERS
    assert told >= defined - {"sub", "simple"}
