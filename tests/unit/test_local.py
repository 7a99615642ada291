"""LocalCluster with real processes."""

import asyncio
import contextlib
import os
import signal
import sys
import time
import venv
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from lacewing import POD
from lacewing.adapters.local import LocalCluster
from lacewing.adapters.local_folder import PodFolder, sweep


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without flytekit a fork server starts at once."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder)
    return folder


def pod(name: str, *command: str, **container: Any) -> dict[str, Any]:
    main = {"name": name, "image": "local", "command": list(command), **container}
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"containers": [main]}}


Make = Callable[..., LocalCluster]


@pytest.fixture
def cluster(environment: Path) -> Make:
    def make(root: Path, **options: Any) -> LocalCluster:
        values: dict[str, Any] = {
            "slots": 2,
            "cpus": 2,
            "memory_bytes": 4e9,
            "images": {"local": environment},
        }
        return LocalCluster(root, default_python=environment / "bin/python", **{**values, **options})

    return make


@pytest.fixture
async def local(tmp_path: Path, cluster: Make) -> AsyncIterator[LocalCluster]:
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


async def test_what_the_machine_can_never_run_fails_with_the_reason(local: LocalCluster):
    await local.create(POD, pod("huge", "true", resources={"requests": {"memory": "900Gi"}}))
    status = await ended(local, "huge")
    assert (status["phase"], status["reason"]) == ("Failed", "OutOfmemory")
    assert "the machine has not enough memory for this pod: requested 9.66" in status["message"]


async def test_requests_bound_how_many_run_at_once(local: LocalCluster):
    for name in ("first", "second"):
        await local.create(POD, pod(name, "sleep", "0.3", resources={"requests": {"cpu": "1500m"}}))
    await local.create(POD, pod("free", "true"))
    second = await local.get(POD, "ns", "second")
    assert second is not None
    assert "Insufficient cpu" in second["status"]["conditions"][0]["message"]
    assert (await ended(local, "free"))["phase"] == "Succeeded"
    assert (await local.get(POD, "ns", "second"))["status"]["phase"] == "Pending"
    assert (await ended(local, "second"))["phase"] == "Succeeded"


