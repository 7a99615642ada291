"""Data that is gone, broken or large: a clear error or success."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from flyteidl.admin import common_pb2, launch_plan_pb2, workflow_pb2
from flytekit import Workflow, reference_task
from flytekit.configuration import ImageConfig, SerializationSettings

FILE = "fault.py"
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def registered(machine):
    machine.register(FILE)
    return machine


def outputs_file(machine, execution: str, node: str) -> Path:
    """Where the first attempt of a node puts its outputs."""
    folder = machine.home / "store/metadata/propeller" / f"flytesnacks-development-{execution}"
    return folder / node / "data/0/outputs.pb"


@pytest.mark.parametrize("damage", ["gone", "broken"])
def test_an_output_lost_between_two_nodes_fails_the_run_and_names_the_file(registered, tmp_path, damage):
    machine, until = registered, tmp_path / "go"
    # Larger than what the engine keeps in memory.
    name = machine.execute("fault.between", size=3_000_000, until=str(until))
    file = outputs_file(machine, name, "n0")
    execution = machine.remote.fetch_execution(name=name)

    def first_is_done() -> bool:
        nodes = machine.remote.sync(execution, sync_nodes=True).node_executions
        return "n0" in nodes and nodes["n0"].closure.phase == 3 and nodes["n1"].closure.phase == 2

    machine.until(first_is_done)
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"\xff\xffno message at all")
    until.touch()
    done = machine.finished(name)
    assert done.closure.phase == 6
    assert str(file) in done.error.message
    assert done.error.code == ("OutputsNotFound" if damage == "gone" else "CorruptedFile")


def test_an_input_of_twenty_megabytes_is_taken(registered):
    done = registered.finished(registered.execute("fault.measured", text="x" * 20 * MEGABYTE))
    assert done.outputs["o0"] == 20 * MEGABYTE
    assert len(done.inputs["text"]) == 20 * MEGABYTE


def test_an_output_of_twenty_megabytes_is_handed_out(registered):
    done = registered.finished(registered.execute("fault.grown", size=20 * MEGABYTE))
    assert done.outputs["o0"] == "x" * 20 * MEGABYTE
    assert done.node_executions["n0"].outputs["o0"] == "x" * 20 * MEGABYTE


def test_a_workflow_of_five_megabytes_registers_and_runs(machine):
    images = ImageConfig.auto(img_name="localhost/sample:1")
    settings = SerializationSettings(images, project="flytesnacks", domain="development", version="v1")
    words = Workflow(name="fault.words")
    node = words.add_entity(
        reference_task("flytesnacks", "development", "fault.length", "v1")(length),
        text="x" * 5 * MEGABYTE,
        x=1,
    )
    words.add_workflow_output("o0", node.outputs["o0"])
    machine.register(FILE)
    machine.remote.register_workflow(words, settings, version="v1")
    assert machine.finished(machine.execute("fault.words")).outputs["o0"] == 5 * MEGABYTE + 1


def test_two_hundred_submissions_at_once_all_run(registered):
    plan = registered.remote.fetch_launch_plan(name="fault.one", version="v1")
    with ThreadPoolExecutor(200) as pool:
        started = list(pool.map(lambda x: registered.remote.execute(plan, inputs={"x": x}), range(200)))
    assert [registered.finished(one.id.name).outputs["o0"] for one in started] == list(range(1, 201))


@pytest.mark.parametrize("node_id", ["n" * 300, "../../n0", "n0/../../n1"])
def test_a_node_id_that_cannot_be_a_path_is_told_so(registered, node_id):
    admin, name = registered.admin, f"fault.{hashlib.md5(node_id.encode()).hexdigest()}"
    place = {"project": "flytesnacks", "domain": "development", "version": "v1"}
    known = admin.GetWorkflow(
        common_pb2.ObjectGetRequest(id={**place, "resource_type": 2, "name": "fault.one"})
    )
    template = known.closure.compiled_workflow.primary.template
    for node in template.nodes:
        node.id = node.id.replace("n0", node_id) if node.id == "n0" else node.id
        del node.upstream_node_ids[:]
        for binding in node.inputs:
            if binding.binding.promise.node_id == "n0":
                binding.binding.promise.node_id = node_id
    for binding in template.outputs:
        binding.binding.promise.node_id = node_id
    workflow, plan = ({**place, "resource_type": kind, "name": name} for kind in (2, 3))
    try:
        admin.CreateWorkflow(workflow_pb2.WorkflowCreateRequest(id=workflow, spec={"template": template}))
    except grpc.RpcError as refused:
        told = refused.code() is grpc.StatusCode.INVALID_ARGUMENT and node_id in refused.details()
    else:
        spec = {"workflow_id": workflow}
        admin.CreateLaunchPlan(launch_plan_pb2.LaunchPlanCreateRequest(id=plan, spec=spec))
        done = registered.finished(registered.execute(name, x=1))
        told = done.closure.phase == 6 and node_id in done.error.message
    assert told


def length(text: str, x: int) -> int: ...
