"""The demo as a user meets it: how long it takes to start, to run small workflows, and what it holds idle.

It starts a demo of its own, in a new home and on a free port, and registers with an unmodified pyflyte.
`python bench/bench_demo.py [ROUNDS]`; medians over the rounds.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.service import admin_pb2_grpc

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
IDLE_SECONDS = 10.0
POLL_SECONDS = 0.01
ENDED = core_pb2.WorkflowExecution.SUCCEEDED
RUNS = 50


class Demo:
    """A demo and the figures that are taken of it."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.home = home
        self.environment = {**os.environ, "LACEWING_HOME": str(home), "HOME": str(home)}
        (home / "lacewing.yaml").write_text(f"port: {self.port}\nhold_seconds: 0\n")
        self.admin: Any = None

    def command(self, *arguments: str) -> None:
        """Run `lacewing demo`."""
        command = [BIN / "lacewing", "demo", *arguments]
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def register(self, file: str = "trivial.py") -> None:
        """Register the workflows, fast, as users do."""
        config = self.home / "bench.yaml"
        config.write_text(f"admin:\n  endpoint: dns:///127.0.0.1:{self.port}\n  insecure: true\n")
        command = [BIN / "pyflyte", "--config", config, "register", "--version", "1", file]
        subprocess.run(command, cwd=HERE / "workflows", env=self.environment, check=True, capture_output=True)
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.admin = admin_pb2_grpc.AdminServiceStub(channel)

    def start(self, workflow: str, module: str = "trivial") -> Any:
        """Start an execution."""
        request = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development")
        plan = request.spec.launch_plan
        plan.resource_type, plan.project, plan.domain = 3, "flytesnacks", "development"
        plan.name, plan.version = f"{module}.{workflow}", "1"
        return self.admin.CreateExecution(request).id

    def wait(self, identifier: Any) -> None:
        """Wait until it has succeeded."""
        request = execution_pb2.WorkflowExecutionGetRequest(id=identifier)
        while (phase := self.admin.GetExecution(request).closure.phase) != ENDED:
            if phase in (core_pb2.WorkflowExecution.FAILED, core_pb2.WorkflowExecution.ABORTED):
                raise SystemExit(f"{identifier.name} did not succeed")
            time.sleep(POLL_SECONDS)

    def memory(self) -> float:
        """The proportional memory of all its processes, in megabytes."""
        own = str(self.home)
        total = 0.0
        for process in psutil.process_iter():
            try:
                if process.environ().get("LACEWING_HOME") == own or own in " ".join(process.cmdline()):
                    total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return total / 1e6


def seconds(work: Callable[[], None]) -> float:
    """How long the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def demo() -> Iterator[Demo]:
    """A demo that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        one = Demo(Path(folder))
        try:
            yield one
        finally:
            one.command("reset", "--yes")


def tell(figure: str, values: list[float], unit: str) -> None:
    """Print one figure."""
    row = {"bench": "demo", "figure": figure, "median": round(statistics.median(values), 3), "unit": unit}
    print(json.dumps(row | {"best": round(min(values), 3), "rounds": len(values)}), flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with demo() as one:
        starts = []
        for _ in range(min(rounds, 3)):
            starts.append(seconds(lambda: one.command("start")))
            one.command("stop")
        one.command("start")
        tell("start", starts, "s")
        one.register()
        one.wait(one.start("single"))
        tell("idle_memory", [idle(one)], "MB")
        tell("single", [seconds(lambda: one.wait(one.start("single"))) for _ in range(4 * rounds)], "s")
        tell("chain_50", [seconds(lambda: one.wait(one.start("chain"))) for _ in range(rounds)], "s")
        tell("fan_200", [seconds(lambda: one.wait(one.start("fan"))) for _ in range(rounds)], "s")
        tell("runs_50", [seconds(lambda: many(one)) for _ in range(rounds)], "s")


def idle(one: Demo) -> float:
    """The memory of a demo that has been left alone for a while."""
    one.command("stop")
    one.command("start")
    time.sleep(IDLE_SECONDS)
    return one.memory()


def many(one: Demo) -> None:
    """Many runs of one task, submitted at once."""
    for identifier in [one.start("single") for _ in range(RUNS)]:
        one.wait(identifier)


if __name__ == "__main__":
    main()
