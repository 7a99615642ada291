"""The connection to the fork server of one Python environment, which is started if it is not there.

The server outlives the connection. It is never asked for anything that it could not answer after a restart.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lacewing.adapters import forkserver
from lacewing.errors import TransientError

_LINE_BYTES = 1 << 24


def socket_path(root: Path, python: Path) -> Path:
    """Where the server of this Python listens. A socket's path may have 107 bytes at most."""
    return root / f"fork-{hashlib.sha256(str(python).encode()).hexdigest()[:8]}.sock"


def known_servers(root: Path) -> list[Path]:
    """The Pythons whose server was started here, by this cluster or an earlier one, and may live."""
    notes = sorted(root.glob("fork-*.python"))
    return [Path(note.read_text()) for note in notes if note.with_suffix(".sock").exists()]


def launch(python: Path, root: Path, modules: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start the server of this Python; one that runs or starts already is left alone.

    `modules` are imported beforehand for all its tasks, where they are installed.
    """
    socket = socket_path(root, python)
    root.mkdir(parents=True, exist_ok=True)
    socket.with_suffix(".python").write_text(str(python))
    with socket.with_suffix(".log").open("ab") as output:
        return subprocess.Popen(
            [str(python), forkserver.__file__, str(socket), *modules],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=root,
            env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            start_new_session=True,
        )


class ForkServer:
    """`notice` is called with every message; `lost` when the server ended without being asked to."""

    def __init__(
        self,
        python: Path,
        root: Path,
        notice: Callable[[dict[str, Any]], None],
        lost: Callable[["ForkServer"], None],
        modules: Sequence[str] = (),
    ) -> None:
        self.python, self._root, self._notice, self._lost = python, root, notice, lost
        self._socket, self._modules = socket_path(root, python), modules
        self._ready = asyncio.Event()
        self._failure = ""
        self._closing = False
        self._writer: asyncio.StreamWriter | None = None
        self._running: asyncio.Future[dict[str, int]] | None = None

    @property
    def failed(self) -> bool:
        """Whether it takes no work any more."""
        return bool(self._failure)

    async def ready(self) -> None:
        """Wait until it takes work; TransientError if it never will."""
        await self._ready.wait()
        if self._failure:
            raise TransientError(self._failure)

    async def connect(self, *, start: bool = True) -> None:
        """Connect, and pass on what it tells until it ends. Without `start`, only to one that lives."""
        try:
            reader, self._writer = await self._open(start)
        except OSError as error:
            log = self._socket.with_suffix(".log")
            self._failure = (
                f"the environment {self.python.parent.parent} cannot run tasks: {error}; see {log}"
            )
        self._ready.set()
        if self._writer is None:
            return
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self._hear(json.loads(line))
        self._failure = f"the fork server of {self.python} has ended"
        self._writer.close()
        if self._running is not None and not self._running.done():
            self._running.set_result({})
        if not self._closing:
            self._lost(self)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["event"] != "running":
            self._notice(message)
        elif self._running is not None and not self._running.done():
            self._running.set_result(message["pids"])

    async def _open(self, start: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not start:
            return await asyncio.open_unix_connection(str(self._socket), limit=_LINE_BYTES)
        with contextlib.suppress(OSError):
            return await asyncio.open_unix_connection(str(self._socket), limit=_LINE_BYTES)
        # The process exits when its child in the background takes work.
        process = launch(self.python, self._root, self._modules)
        if code := await asyncio.to_thread(process.wait):
            raise OSError(f"its fork server ended with exit code {code}")
        return await asyncio.open_unix_connection(str(self._socket), limit=_LINE_BYTES)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")

    def run(self, request: dict[str, Any]) -> None:
        """Start a process."""
        self._send(request)

    def kill(self, pod_id: str, number: int) -> None:
        """Signal a pod's group."""
        self._send({"op": "kill", "id": pod_id, "signal": int(number)})

    async def running(self) -> dict[str, int]:
        """The ids of what runs, each with its process; nothing if the server ends before it answers."""
        self._running = asyncio.get_running_loop().create_future()
        if self._failure:
            return {}
        self._send({"op": "list"})
        return await self._running

    async def close(self, *, kill: bool) -> None:
        """Disconnect; the server ends when nothing runs. With `kill` it ends everything first."""
        self._closing = True
        if self._writer is None:
            return
        self._send({"op": "stop" if kill else "leave"})
        with contextlib.suppress(OSError):
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()
