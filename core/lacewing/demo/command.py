"""`lacewing demo`: start, stop and look at the control plane of this machine, and run a workflow on it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from flyteidl.core import identifier_pb2
from rich.console import Console

from lacewing.adapters.local_log import LocalLogs
from lacewing.demo.app import demo
from lacewing.demo.display import print_logs, run_and_follow
from lacewing.demo.journal import keep_journal
from lacewing.demo.settings import DemoSettings, home, load_settings
from lacewing.errors import ConfigError

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
console = Console(highlight=False)
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
Port = Annotated[int | None, typer.Option(help="The one port for gRPC and HTTP.")]


@app.command()
def start(port: Port = None, foreground: bool = False) -> None:
    """Start the demo and say how to use it; one that runs already is left alone."""
    settings = _settings(port)
    if foreground:
        asyncio.run(_serve(settings))
        return
    if (pid := _running()) is not None:
        console.print(f"The demo runs already (process {pid}). Stop it with: lacewing demo stop")
        return
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ready").unlink(missing_ok=True)
    command = [sys.executable, "-m", "lacewing.demo", "start", "--foreground", "--port", str(settings.port)]
    with (folder / "demo.log").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    until = time.monotonic() + _START_SECONDS
    while not (folder / "ready").exists():
        if process.poll() is not None or time.monotonic() > until:
            tail = (folder / "demo.log").read_text().strip().splitlines()[-1:]
            _fail(f"The demo did not start: {' '.join(tail)}\nIts log is {folder / 'demo.log'}")
        time.sleep(0.02)
    console.print(f"The demo answers on {settings.host}:{settings.port}, gRPC and HTTP.")
    console.print(f"Point Flyte's tools at it:  export FLYTECTL_CONFIG={_client_config(settings)}")
    console.print("Run a workflow on it:       pyflyte run --remote FILE WORKFLOW")


@app.command()
def stop() -> None:
    """Stop the demo. Tasks that run go on, and are taken up by the next start."""
    pid = _running()
    if pid is None:
        console.print("The demo does not run.")
        return
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + _STOP_SECONDS
    while _running() is not None and time.monotonic() < until:
        time.sleep(0.05)
    if _running() is not None:
        os.kill(pid, signal.SIGKILL)
    console.print("The demo is stopped.")


@app.command()
def status() -> None:
    """Say whether the demo runs, and where its state is. Exits 1 if it does not."""
    pid = _running()
    console.print(
        f"The demo {'runs as process ' + str(pid) if pid else 'does not run'}. Its home is {home()}."
    )
    raise typer.Exit(0 if pid else 1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, file: Path, workflow: str) -> None:
    """Run a workflow of FILE through an unmodified `pyflyte run --remote`; more arguments are its inputs."""
    settings = _settings(None)
    if _running() is None:
        _fail("The demo does not run. Start it with: lacewing demo start")
    command = [str(Path(sys.executable).parent / "pyflyte"), "--config", str(_client_config(settings))]
    command += ["run", "--remote", str(file), workflow, *context.args]
    raise typer.Exit(run_and_follow(command, _address(settings), LocalLogs(home() / "cluster"), console))


@app.command()
def logs(
    execution: Annotated[str, typer.Argument(help="The name of an execution.")] = "",
    node: Annotated[str, typer.Argument(help="One of its nodes.")] = "",
    project: str = "flytesnacks",
    domain: str = "development",
) -> None:
    """Print the logs of an execution's tasks, or of one node; without arguments the demo's own log."""
    if not execution:
        path = home() / "demo.log"
        console.out(path.read_text(errors="replace") if path.exists() else "", end="", highlight=False)
        return
    settings = _settings(None)
    if _running() is None:
        _fail("The demo does not run. Start it with: lacewing demo start")
    identifier = identifier_pb2.WorkflowExecutionIdentifier(project=project, domain=domain, name=execution)
    found = LocalLogs(home() / "cluster")
    raise typer.Exit(print_logs(_address(settings), identifier, node, found, console))


def _settings(port: int | None) -> DemoSettings:
    try:
        return load_settings(port=port)
    except ConfigError as error:
        _fail(error.message)


def _fail(message: str) -> NoReturn:
    console.print(f"[red]{message}[/red]", soft_wrap=True)
    raise typer.Exit(1)


async def _serve(settings: DemoSettings) -> None:
    keep_journal()
    folder = home()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    try:
        async with demo(folder, settings):
            (folder / "pid").write_text(str(os.getpid()))
            (folder / "ready").touch()
            await over.wait()
    except ConfigError as error:
        _fail(error.message)
    finally:
        (folder / "pid").unlink(missing_ok=True)


def _running() -> int | None:
    """The demo's process, if it lives and is a demo."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((home() / "pid").read_text())
        if b"lacewing" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _address(settings: DemoSettings) -> str:
    return f"{settings.host}:{settings.port}"


def _client_config(settings: DemoSettings) -> Path:
    """The file that flytekit and flytectl read; written anew, since it is ours."""
    path = home() / "config.yaml"
    path.write_text(f"admin:\n  endpoint: dns:///{settings.host}:{settings.port}\n  insecure: true\n")
    return path
