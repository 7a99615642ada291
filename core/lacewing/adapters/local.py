"""A cluster that is this machine: pods are process groups, started and outlived by a fork server.

Every pod has a folder: its manifest, its log, its working directory, and the record of its exit, which the
fork server writes. A LocalCluster that starts over such a folder judges the recorded exits, adopts what still
runs and reports the rest as lost.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from lacewing.adapters import forkserver, local_pod
from lacewing.adapters.local_pod import Need
from lacewing.errors import TransientError
from lacewing.model.task import Manifest, ResourceKind

log = structlog.get_logger(__name__)
_MEMORY_SECONDS = 0.5
_LOG_TAIL = 8192


@dataclass(slots=True)
class _Pod:
    """One pod: its object, its folder, and the fork server that has it."""

    manifest: Manifest
    folder: Path
    need: Need
    server: "_ForkServer | None" = None
    pid: int = 0
    oom: bool = False
    holds: bool = False

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def over(self) -> bool:
        return self.manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")


@dataclass(slots=True)
class _Room:
    """What is left of the machine."""

    slots: int
    cpus: float
    memory_bytes: float
    total: Need = field(init=False)

    def __post_init__(self) -> None:
        self.total = Need(self.slots, self.cpus, self.memory_bytes)

    def lacks(self, need: Need) -> str:
        """What there is too little of, or nothing."""
        if need.slots > self.slots:
            return "slots"
        if need.cpus > self.cpus + 1e-9:
            return "cpu"
        return "memory" if need.memory_bytes > self.memory_bytes else ""

    def take(self, need: Need, sign: int = 1) -> None:
        """Hold what a pod needs, or give it back."""
        self.slots -= sign * need.slots
        self.cpus -= sign * need.cpus
        self.memory_bytes -= sign * need.memory_bytes


class LocalCluster:
    """A Cluster of processes. `default_python` runs flytekit's commands of images that map to nothing.

    `log_uri` says where clients read a pod's log.
    """

    def __init__(
        self,
        root: Path,
        *,
        default_python: Path,
        slots: int,
        cpus: float,
        memory_bytes: float,
        images: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] | None = None,
        log_uri: Callable[[Manifest], str] | None = None,
        grace_seconds: float = 2.0,
    ) -> None:
        self.root, self._default, self._images = root, default_python, dict(images or {})
        self._environment, self._log_uri = dict(environment or {}), log_uri
        self._room = _Room(slots, cpus, memory_bytes)
        self._grace = grace_seconds
        self._pods: dict[tuple[str, str], _Pod] = {}
        self._by_id: dict[str, _Pod] = {}
        self._waiting: deque[_Pod] = deque()
        self._servers: dict[Path, _ForkServer] = {}
        self._watchers: list[asyncio.Queue[Manifest]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the default environment's fork server and take up what an earlier cluster left."""
        (self.root / "pods").mkdir(parents=True, exist_ok=True)
        server = await self._server(self._default)
        await self._adopt(server)
        self._spawn(self._watch_memory())

    async def close(self, *, kill: bool = False) -> None:
        """Let go. With `kill` every process ends; without, they go on under their fork server."""
        for server in self._servers.values():
            await server.close(kill=kill)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, kind: ResourceKind, manifest: Manifest) -> Manifest:
        """Run the pod when there is room; one of the same name is answered as it is."""
        if kind.kind != "Pod":
            raise TransientError(f"this machine runs pods only, and no {kind.kind}")
        key = (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        if (known := self._pods.get(key)) is not None:
            return known.manifest
        folder = self.root / "pods" / key[0] / key[1]
        (folder / "work").mkdir(parents=True, exist_ok=True)
        annotations = manifest["metadata"].setdefault("annotations", {})
        annotations["lacewing.dev/log"] = str(folder / "log.txt")
        if self._log_uri is not None:
            annotations["lacewing.dev/log-uri"] = self._log_uri(manifest)
        _write(folder / "pod.json", json.dumps(manifest))
        pod = self._add(manifest, folder)
        self._waiting.append(pod)
        self._pump()
        return pod.manifest

    def _add(self, manifest: Manifest, folder: Path) -> _Pod:
        pod = _Pod(manifest, folder, local_pod.need(manifest))
        self._pods[(manifest["metadata"]["namespace"], pod.name)] = pod
        self._by_id[str(folder)] = pod
        return pod

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> Manifest | None:
        """The pod, or None."""
        pod = self._pods.get((namespace, name))
        return pod.manifest if pod else None

    async def delete(self, kind: ResourceKind, namespace: str, name: str) -> None:
        """End the pod's processes, first politely, and forget it. Its log stays."""
        pod = self._pods.pop((namespace, name), None)
        if pod is None:
            return
        if pod in self._waiting:
            self._waiting.remove(pod)
        (pod.folder / "pod.json").unlink(missing_ok=True)
        if pod.server is not None and not pod.over:
            pod.server.kill(str(pod.folder), signal.SIGTERM)
            loop = asyncio.get_running_loop()
            loop.call_later(self._grace, pod.server.kill, str(pod.folder), signal.SIGKILL)
        else:
            self._forget(pod)

    async def watch(self, kind: ResourceKind) -> AsyncIterator[Manifest]:
        """Pods as their status changes."""
        queue: asyncio.Queue[Manifest] = asyncio.Queue()
        self._watchers.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(queue)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pump(self) -> None:
        """Start what fits, in the order of arrival; what asks for more than the machine has says so."""
        kept: deque[_Pod] = deque()
        blocked: set[str] = set()
        while self._waiting:
            pod = self._waiting.popleft()
            lack = self._room.lacks(pod.need)
            if not lack and lack not in blocked:
                self._room.take(pod.need)
                pod.holds = True
                self._spawn(self._launch(pod))
                continue
            blocked.add(lack)
            kept.append(pod)
            if "status" not in pod.manifest:
                never = _Room(self._room.total.slots, self._room.total.cpus, self._room.total.memory_bytes)
                hint = "; this machine is too small for it" if never.lacks(pod.need) else ""
                self._set(
                    pod, local_pod.unschedulable(f"0/1 nodes are available: Insufficient {lack}{hint}.")
                )
        self._waiting = kept

    async def _launch(self, pod: _Pod) -> None:
        python = local_pod.python_of(pod.manifest, self._images, self._default)
        if python is None or not python.exists():
            image = pod.manifest["spec"]["containers"][0].get("image", "")
            text = f"no environment stands for image {image!r}; map it in the setting `images` of the demo"
            self._set(pod, local_pod.waiting(pod.manifest, "InvalidImageName", text))
            self._release(pod)
            return
        try:
            pod.server = await self._server(python)
        except TransientError as error:
            self._set(pod, local_pod.waiting(pod.manifest, "CreateContainerConfigError", error.message))
            self._release(pod)
            return
        pod.server.run(self._request(pod, python))

    def _request(self, pod: _Pod, python: Path) -> dict[str, Any]:
        base = {
            "PATH": f"{python.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TMPDIR": str(pod.folder / "work"),
            **self._environment,
        }
        return {
            "op": "run",
            "id": str(pod.folder),
            "argv": local_pod.command(pod.manifest),
            "env": {**base, **local_pod.environment(pod.manifest), forkserver.MARKER: str(pod.folder)},
            "cwd": str(pod.folder / "work"),
            "log": str(pod.folder / "log.txt"),
            "exit": str(pod.folder / "exit.json"),
            "cache": str(self.root / "unpacked"),
        }

    async def _server(self, python: Path) -> "_ForkServer":
        server = self._servers.get(python)
        if server is None:
            server = self._servers[python] = _ForkServer(python, self.root, self._notice)
            self._spawn(server.connect())
        await server.ready()
        return server

    def _notice(self, message: dict[str, Any]) -> None:
        """What a fork server told."""
        pod = self._by_id.get(message.get("id", ""))
        if pod is None:
            return
        if message["event"] == "started":
            pod.pid = message["pid"]
            self._set(pod, local_pod.running(pod.manifest, message["at"]))
        elif message["event"] == "exited":
            self._ended(pod, message)

    def _ended(self, pod: _Pod, record: Mapping[str, Any]) -> None:
        tail = _tail(pod.folder / "log.txt")
        self._set(pod, local_pod.exited(pod.manifest, record, tail, oom=pod.oom))
        self._release(pod)
        if pod.manifest["metadata"]["name"] not in {name for _, name in self._pods}:
            self._forget(pod)

    def _release(self, pod: _Pod) -> None:
        if pod.holds:
            pod.holds = False
            self._room.take(pod.need, -1)
        self._pump()

    def _forget(self, pod: _Pod) -> None:
        self._by_id.pop(str(pod.folder), None)
        shutil.rmtree(pod.folder / "work", ignore_errors=True)

    def _set(self, pod: _Pod, status: dict[str, Any]) -> None:
        pod.manifest = {**pod.manifest, "status": status}
        key = (pod.manifest["metadata"]["namespace"], pod.name)
        if self._pods.get(key) is not pod:
            return
        for queue in self._watchers:
            queue.put_nowait(pod.manifest)

    async def _adopt(self, server: "_ForkServer") -> None:
        alive = await server.running()
        for path in sorted((self.root / "pods").glob("*/*/pod.json")):
            pod = self._add(json.loads(path.read_text()), path.parent)
            pod.server = server
            record = path.parent / "exit.json"
            if str(path.parent) in alive:
                pod.holds = True
                self._room.take(pod.need)
                self._set(pod, local_pod.running(pod.manifest, path.stat().st_mtime))
            elif record.exists():
                self._ended(pod, json.loads(record.read_text()))
            else:
                self._set(pod, local_pod.lost())

    async def _watch_memory(self) -> None:
        """End what grew over its explicit limit, as the kernel would."""
        while True:
            await asyncio.sleep(_MEMORY_SECONDS)
            for pod in list(self._pods.values()):
                limit = local_pod.memory_limit(pod.manifest)
                if pod.over or not pod.pid or not limit or pod.server is None:
                    continue
                if tree_memory(pod.pid) > limit:
                    pod.oom = True
                    pod.server.kill(str(pod.folder), signal.SIGKILL)


class _ForkServer:
    """The connection to one environment's fork server, which is started if it is not there."""

    def __init__(self, python: Path, root: Path, notice: Callable[[dict[str, Any]], None]) -> None:
        self._python, self._notice = python, notice
        name = hashlib.sha256(str(python).encode()).hexdigest()[:8]
        # A socket's path may be 107 bytes at most, and a home may lie deep.
        self._socket = root / f"fork-{name}.sock"
        self._log = root / f"fork-{name}.log"
        self._ready = asyncio.Event()
        self._failure = ""
        self._writer: asyncio.StreamWriter | None = None
        self._running: asyncio.Future[set[str]] | None = None

    async def ready(self) -> None:
        """Wait until it takes work; TransientError if it never will."""
        await self._ready.wait()
        if self._failure:
            raise TransientError(self._failure)

    async def connect(self) -> None:
        """Connect, and pass on what it tells until it ends."""
        try:
            reader, self._writer = await self._open()
        except (OSError, TransientError) as error:
            self._failure = f"the fork server of {self._python} did not start: {error}; see {self._log}"
            self._ready.set()
            return
        self._ready.set()
        while line := await reader.readline():
            message = json.loads(line)
            if message["event"] == "running":
                if self._running is not None and not self._running.done():
                    self._running.set_result(set(message["ids"]))
            else:
                self._notice(message)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with contextlib.suppress(OSError):
            return await asyncio.open_unix_connection(str(self._socket), limit=1 << 24)
        self._socket.unlink(missing_ok=True)
        with self._log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                str(self._python),
                forkserver.__file__,
                str(self._socket),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": ""},
            )
        # It exits when its child in the background takes work.
        if code := await process.wait():
            raise TransientError(f"exit code {code}")
        return await asyncio.open_unix_connection(str(self._socket), limit=1 << 24)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")

    def run(self, request: dict[str, Any]) -> None:
        """Start a process."""
        self._send(request)

    def kill(self, pod_id: str, number: int) -> None:
        """Signal a pod's group."""
        self._send({"op": "kill", "id": pod_id, "signal": int(number)})

    async def running(self) -> set[str]:
        """The ids of what runs."""
        self._running = asyncio.get_running_loop().create_future()
        self._send({"op": "list"})
        return await self._running

    async def close(self, *, kill: bool) -> None:
        """Disconnect; with `kill`, end every process and the server."""
        if self._writer is None:
            return
        if kill:
            self._send({"op": "stop"})
        with contextlib.suppress(OSError):
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()


def tree_memory(pid: int) -> float:
    """The proportional memory of a process and all below it, in bytes."""
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += float(line.split()[1]) * 1024
            waiting += [int(p) for p in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except (OSError, ValueError):
            continue
    return total


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, path)
