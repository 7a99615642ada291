"""`lacewing demo` as a user types it."""

import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine

CHAIN = """
import os, time
from flytekit import task, workflow

@task
def step(a: int, folder: str) -> int:
    with open(os.path.join(folder, f"{a}-began"), "a") as file:
        file.write("x")
    time.sleep(0.15)
    with open(os.path.join(folder, f"{a}-ended"), "a") as file:
        file.write("x")
    return a + 1

@workflow
def chain(folder: str, a: int = 0) -> int:
    for _ in range(20):
        a = step(a=a, folder=folder)
    return a

@task
def sleep(seconds: int) -> int:
    time.sleep(seconds)
    return seconds

@workflow
def slow(seconds: int = 600) -> int:
    return sleep(seconds=seconds)
"""
ELSEWHERE = """
import sys
from flytekit import task, workflow
import only_there

@task
def where() -> str:
    return f"{only_there.WORD} {sys.prefix}"

@workflow
def tell() -> str:
    return where()
"""


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A demo that is started by its command; nothing of it is left at the end."""
    folder = tmp_path_factory.mktemp("m")
    found = Machine(folder / "home", folder)
    yield found
    found.channel.close()
    found.command("reset", "--yes")


def processes(machine: Machine) -> list[str]:
    """What runs for this home: its demo, fork servers and tasks. Each has the home in its environment."""
    mark = f"LACEWING_HOME={machine.home}".encode(), f"LACEWING_POD={machine.home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and any(one in (entry / "environ").read_bytes() for one in mark):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_a_demo_starts_says_how_to_use_it_and_stops_without_a_trace(machine: Machine):
    started = machine.command("start", "--port", str(machine.port))
    assert started.returncode == 0, started.stdout + started.stderr
    assert f"http://127.0.0.1:{machine.port}/console" in started.stdout
    assert f"export FLYTECTL_CONFIG={machine.home}/config.yaml" in started.stdout
    sandbox = machine.folder / "user/.flyte/config-sandbox.yaml"
    assert f"endpoint: dns:///127.0.0.1:{machine.port}" in sandbox.read_text()
    again = machine.command("start", "--port", str(machine.port))
    assert "The demo runs already" in again.stdout
    assert machine.command("start", "--port", "1").returncode == 1
    status = machine.command("status")
    assert f"answers on 127.0.0.1:{machine.port}" in status.stdout
    assert "Tasks that run now: 0." in status.stdout
    assert "The demo is stopped." in machine.command("stop").stdout
    machine.until(lambda: not processes(machine))
    assert machine.command("status").returncode == 1
    (machine.home / "lacewing.yaml").write_text("slots: 3\n")
    assert machine.command("reset", "--yes").returncode == 0
    assert [path.name for path in machine.home.iterdir() if path.name != "start.lock"] == ["lacewing.yaml"]
    assert not sandbox.exists()


def test_two_starts_at_once_are_one_demo(machine: Machine):
    command = [str(Path(sys.executable).parent / "lacewing"), "demo", "start", "--port", str(machine.port)]
    both = [
        subprocess.Popen(command, env=machine.environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert sum("runs already" in text for text in told) == 1
    assert sum("-m lacewing.demo" in line for line in processes(machine)) == 1


def test_a_file_of_the_users_is_left_as_it_is(machine: Machine):
    sandbox = machine.folder / "user/.flyte/config-sandbox.yaml"
    sandbox.parent.mkdir(parents=True)
    sandbox.write_text("mine\n")
    started = machine.command("start", "--port", str(machine.port))
    assert "is yours, and was left as it is" in started.stdout
    machine.command("reset", "--yes")
    assert sandbox.read_text() == "mine\n"


def test_what_cannot_start_says_why_in_one_sentence(machine: Machine):
    def refused(*arguments: str) -> str:
        done = machine.command("start", "--port", str(machine.port), *arguments)
        assert done.returncode == 1
        assert "Traceback" not in done.stdout + done.stderr
        assert len(done.stdout.strip().splitlines()) == 1
        return done.stdout

    assert "say --allow-remote if that is wanted" in refused("--host", "0.0.0.0")
    assert "'no.such.host' is no address of this machine" in refused(
        "--host", "no.such.host", "--allow-remote"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", machine.port))
        taken.listen()
        assert f"port {machine.port} of 127.0.0.1 is taken" in refused()
    (machine.home / "lacewing.yaml").write_text("prot: 3\n")
    assert "there is no setting `prot`" in refused()
    (machine.home / "lacewing.yaml").write_text("slots: many\n")
    assert "`slots`: Input should be a valid integer" in refused()
    (machine.home / "lacewing.yaml").write_text("[")
    assert "is not YAML" in refused()
    (machine.home / "lacewing.yaml").unlink()
    (machine.home / "format").write_text("7")
    assert "was written by a newer Lacewing (format 7, this one knows 1)" in refused()
    (machine.home / "format").write_text("1")
    home, machine.home = machine.home, machine.home / "format" / "below"
    assert "cannot be used as the demo's home (Not a directory)" in refused()
    machine.home = home


def test_a_demo_killed_in_the_middle_of_a_run_finishes_it_after_the_next_start(machine: Machine):
    assert machine.command("start", "--port", str(machine.port)).returncode == 0
    marks = machine.folder / "marks"
    marks.mkdir()
    (machine.folder / "wf.py").write_text(CHAIN)
    done = machine.pyflyte("run", "--remote", "wf.py", "chain", "--folder", str(marks))
    name = done.stdout.split("/executions/")[1].split()[0]
    machine.until(lambda: len(list(marks.glob("*-ended"))) >= 6)
    pid = int(machine.command("status").stdout.split("(process ")[1].split(",")[0])
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    before = {path.name for path in marks.glob("*-ended")}
    assert machine.command("start", "--port", str(machine.port)).returncode == 0
    execution = machine.finished(name)
    assert execution.outputs["o0"] == 20
    assert len(before) < 20
    assert {path.name: path.read_text() for path in marks.iterdir()} == {
        f"{a}-{what}": "x" for a in range(20) for what in ("began", "ended")
    }
    machine.command("stop")
    machine.until(lambda: not processes(machine))


def test_tasks_outlive_a_stop_and_end_with_a_reset(machine: Machine):
    machine.command("start", "--port", str(machine.port))
    (machine.folder / "wf.py").write_text(CHAIN)
    machine.pyflyte("run", "--remote", "wf.py", "slow")
    machine.until(lambda: "Tasks that run now: 1." in machine.command("status").stdout)
    assert "Tasks that go on: 1" in machine.command("stop").stdout
    assert machine.command("reset", "--yes").returncode == 0
    machine.until(lambda: not processes(machine))
    assert not machine.home.exists()


def test_a_run_from_another_environment_runs_there(machine: Machine):
    other = machine.folder / "other"
    venv.create(other, symlinks=True)
    packages = next((other / "lib").glob("python*/site-packages"))
    own = Path(next(path for path in sys.path if path.endswith("site-packages")))
    (packages / "shared.pth").write_text(f"{own}\n")
    (packages / "only_there.py").write_text("WORD = 'there'\n")
    pyflyte = other / "bin/pyflyte"
    pyflyte.write_text(
        f"#!{other}/bin/python\nfrom flytekit.clis.sdk_in_container.pyflyte import main\nmain()\n"
    )
    pyflyte.chmod(0o755)
    (machine.folder / "wf.py").write_text(ELSEWHERE)
    file = str(machine.folder / "wf.py")
    machine.command("start", "--port", str(machine.port))
    there = machine.command("run", "--python", str(other), file, "tell")
    assert there.returncode == 0, there.stdout + there.stderr
    assert f"Tasks run in the environment {other}." in there.stdout
    assert f"there {other}" in there.stdout
    missing = machine.command("run", "--python", str(machine.folder), file, "tell")
    assert "is no Python environment" in missing.stdout
