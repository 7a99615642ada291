"""What users do with an unmodified pyflyte and FlyteRemote, from a folder that is not ours."""

import datetime
import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from flytekit.exceptions.user import FlyteEntityNotExistException
from machine import WORKFLOWS

FILE = "zoo.py"


def test_numbers_texts_and_times_go_round(machine):
    given = ["--a", "3", "--b", "1.5", "--c", "ü", "--d", "--e", "2024-01-02T03:04:05", "--f", "90m"]
    done = machine.run(FILE, "w_scalars", *given)
    at = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    answer = [4, 3.0, "üé漢🙂", False, at, datetime.timedelta(hours=3)]
    assert [done.outputs[f"o{number}"] for number in range(6)] == answer


def test_dictionaries_dataclasses_lists_and_models_go_round(machine):
    done = machine.run(FILE, "w_structures", "--x", "3")
    assert done.outputs["o0"] == {"ключ": [{"a": 3}, {}], "empty": []}
    assert done.outputs["o1"] == "3 0.5 None 1"
    assert done.outputs["o2"] == 2
    assert (done.outputs["o3"].number, done.outputs["o3"].tags) == (4, ["one", "two"])
    assert done.outputs["o4"] == {"z": 1, "more": [1, "2", None]}


def test_unions_optionals_enums_and_nothing_go_round(machine):
    done = machine.run(FILE, "w_choices", "--x", "7", "--c", "red")
    assert done.outputs["o0"] is None
    assert done.outputs["o1"] == 7.0
    assert done.outputs["o2"].value == "green"


def test_files_folders_frames_and_datasets_go_from_task_to_task(machine):
    done = machine.run(FILE, "w_files", "--text", "hello wörld")
    answer = ["hello wörld", [f"below/{number} ü.txt" for number in range(3)], 10, ["a"]]
    assert [done.outputs[f"o{number}"] for number in range(4)] == answer


def test_a_file_and_a_folder_of_the_user_are_uploaded(machine):
    (machine.folder / "dätä.txt").write_text("from home")
    (machine.folder / "given").mkdir()
    for name in ("a b.txt", "ü.txt"):
        (machine.folder / "given" / name).write_text("1")
    done = machine.run(FILE, "w_given", "--file", "dätä.txt", "--folder", "given")
    assert done.outputs["o0"] == "from home"
    assert done.outputs["o1"] == ["a b.txt", "ü.txt"]


def test_inputs_come_from_a_file(machine):
    (machine.folder / "inputs.json").write_text(json.dumps({"x": "text", "c": "green", "n": 5}))
    done = machine.run(FILE, "w_choices", "--inputs-file", "inputs.json")
    assert [done.outputs["o0"], done.outputs["o1"], done.outputs["o2"].value] == ["5", "text", "red"]


def test_names_may_be_of_any_script(machine):
    done = machine.run(FILE, "größe", "--naïve", "漢字")
    assert done.outputs["o0"] == "漢字"


def test_a_task_writes_its_deck_beside_its_outputs(machine):
    done = machine.run(FILE, "w_deck", "--x", "1")
    outputs = Path(done.node_executions["n0"].closure.output_uri)
    assert "a deck" in outputs.with_name("deck.html").read_text()


def test_the_same_sources_register_twice(machine):
    folder = machine.folder / "twice"
    folder.mkdir()
    shutil.copy(WORKFLOWS / FILE, folder / FILE)
    for _ in range(2):
        done = machine.pyflyte("register", FILE, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Successfully registered" in done.stdout + done.stderr


def test_the_remote_finds_starts_and_looks_into_what_was_registered(machine):
    version, remote = machine.register(FILE), machine.remote
    plan = remote.fetch_launch_plan(name="zoo.w_deck", version=version)
    assert remote.fetch_workflow(name="zoo.w_deck", version=version).id.version == version
    assert remote.fetch_task(name="zoo.decked", version=version).id.version == version
    started = remote.execute(plan, inputs={"x": 4}, execution_name_prefix="mine")
    done = machine.finished(started.id.name)
    assert done.id.name.startswith("mine-")
    assert f"/executions/{done.id.name}" in remote.generate_console_url(done)
    assert done.inputs["x"] == 4
    assert set(done.node_executions) == {"start-node", "n0", "end-node"}
    assert done.node_executions["n0"].inputs["x"] == 4
    assert done.node_executions["n0"].outputs["o0"] == 4
    assert done.node_executions["n0"].task_executions[0].outputs["o0"] == 4
    assert done.id.name in [one.id.name for one in remote.recent_executions(limit=20)]


def test_a_launch_plan_is_activated(machine):
    version, remote = machine.register(FILE), machine.remote
    plan = remote.fetch_launch_plan(name="zoo.größe", version=version)
    remote.activate_launchplan(plan.id)
    assert remote.fetch_active_launchplan(name="zoo.größe").id == plan.id


def test_what_is_not_there_is_told_so(machine):
    with pytest.raises(FlyteEntityNotExistException):
        machine.remote.fetch_execution(name="nobody")
    with pytest.raises(FlyteEntityNotExistException):
        machine.remote.fetch_workflow(name="nothing", version="v0")


def test_a_missing_input_is_refused_by_its_name(machine):
    shutil.copy(WORKFLOWS / FILE, machine.folder / FILE)
    done = machine.pyflyte("run", "--remote", FILE, "w_choices", "--c", "red")
    assert done.returncode != 0
    assert "StatusCode.INVALID_ARGUMENT" in done.stdout
    assert "expected_inputs x missing" in done.stdout


def looks(machine) -> float:
    """How often an execution was asked for over gRPC."""
    with urllib.request.urlopen(f"http://127.0.0.1:{machine.port}/metrics") as page:
        lines = page.read().decode().splitlines()
    found = [line for line in lines if line.startswith("grpc_server_handled_total{")]
    return sum(float(line.split()[-1]) for line in found if '"GetExecution"' in line)


def test_who_waits_learns_of_the_end_at_the_second_look(machine):
    shutil.copy(WORKFLOWS / FILE, machine.folder / FILE)
    before = looks(machine)
    done = machine.pyflyte("run", "--remote", "--wait", FILE, "w_choices", "--x", "7", "--c", "red")
    assert "has succeeded" in done.stdout, done.stdout + done.stderr
    assert looks(machine) == before + 2
