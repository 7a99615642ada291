"""The part of `lacewing demo` that talks to a demo: `run` and `logs`, and with them the whole command."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from flyteidl.core import identifier_pb2

from lacewing.adapters.local_log import LocalLogs
from lacewing.demo import client_config
from lacewing.demo.command import app, console, fail, say
from lacewing.demo.display import print_logs, run_and_follow
from lacewing.demo.environment import callers_environment, register
from lacewing.demo.instance import Instance, running
from lacewing.demo.settings import home
from lacewing.errors import ConfigError

__all__ = ["app"]
Python = Annotated[
    Path | None,
    typer.Option(help="The virtual environment that the tasks run in; the active one if not given."),
]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, file: Path, workflow: str, python: Python = None) -> None:
    """Run a workflow of FILE through an unmodified `pyflyte run --remote`; more arguments are its inputs.

    Tasks run in the Python environment that this is called from, which is registered under a name of its own.
    """
    demo = _demo()
    try:
        venv = callers_environment(python, os.environ)
    except ConfigError as error:
        fail(error.message)
    config = client_config.write_own(home(), demo.address)
    command = [str((venv or Path(sys.prefix)) / "bin/pyflyte"), "--config", str(config), "run", "--remote"]
    if venv is not None:
        say(f"Tasks run in the environment {venv}.")
        command += ["--image", register(home(), venv)]
    command += [str(file), workflow, *context.args]
    raise typer.Exit(run_and_follow(command, demo.address, LocalLogs(home() / "cluster"), console))


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
    demo = _demo()
    identifier = identifier_pb2.WorkflowExecutionIdentifier(project=project, domain=domain, name=execution)
    raise typer.Exit(print_logs(demo.address, identifier, node, LocalLogs(home() / "cluster"), console))


def _demo() -> Instance:
    found = running(home())
    if found is None:
        fail("The demo does not run. Start it with: lacewing demo start")
    return found
