"""The demo as a process of this machine: which one has this home, and how it is started and ended.

Who holds the lock of a home is its demo; nothing else counts, since a number of a process may be another's.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lacewing.adapters.local_server import launch
from lacewing.demo.settings import DemoSettings
from lacewing.errors import ConfigError

FORMAT = 1
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_SOCKET_BYTES = 107
_LOG_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Instance:
    """A demo that answers, or did."""

    pid: int
    address: str
    started_at: float


def prepare_home(home: Path) -> None:
    """Have the folder. Raises ConfigError if it cannot be used, or was written by a newer Lacewing."""
    note = home / "format"
    try:
        home.mkdir(parents=True, exist_ok=True)
        found = note.read_text().strip() if note.exists() else ""
        (home / "start.lock").touch()
        if not found:
            note.write_text(f"{FORMAT}\n")
    except OSError as error:
        raise ConfigError(
            f"{home} cannot be used as the demo's home ({error.strerror}); name another in LACEWING_HOME"
        ) from error
    if found and found != str(FORMAT):
        raise ConfigError(
            f"{home} was written by a newer Lacewing (format {found}, this one knows {FORMAT}); upgrade "
            "Lacewing, or name another folder in LACEWING_HOME"
        )
    if len(os.fsencode(home / "cluster/fork-01234567.sock.1234567")) > _SOCKET_BYTES:
        raise ConfigError(f"{home} lies too deep for a socket's path; name a shorter one in LACEWING_HOME")


@contextlib.contextmanager
def only_one_start(home: Path) -> Iterator[None]:
    """Two commands that start the demo of one home go one after the other."""
    with (home / "start.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def holding(home: Path) -> Iterator[None]:
    """Be the demo of this home. Raises ConfigError if another is."""
    with (home / "demo.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another demo runs in {home}; stop it with: lacewing demo stop") from error
        try:
            yield
        finally:
            (home / "demo.json").unlink(missing_ok=True)


def announce(home: Path, settings: DemoSettings) -> None:
    """Say that the demo of this process answers now."""
    found = Instance(os.getpid(), settings.address, time.time())
    temporary = home / "demo.json.new"
    temporary.write_text(json.dumps(asdict(found)))
    temporary.replace(home / "demo.json")


def running(home: Path) -> Instance | None:
    """The demo that answers in this home."""
    with contextlib.suppress(OSError, ValueError, TypeError), (home / "demo.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    with contextlib.suppress(OSError, ValueError, TypeError):
        return (
            Instance(**json.loads((home / "demo.json").read_text()))
            if (home / "demo.lock").exists()
            else None
        )
    return None


def check_port(host: str, port: int) -> None:
    """Raises ConfigError for an address that cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise ConfigError(f"host {host!r} is no address of this machine ({error.strerror})") from error
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} is taken ({error.strerror}); stop what listens there, or choose --port"
        ) from error


def start(home: Path, settings: DemoSettings) -> Instance:
    """Start the demo in the background and wait until it answers. Raises ConfigError with its last words."""
    check_port(settings.host, settings.port)
    # Importing flytekit takes as long as all the rest: it begins now, beside it.
    server = launch(Path(sys.executable), home / "cluster")
    path = home / "demo.log"
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(home / "demo.log.1")
    with path.open("ab") as output:
        before = output.tell()
        process = subprocess.Popen(
            serve_command(settings), stdout=output, stderr=output, start_new_session=True, cwd=home
        )
    until = time.monotonic() + _START_SECONDS
    # What a killed demo announced is still there until the new one announces itself.
    while (found := running(home)) is None or found.pid != process.pid:
        if process.poll() is not None or time.monotonic() > until:
            server.terminate()
            said = path.read_bytes()[before:].decode(errors="replace").strip().splitlines()
            raise ConfigError(f"{said[-1] if said else 'the demo did not start'} (its log: {path})")
        time.sleep(0.01)
    return found


def serve_command(settings: DemoSettings) -> list[str]:
    """The command that is the demo, in the foreground."""
    return [sys.executable, "-m", "lacewing.demo", settings.host, str(settings.port)]


def stop(home: Path, found: Instance) -> None:
    """End the demo; what it runs goes on."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    until = time.monotonic() + _STOP_SECONDS
    while running(home) is not None and time.monotonic() < until:
        time.sleep(0.02)
    if running(home) is not None:
        os.kill(found.pid, signal.SIGKILL)


def tasks(home: Path) -> int:
    """How many tasks run now, whether or not the demo does."""
    return sum(len(_ask(path, "list").get("pids", ())) for path in home.glob("cluster/fork-*.sock"))


def end_tasks(home: Path) -> None:
    """End every task and every fork server, and wait for that."""
    until = time.monotonic() + _STOP_SECONDS
    while (found := list(home.glob("cluster/fork-*.sock"))) and time.monotonic() < until:
        for path in found:
            _ask(path, "stop")
        time.sleep(0.05)


def _ask(path: Path, request: str) -> dict[str, Any]:
    """What a fork server answers to one request; nothing if it is dead."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return {}
        except OSError:
            return {}
        connection.sendall(json.dumps({"op": request}).encode() + b"\n")
        if request != "list":
            return {}
        with connection.makefile("rb") as answers:
            for line in answers:
                answer: dict[str, Any] = json.loads(line)
                if answer["event"] == "running":
                    return answer
    return {}
