"""Tasks that start warm are as alone as new processes are."""

import asyncio
import contextlib
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import errors_pb2, literals_pb2
from lacewing import POD
from lacewing.adapters.local import LocalCluster

IDENTITY = {
    "FLYTE_INTERNAL_EXECUTION_ID": "x",
    "FLYTE_INTERNAL_EXECUTION_PROJECT": "p",
    "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d",
    "FLYTE_INTERNAL_TASK_NAME": "work",
    "FLYTE_INTERNAL_TASK_PROJECT": "p",
    "FLYTE_INTERNAL_TASK_DOMAIN": "d",
    "FLYTE_INTERNAL_TASK_VERSION": "v",
}
Run = Callable[..., Awaitable["Ended"]]


class Ended:
    """How one task ended: its pod's status, its log, what it wrote."""

    def __init__(self, status: dict[str, Any], log: str, folder: Path) -> None:
        self.status, self.log, self.folder = status, log, folder

    @property
    def output(self) -> str:
        assert (self.folder / "outputs.pb").exists(), self.error or self.log
        written = literals_pb2.LiteralMap.FromString((self.folder / "outputs.pb").read_bytes())
        return str(written.literals["o0"].scalar.primitive.string_value)

    @property
    def error(self) -> str:
        path = self.folder / "error.pb"
        return errors_pb2.ErrorDocument.FromString(path.read_bytes()).error.message if path.exists() else ""


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalCluster]:
    found = LocalCluster(
        tmp_path / "cluster", default_python=Path(sys.executable), slots=4, cpus=2, memory_bytes=4e9
    )
    await found.start()
    yield found
    await found.close(kill=True)


@pytest.fixture
def run(local: LocalCluster, tmp_path: Path) -> Run:
    async def start(name: str, body: str, *, image: str = "any", **env: str) -> Ended:
        """Run a task whose function has this body and returns text."""
        source = tmp_path / f"source-{name}"
        source.mkdir()
        lines = textwrap.indent(textwrap.dedent(body), "    ")
        (source / "tasks.py").write_text(f"from flytekit import task\n@task\ndef work() -> str:\n{lines}\n")
        (tmp_path / "inputs.pb").write_bytes(b"")
        command = [
            "pyflyte-execute", "--inputs", f"{tmp_path}/inputs.pb", "--output-prefix", f"{tmp_path}/{name}",
            "--raw-output-data-prefix", f"{tmp_path}/raw", "--checkpoint-path", f"{tmp_path}/c",
            "--prev-checkpoint", '""',
            "--resolver", "flytekit.core.python_auto_container.default_task_resolver",
            "--", "task-module", "tasks", "task-name", "work",
        ]  # fmt: skip
        variables = [
            {"name": k, "value": v} for k, v in {"PYTHONPATH": str(source), **IDENTITY, **env}.items()
        ]
        container = {"name": "main", "image": image, "args": command, "env": variables}
        await local.create(
            POD, {"metadata": {"name": name, "namespace": "ns"}, "spec": {"containers": [container]}}
        )
        until = time.monotonic() + 60
        status: dict[str, Any] = {}
        while status.get("phase") not in ("Succeeded", "Failed") and time.monotonic() < until:
            status = (await local.get(POD, "ns", name) or {}).get("status", {})
            await asyncio.sleep(0.02)
        log = tmp_path / f"cluster/pods/ns/{name}/log.txt"
        return Ended(status, log.read_text() if log.exists() else "", tmp_path / name)

    return start


async def test_a_task_runs_in_a_fork_with_its_own_folder_and_log(run: Run, tmp_path: Path):
    ended = await run(
        "a", "import os\nprint('said')\nreturn f'{os.getcwd()} {os.environ[\"MINE\"]}'", MINE="1"
    )
    assert ended.output == f"{tmp_path}/cluster/pods/ns/a/work 1"
    assert ended.log.strip() == "said"
    first, second = [
        await run(name, "import os\nreturn str(os.getppid())", GREETING=name) for name in ("b", "c")
    ]
    assert first.output == second.output


async def test_modules_paths_and_variables_of_one_task_are_not_seen_by_the_next(run: Run):
    spoil = """
        import builtins, json, os, sys, tempfile
        sys.path.insert(0, "/nowhere")
        json.dumps = None
        os.environ["LEFT"] = "over"
        builtins.left = "over"
        tempfile.tempdir = "/nowhere"
        return "spoilt"
    """
    look = """
        import builtins, json, os, sys, tempfile
        seen = ["/nowhere" in sys.path, "LEFT" in os.environ, hasattr(builtins, "left"), json.dumps is None]
        return f"{any(seen)} {tempfile.gettempdir().endswith('ns/look/tmp')}"
    """
    assert (await run("spoil", spoil)).output == "spoilt"
    assert (await run("look", look)).output == "False True"