async def test_an_image_that_maps_to_nothing_is_refused_by_name(local: LocalCluster):
    await local.create(POD, pod("odd", "true", image="example.org/odd:1"))
    await asyncio.sleep(0.2)
    found = await local.get(POD, "ns", "odd")
    assert found is not None
    assert "example.org/odd:1" in found["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


async def test_a_new_cluster_adopts_what_runs_and_judges_what_ended(tmp_path: Path, cluster: Make):
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


async def test_a_pod_that_ended_is_known_to_the_next_cluster_with_the_same_status(
    tmp_path: Path, cluster: Make
):
    first = cluster(tmp_path)
    await first.start()
    await first.create(POD, pod("done", "sh", "-c", "exit 3"))
    status = await ended(first, "done")
    await first.close(kill=True)
    second = cluster(tmp_path)
    await second.start()
    try:
        assert (await second.get(POD, "ns", "done"))["status"] == status
        assert (await second.create(POD, pod("done", "true")))["status"] == status
    finally:
        await second.close(kill=True)


async def test_what_never_started_before_a_crash_starts_after_it(tmp_path: Path, cluster: Make):
    folder = PodFolder(tmp_path / "pods/ns/late")
    folder.begin(pod("late", "true"))
    found = cluster(tmp_path)
    await found.start()
    try:
        assert (await ended(found, "late"))["phase"] == "Succeeded"
    finally:
        await found.close(kill=True)


async def test_a_deleted_pod_that_a_crash_left_running_is_ended(tmp_path: Path, cluster: Make):
    first = cluster(tmp_path)
    await first.start()
    await first.create(
        POD, pod("stubborn", "sh", "-c", f"trap '' TERM; echo $$ > {tmp_path}/own; sleep 60 & wait")
    )
    own = await number(tmp_path / "own")
    await first.delete(POD, "ns", "stubborn")
    await first.close()
    second = cluster(tmp_path)
    await second.start()
    try:
        assert await gone(own)
    finally:
        await second.close(kill=True)


async def test_when_a_fork_server_dies_its_pods_are_lost_and_the_next_one_starts(
    local: LocalCluster, tmp_path: Path
):
    await local.create(
        POD, pod("orphan", "sh", "-c", f"echo $PPID > {tmp_path}/server; echo $$ > {tmp_path}/own; sleep 60")
    )
    own, server = await number(tmp_path / "own"), await number(tmp_path / "server")
    os.kill(server, signal.SIGKILL)
    assert (await ended(local, "orphan"))["reason"] == "NodeLost"
    assert await gone(own)
    await local.create(POD, pod("next", "true"))
    assert (await ended(local, "next"))["phase"] == "Succeeded"


async def test_clusters_that_follow_each_other_at_once_lose_nothing(tmp_path: Path, cluster: Make):
    for number in range(12):
        found = cluster(tmp_path)
        await found.start()
        name = f"quick{number}"
        await found.create(POD, pod(name, "true"))
        if number % 2:
            assert (await ended(found, name))["phase"] == "Succeeded"
        await found.close()
    found = cluster(tmp_path)
    await found.start()
    try:
        for number in range(12):
            assert (await ended(found, f"quick{number}"))["phase"] == "Succeeded"
    finally:
        await found.close(kill=True)


async def test_a_cluster_that_closes_leaves_no_process(tmp_path: Path, cluster: Make):
    found = cluster(tmp_path)
    await found.start()
    await found.create(POD, pod("ppid", "sh", "-c", f"echo $PPID > {tmp_path}/server"))
    await ended(found, "ppid")
    server = await number(tmp_path / "server")
    await found.close()
    assert await gone(server)
    assert not list(tmp_path.glob("fork-*.sock"))


async def test_a_deleted_pod_that_does_not_move_ends_with_the_cluster(tmp_path: Path, cluster: Make):
    found = cluster(tmp_path, grace_seconds=3600)
    await found.start()
    await found.create(POD, pod("still", "sh", "-c", f"echo $$ > {tmp_path}/own; kill -STOP $$"))
    own = await number(tmp_path / "own")
    await found.delete(POD, "ns", "still")
    await found.close()
    assert await gone(own)


async def test_the_files_of_a_process_go_at_its_end_and_its_log_stays(local: LocalCluster, tmp_path: Path):
    await local.create(POD, pod("files", "sh", "-c", "echo x > own; echo x > $TMPDIR/other; echo said"))
    await ended(local, "files")
    folder = tmp_path / "pods/ns/files"
    for _ in range(100):
        if not (folder / "work").exists() and not (folder / "tmp").exists():
            break
        await asyncio.sleep(0.02)
    assert sorted(path.name for path in folder.iterdir()) == ["ended.json", "log.txt"]
    assert (folder / "log.txt").read_text() == "said\n"


async def test_fifty_megabytes_of_output_do_no_harm(tmp_path: Path, cluster: Make):
    found = cluster(tmp_path, log_bytes=1_000_000)
    await found.start()
    try:
        script = "echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last"
        await found.create(POD, pod("loud", "sh", "-c", script))
        assert (await ended(found, "loud"))["phase"] == "Succeeded"
        log = (tmp_path / "pods/ns/loud/log.txt").read_text()
        assert len(log) < 1_100_000
        assert log.startswith("first\n")
        assert "bytes cut by Lacewing" in log
        assert log.endswith("\nlast\n")
    finally:
        await found.close(kill=True)


def test_old_folders_and_those_beyond_the_count_are_swept(tmp_path: Path):
    for age in range(5):
        folder = PodFolder(tmp_path / f"pods/ns/p{age}")
        folder.begin(pod(f"p{age}", "true"))
        if age:
            folder.finish(pod(f"p{age}", "true"))
        os.utime(folder.path, (time.time() - age * 100,) * 2)
    sweep(tmp_path, keep_seconds=350, keep_count=2)
    assert sorted(path.name for path in tmp_path.glob("pods/ns/*")) == ["p0", "p1", "p2"]
    sweep(tmp_path, keep_seconds=150, keep_count=2)
    assert sorted(path.name for path in tmp_path.glob("pods/ns/*")) == ["p0", "p1"]


async def test_an_environment_that_is_gone_is_named_with_the_way_out(local: LocalCluster, tmp_path: Path):
    local._images = {"mine": tmp_path / "vanished"}
    await local.create(POD, pod("a", "true", image="mine"))
    await asyncio.sleep(0.1)
    waiting = (await local.get(POD, "ns", "a"))["status"]["containerStatuses"][0]["state"]["waiting"]
    assert f"{tmp_path}/vanished, which is gone" in waiting["message"]
    assert "lacewing demo run --python" in waiting["message"]


async def test_the_map_of_images_may_change_while_the_cluster_runs(
    tmp_path: Path, cluster: Make, environment: Path
):
    images: dict[str, Path] = {}
    found = cluster(tmp_path, images=images)
    await found.start()
    try:
        images["later"] = environment
        await found.create(POD, pod("a", "true", image="later"))
        assert (await ended(found, "a"))["phase"] == "Succeeded"
    finally:
        await found.close(kill=True)
