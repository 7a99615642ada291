"""LocalCluster with real processes."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import literals_pb2
from lacewing import POD
from lacewing.adapters.local import LocalCluster

ENVIRONMENT = Path(sys.executable).parent.parent


def pod(name: str, *command: str, **container: Any) -> dict[str, Any]:
    main = {"name": name, "image": "local", "command": list(command), **container}
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"containers": [main]}}


def cluster(root: Path, **options: Any) -> LocalCluster:
    values: dict[str, Any] = {"slots": 2, "cpus": 2, "memory_bytes": 4e9, "images": {"local": ENVIRONMENT}}
    return LocalCluster(root, default_python=Path(sys.executable), **{**values, **options})


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalCluster]:
    found = cluster(tmp_path, grace_seconds=0.3)
    await found.start()
    yield found
    await found.close(kill=True)


async def ended(found: LocalCluster, name: str, seconds: float = 30) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        manifest = await found.get(POD, "ns", name)
        status = (manifest or {}).get("status", {})
        if status.get("phase") in ("Succeeded", "Failed"):
            return status
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} did not end: {status}")


def state(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = status["containerStatuses"][0]["state"]["terminated"]
    return found


async def gone(pid: int) -> bool:
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        await asyncio.sleep(0.05)
    return False


async def number(path: Path) -> int:
    for _ in range(200):
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path} was never written")


async def test_a_process_ends_well_and_its_output_is_kept(local: LocalCluster, tmp_path: Path):
    await local.create(
        POD, pod("a", "sh", "-c", "echo $GREETING; pwd", env=[{"name": "GREETING", "value": "hi"}])
    )
    status = await ended(local, "a")
    assert (status["phase"], state(status)["exitCode"]) == ("Succeeded", 0)
    folder = tmp_path / "pods/ns/a"
    assert (folder / "log.txt").read_text() == f"hi\n{folder / 'work'}\n"


async def test_an_exit_code_and_a_signal_are_reported(local: LocalCluster):
    await local.create(POD, pod("code", "sh", "-c", "echo why >&2; exit 3"))
    await local.create(POD, pod("signal", "sh", "-c", "kill -9 $$"))
    code, killed = state(await ended(local, "code")), state(await ended(local, "signal"))
    assert (code["exitCode"], code["reason"], code["message"]) == (3, "Error", "why\n")
    assert (killed["exitCode"], killed["signal"]) == (137, 9)


async def test_a_deleted_pod_takes_all_its_processes_with_it(local: LocalCluster, tmp_path: Path):
    stray_script = f"setsid sh -c 'echo $$ > {tmp_path}/stray; sleep 60'"
    script = f"trap '' TERM; {stray_script} & echo $$ > {tmp_path}/own; wait; sleep 60"
    await local.create(POD, pod("tree", "sh", "-c", script))
    own, stray = await number(tmp_path / "own"), await number(tmp_path / "stray")
    await local.delete(POD, "ns", "tree")
    assert await local.get(POD, "ns", "tree") is None
    assert await gone(own)
    assert await gone(stray)


async def test_what_grows_over_its_memory_limit_is_ended_as_out_of_memory(local: LocalCluster):
    program = "import time; data = bytearray(200_000_000); time.sleep(60)"
    limits = {"limits": {"memory": "100Mi"}, "requests": {"memory": "100Mi"}}
    await local.create(POD, pod("big", sys.executable, "-c", program, resources=limits))
    assert state(await ended(local, "big"))["reason"] == "OOMKilled"


async def test_pods_wait_for_room_and_say_so(local: LocalCluster):
    for name in ("one", "two", "three"):
        await local.create(POD, pod(name, "sleep", "0.3"))
    waiting = await local.get(POD, "ns", "three")
    assert waiting is not None
    assert "Insufficient slots" in waiting["status"]["conditions"][0]["message"]
    assert (await ended(local, "three"))["phase"] == "Succeeded"


async def test_what_the_machine_can_never_run_says_so(local: LocalCluster):
    await local.create(POD, pod("huge", "true", resources={"requests": {"memory": "900Gi"}}))
    found = await local.get(POD, "ns", "huge")
    assert found is not None
    assert "Insufficient memory; this machine is too small" in found["status"]["conditions"][0]["message"]


async def test_an_image_that_maps_to_nothing_is_refused_by_name(local: LocalCluster):
    await local.create(POD, pod("odd", "true", image="example.org/odd:1"))
    await asyncio.sleep(0.2)
    found = await local.get(POD, "ns", "odd")
    assert found is not None
    assert "example.org/odd:1" in found["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


async def test_a_new_cluster_adopts_what_runs_and_judges_what_ended(tmp_path: Path):
    first = cluster(tmp_path)
    await first.start()
    await first.create(POD, pod("short", "sh", "-c", "sleep 0.3; exit 4"))
    await first.create(POD, pod("long", "sleep", "1.5"))
    await asyncio.sleep(0.1)
    await first.close()
    await asyncio.sleep(0.6)
    second = cluster(tmp_path)
    await second.start()
    try:
        assert state(await ended(second, "short"))["exitCode"] == 4
        running = await second.get(POD, "ns", "long")
        assert running is not None
        assert running["status"]["phase"] == "Running"
        assert (await ended(second, "long"))["phase"] == "Succeeded"
    finally:
        await second.close(kill=True)


TASKS = """
import os, sys
from flytekit import task

@task
def work(a: int) -> int:
    print("in", os.getcwd(), flush=True)
    sys.path.insert(0, "/nowhere")
    return a + 1
"""


async def test_a_flytekit_task_starts_warm_and_alone(local: LocalCluster, tmp_path: Path):
    inputs = literals_pb2.LiteralMap()
    inputs.literals["a"].scalar.primitive.integer = 41
    (tmp_path / "inputs.pb").write_bytes(inputs.SerializeToString())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/tasks.py").write_text(TASKS)
    for name in ("warm0", "warm1"):
        command = [
            "pyflyte-execute", "--inputs", f"{tmp_path}/inputs.pb", "--output-prefix", f"{tmp_path}/{name}",
            "--raw-output-data-prefix", f"{tmp_path}/raw", "--checkpoint-path", f"{tmp_path}/c",
            "--prev-checkpoint", '""',
            "--resolver", "flytekit.core.python_auto_container.default_task_resolver",
            "--", "task-module", "tasks", "task-name", "work",
        ]  # fmt: skip
        variables = {
            "PYTHONPATH": str(tmp_path / "mine"),
            "FLYTE_INTERNAL_EXECUTION_ID": "x",
            "FLYTE_INTERNAL_EXECUTION_PROJECT": "p",
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d",
            "FLYTE_INTERNAL_TASK_NAME": "work",
            "FLYTE_INTERNAL_TASK_PROJECT": "p",
            "FLYTE_INTERNAL_TASK_DOMAIN": "d",
            "FLYTE_INTERNAL_TASK_VERSION": "v",
        }
        env = [{"name": key, "value": value} for key, value in variables.items()]
        await local.create(POD, pod(name, *command, image="anything", env=env))
        assert (await ended(local, name))["phase"] == "Succeeded", (
            tmp_path / f"pods/ns/{name}/log.txt"
        ).read_text()
        written = literals_pb2.LiteralMap.FromString((tmp_path / name / "outputs.pb").read_bytes())
        assert written.literals["o0"].scalar.primitive.integer == 42
        assert "in " in (tmp_path / f"pods/ns/{name}/log.txt").read_text()
