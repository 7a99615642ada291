"""`lacewing demo`: start, stop and look at the control plane of this machine.

It must not import what the demo serves with: starting would take twice as long. `running` adds the rest.
"""

import ipaddress
import os
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from lacewing.demo import client_config, instance
from lacewing.demo.settings import home, load_settings
from lacewing.errors import ConfigError

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
console = Console(highlight=False)
Port = Annotated[int | None, typer.Option(help="The one port for gRPC and HTTP.", min=1, max=65535)]
Host = Annotated[str | None, typer.Option(help="The address to listen on; loopback if not given.")]


@app.command()
def start(
    port: Port = None,
    host: Host = None,
    allow_remote: Annotated[
        bool, typer.Option(help="Let other machines in, without authentication.")
    ] = False,
    foreground: Annotated[bool, typer.Option(help="Serve here, until interrupted.")] = False,
) -> None:
    """Start the demo and say how to use it; one that runs already is left alone."""
    try:
        check_system(sys.platform)
        settings = load_settings(port=port, host=host)
        check_host(settings.host, allow_remote)
        instance.prepare_home(home())
        client_config.write_own(home(), settings.address)
        if foreground:
            _tell_start(settings.address, settings.host)
            os.execv(sys.executable, instance.serve_command(settings))
        with instance.only_one_start(home()):
            found = instance.running(home())
            if found is None:
                found = instance.start(home(), settings)
            elif port is None or found.address == settings.address:
                say(f"The demo runs already (process {found.pid}). Stop it with: lacewing demo stop")
            else:
                raise ConfigError(
                    f"the demo runs already on {found.address}; stop it with: lacewing demo stop"
                )
    except ConfigError as error:
        fail(error.message)
    _tell_start(found.address, settings.host)


@app.command()
def stop() -> None:
    """Stop the demo. Tasks that run go on, and are taken up by the next start."""
    found = instance.running(home())
    if found is None:
        say("The demo does not run.")
        return
    instance.stop(home(), found)
    say(
        "The demo is stopped."
        + _still_running("the next start takes them up, `lacewing demo reset` ends them")
    )


@app.command()
def status() -> None:
    """Say where the demo answers, for how long, and how many tasks run. Exits 1 if it does not run."""
    found = instance.running(home())
    if found is None:
        say(f"The demo does not run. Its home is {home()}." + _still_running("left by an earlier demo"))
        raise typer.Exit(1)
    up = timedelta(seconds=round(time.time() - found.started_at))
    say(f"The demo answers on {found.address} (process {found.pid}, up for {up}). Its home is {home()}.")
    say(f"Tasks that run now: {instance.tasks(home())}.")


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Stop the demo, end its tasks and remove its state: every execution, registration and log."""
    folder = home()
    if not folder.exists():
        say(f"There is nothing to remove: {folder} is not there.")
        return
    if not (folder / "format").exists():
        fail(f"{folder} is no home of a demo, so nothing in it is removed.")
    if not yes:
        typer.confirm(f"Remove all that {folder} holds, except lacewing.yaml?", abort=True)
    with instance.only_one_start(folder):
        if (found := instance.running(folder)) is not None:
            instance.stop(folder, found)
        instance.end_tasks(folder)
        _empty(folder)
    client_config.remove_sandbox(Path.home())
    say(f"All is removed from {folder}.")


def check_system(platform: str) -> None:
    """Raises ConfigError where the demo cannot run."""
    if platform != "linux":
        raise ConfigError(
            "the demo needs Linux (it uses /proc, process groups and a child subreaper) and this is "
            f"{platform}; use a Linux machine, a virtual one, or WSL"
        )


def check_host(host: str, allow_remote: bool) -> None:
    """Raises ConfigError for an address that others reach, unless that is wanted."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback and not allow_remote:
        raise ConfigError(
            f"{host} can be reached by other machines, and the demo has no authentication: whoever reaches "
            "it runs code here; say --allow-remote if that is wanted"
        )


def say(text: str) -> None:
    """Print a line as it is."""
    console.print(text, soft_wrap=True, markup=False)


def fail(message: str) -> NoReturn:
    """Print why, and exit 1."""
    console.print(message, style="red", soft_wrap=True, markup=False)
    raise typer.Exit(1)


def _tell_start(address: str, host: str) -> None:
    own = home() / "config.yaml"
    sandbox = client_config.write_sandbox(Path.home(), address)
    say(f"The demo answers on {address}, gRPC and HTTP.")
    say(f"Look at executions:         http://{address}/console")
    say(f"Point Flyte's tools at it:  export FLYTECTL_CONFIG={own}")
    say("Run a workflow on it:       pyflyte run --remote FILE WORKFLOW")
    say("Run it and follow it:       lacewing demo run FILE WORKFLOW")
    if sandbox is None:
        say(f"{Path.home()}/.flyte/config-sandbox.yaml is yours, and was left as it is.")
    if host not in ("localhost", "127.0.0.1", "::1"):
        text = f"Whoever reaches {host} can run code on this machine: there is no authentication."
        console.print(text, style="yellow", soft_wrap=True)


def _still_running(note: str) -> str:
    count = instance.tasks(home())
    return f" Tasks that go on: {count} ({note})." if count else ""


def _empty(folder: Path) -> None:
    """The user's settings stay, and the lock that keeps others out meanwhile."""
    for path in folder.iterdir():
        if path.name in ("lacewing.yaml", "start.lock"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if [path.name for path in folder.iterdir()] == ["start.lock"]:
        shutil.rmtree(folder, ignore_errors=True)
