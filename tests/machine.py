"""A demo in a process of its own, and its unmodified clients: `pyflyte`, FlyteRemote and gRPC."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from client import free_port
from flyteidl.service import admin_pb2_grpc, dataproxy_pb2_grpc
from flytekit.configuration import Config
from flytekit.remote import FlyteRemote

PATIENCE = 180.0
WORKFLOWS = Path(__file__).parent / "data" / "e2e"
_OPTIONS = [("grpc.max_receive_message_length", 64 * 2**20), ("grpc.max_send_message_length", 64 * 2**20)]


class Machine:
    """A demo as a user has it."""

    def __init__(self, home: Path, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.home, self.folder, self.variables = home, folder, variables or {}
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.remote = FlyteRemote(
            Config.for_endpoint(f"127.0.0.1:{self.port}", insecure=True),
            default_project="flytesnacks",
            default_domain="development",
        )
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=_OPTIONS)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)
        self.data_proxy = dataproxy_pb2_grpc.DataProxyServiceStub(self.channel)
        (folder / "config.yaml").write_text(
            f"admin:\n  endpoint: dns:///127.0.0.1:{self.port}\n  insecure: true\n"
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `lacewing demo ...` prints and answers."""
        command = [str(Path(sys.executable).parent / "lacewing"), "demo", *arguments]
        return subprocess.run(command, env=self.environment(), capture_output=True, text=True)

    def environment(self) -> dict[str, str]:
        """The variables of every command here."""
        user = self.folder / "user"
        user.mkdir(exist_ok=True)
        return {**os.environ, **self.variables, "LACEWING_HOME": str(self.home), "HOME": str(user)}

    def start(self) -> None:
        """Start it, and wait until it takes work."""
        self.home.mkdir(parents=True, exist_ok=True)
        ready = self.home / "demo.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "lacewing.demo", "127.0.0.1", str(self.port)]
        with (self.home / "demo.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment(), stdout=log, stderr=log)
        self.until(lambda: ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()

    def end(self, number: int = signal.SIGTERM) -> None:
        """Signal it, and wait for its end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)

    def log(self) -> str:
        """What the demo wrote."""
        return (self.home / "demo.log").read_text(errors="replace")

    def until(self, true: Callable[[], Any]) -> Any:
        """The first answer that is true; an answer must come within PATIENCE."""
        end = time.monotonic() + PATIENCE
        while not (answer := true()):
            assert time.monotonic() < end, f"waited in vain; the demo's log ends with\n{self.log()[-3000:]}"
            time.sleep(0.05)
        return answer

    def pyflyte(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What an unmodified `pyflyte` prints and answers."""
        pyflyte = str(Path(sys.executable).parent / "pyflyte")
        return subprocess.run(
            [pyflyte, "--config", str(self.folder / "config.yaml"), *arguments],
            cwd=cwd or self.folder,
            env={**os.environ, "COLUMNS": "500"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def run(self, file: str, workflow: str, *arguments: str, nodes: bool = True) -> Any:
        """An execution that `pyflyte run --remote` of a file of WORKFLOWS began, when it is over."""
        shutil.copy(WORKFLOWS / file, self.folder / file)
        done = self.pyflyte("run", "--remote", file, workflow, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.finished(done.stdout.split("/executions/")[1].split()[0], nodes=nodes)

    def register(self, file: str) -> str:
        """Register a file of WORKFLOWS; its version."""
        folder = self.folder / Path(file).stem
        folder.mkdir(exist_ok=True)
        shutil.copy(WORKFLOWS / file, folder / file)
        done = self.pyflyte("register", "--version", "v1", file, cwd=folder)
        assert "Successfully registered" in done.stdout + done.stderr, done.stdout + done.stderr
        return "v1"

    def execute(self, workflow: str, **inputs: Any) -> str:
        """Start a registered workflow; the execution's name."""
        plan = self.remote.fetch_launch_plan(name=workflow, version="v1")
        return str(self.remote.execute(plan, inputs=inputs).id.name)

    def finished(self, name: str, *, nodes: bool = True) -> Any:
        """An execution with its nodes or without, as FlyteRemote has it when it is over."""
        execution = self.remote.fetch_execution(name=name)
        patience = timedelta(seconds=PATIENCE)
        pause = timedelta(seconds=0.1)
        execution = self.remote.wait(execution, timeout=patience, poll_interval=pause, sync_nodes=nodes)
        return self.remote.sync(execution, sync_nodes=nodes)


def processes(argument: str) -> dict[int, int]:
    """Processes with an argument that begins so (a fork server, and what it forked), each with its parent."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if any(one.startswith(argument.encode()) for one in arguments):
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found