async def test_what_forks_has_one_thread_and_knows_no_task(run: Run):
    body = """
        import os
        from flytekit.core.context_manager import FlyteEntities
        threads = len(os.listdir(f"/proc/{os.getppid()}/task"))
        return f"{threads} {[entity.name for entity in FlyteEntities.entities]}"
    """
    assert (await run("a", body)).output == "1 ['tasks.work']"


async def test_modules_of_the_same_name_are_each_tasks_own(run: Run):
    for word in ("one", "two"):
        body = f"import sys\nassert 'helper' not in sys.modules\nsys.modules['helper'] = sys\nreturn '{word}'"
        assert (await run(word, body)).output == word


async def test_no_module_of_the_server_can_be_imported_by_its_file_name(run: Run):
    ended = await run("a", "import importlib.util\nreturn str(importlib.util.find_spec('forkserver'))")
    assert ended.output == "None"


async def test_random_numbers_differ_between_tasks(run: Run):
    body = "import random, uuid, numpy\nreturn f'{random.random()} {numpy.random.rand()} {uuid.uuid4()}'"
    first, second = (await run("a", body)).output.split(), (await run("b", body)).output.split()
    assert not set(first) & set(second)


async def test_a_hard_exit_a_crash_and_a_thread_touch_no_other_task(run: Run):
    thread = """
        import threading, time
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        return "threaded"
    """
    done = await asyncio.gather(
        run("exit", "import os\nos._exit(7)"),
        run("crash", "import ctypes\nreturn ctypes.string_at(0).decode()"),
        run("thread", thread),
        run("good", "import threading\nreturn str(threading.main_thread() is threading.current_thread())"),
    )
    codes = [one.status["containerStatuses"][0]["state"]["terminated"]["exitCode"] for one in done]
    assert codes == [7, 139, 0, 0]
    assert [one.output for one in done[2:]] == ["threaded", "True"]
    assert (await run("after", "return 'well'")).output == "well"


async def test_what_a_task_leaves_for_its_exit_is_done(run: Run, tmp_path: Path):
    body = f"""
        import atexit, threading, time
        atexit.register(lambda: open("{tmp_path}/atexit", "w").close())
        threading.Thread(target=lambda: (time.sleep(0.2), open("{tmp_path}/thread", "w").close())).start()
        return "x"
    """
    await run("a", body)
    assert (tmp_path / "atexit").exists()
    assert (tmp_path / "thread").exists()


async def test_a_thread_that_never_ends_is_ended_with_its_task(run: Run):
    body = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\nreturn 'x'"
    ended = await run("a", body)
    assert ended.output == "x"
    assert ended.status["phase"] == "Succeeded"
    assert "threads that the task left did not end within 3 s" in ended.log


async def test_settings_that_are_read_at_import_are_the_tasks_own(run: Run):
    level = "import logging\nreturn str(logging.getLogger('flytekit').level)"
    assert (await run("plain", level)).output == "30"
    assert (await run("debug", level, FLYTE_SDK_LOGGING_LEVEL="10")).output == "10"
    zone = "import time\nreturn time.strftime('%Z', time.localtime(0))"
    assert (await run("zone", zone, TZ="Asia/Tokyo")).output == "JST"


async def test_a_variable_that_python_reads_at_its_start_gets_a_new_process(run: Run):
    body = "import sys\nreturn str(sys.flags.hash_randomization)"
    assert (await run("warm", body)).output == "1"
    assert (await run("cold", body, PYTHONHASHSEED="0")).output == "0"


async def test_a_missing_module_is_told_with_its_environment_and_the_remedy(run: Run):
    error = (await run("a", "import no_such_module\nreturn 'x'")).error
    assert "ModuleNotFoundError: No module named 'no_such_module'" in error
    assert f"The environment that ran this task, {sys.prefix}, has no module 'no_such_module'" in error
    assert "lacewing demo run --python" in error


async def test_an_environment_without_flytekit_says_how_to_get_it(
    local: LocalCluster, run: Run, tmp_path: Path
):
    venv.create(tmp_path / "bare")
    local._images = {"bare": tmp_path / "bare"}
    ended = await run("a", "return 'x'", image="bare", PATH="/nowhere")
    assert ended.status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 127
    assert f"install flytekit there: {tmp_path}/bare/bin/python -m pip install flytekit" in ended.log


async def test_gRPC_may_be_used_in_a_task_without_a_word_about_forks(run: Run):
    body = """
        import grpc
        channel = grpc.insecure_channel("127.0.0.1:1")
        try:
            grpc.channel_ready_future(channel).result(timeout=0.2)
        except grpc.FutureTimeoutError:
            return "answered"
    """
    ended = await run("a", body)
    assert (ended.output, ended.log.strip()) == ("answered", "")


def test_two_servers_of_one_address_are_one(tmp_path: Path):
    server = Path(sys.modules["lacewing.adapters.forkserver"].__file__ or "")
    command = [sys.executable, str(server), str(tmp_path / "s.sock")]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    mark = f"{tmp_path}/s.sock".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                found.append(entry.name)
    assert len(found) == 1
