"""A cluster that is this machine: pods are process groups, started and outlived by fork servers.

Every pod has a folder. A LocalCluster that starts over the folders of an earlier one judges the recorded
exits, adopts what still runs, starts what never ran and reports the rest as lost. Pods that ended are kept on
disk, the last of them in memory too.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from lacewing.adapters import forkserver, local_pod
from lacewing.adapters.local_code import LocalCode
from lacewing.adapters.local_folder import PodFolder, sweep
from lacewing.adapters.local_pod import Need
from lacewing.adapters.local_room import Line, Room
from lacewing.adapters.local_server import ForkServer, known_servers
from lacewing.errors import TransientError
from lacewing.model.task import Manifest, ResourceKind
from lacewing.ports import BlobStore

log = structlog.get_logger(__name__)
_WATCH_SECONDS = 0.5
_SWEEP_SECONDS = 3600.0
_ENDED_IN_MEMORY = 500


@dataclass(slots=True)
class _Pod:
    """One pod that has not ended: its object, its folder, and the fork server that has it."""

    manifest: Manifest
    folder: PodFolder
    need: Need
    server: ForkServer | None = None
    pid: int = 0
    holds: bool = False
    deleted: bool = False

    @property
    def id(self) -> str:
        return str(self.folder.path)

    @property
    def key(self) -> tuple[str, str]:
        return _key(self.manifest)


class LocalCluster:
    """A Cluster of processes. `default_python` runs flytekit's commands of images that map to nothing.

    `environment` is what every task finds set, `modules` are what tasks have imported already. Their code is
    fetched from `blobs` before they start, once for all. `log_uri` says where clients read a pod's log.
    `images` is asked at each start, so it may change. Folders of ended pods go after `keep_seconds`, or when
    there are more than `keep_count`; a log is cut to `log_bytes`.
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
        modules: Sequence[str] = (),
        blobs: BlobStore | None = None,
        log_uri: Callable[[Manifest], str] | None = None,
        grace_seconds: float = 2.0,
        keep_seconds: float = 7 * 86400.0,
        keep_count: int = 5000,
        log_bytes: int = 16 * 2**20,
    ) -> None:
        self.root, self._default = root, default_python
        self._images = images if images is not None else {}
        self._environment, self._log_uri = dict(environment or {}), log_uri
        self._modules, self._code = modules, LocalCode(root / "fetched", blobs)
        self._room = Room(slots, cpus, memory_bytes)
        self._grace, self._log_bytes = grace_seconds, log_bytes
        self._keep_seconds, self._keep_count = keep_seconds, keep_count
        self._pods: dict[tuple[str, str], _Pod] = {}
        self._by_id: dict[str, _Pod] = {}
        self._ended: OrderedDict[tuple[str, str], Manifest] = OrderedDict()
        self._line: Line[_Pod] = Line(self._room)
        self._servers: dict[Path, ForkServer] = {}
        self._watchers: list[asyncio.Queue[Manifest]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up what an earlier cluster left. The default environment warms up meanwhile."""
        (self.root / "pods").mkdir(parents=True, exist_ok=True)
        await self._adopt()
        self._start_server(self._default)
        self._spawn(self._watch_limits())
        self._spawn(self._sweep())

    async def close(self, *, kill: bool = False) -> None:
        """Let go. With `kill` every process ends; without, they go on under their fork server."""
        for pod in self._by_id.values():
            if pod.deleted and pod.server is not None:
                # Nobody will be here when its grace is over.
                pod.server.kill(pod.id, signal.SIGKILL)
        for server in list(self._servers.values()):
            if kill:
                with contextlib.suppress(TransientError):
                    await server.ready()
            await server.close(kill=kill)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, kind: ResourceKind, manifest: Manifest) -> Manifest:
        """Run the pod when there is room; one of the same name is answered as it is."""
        if kind.kind != "Pod":
            raise TransientError(f"this machine runs pods only, and no {kind.kind}")
        if (known := await self.get(kind, *_key(manifest))) is not None:
            return known
        folder = self._folder(*_key(manifest))
        annotations = manifest["metadata"].setdefault("annotations", {})
        annotations["lacewing.dev/log"] = str(folder.log)
        if self._log_uri is not None:
            annotations["lacewing.dev/log-uri"] = self._log_uri(manifest)
        try:
            folder.begin(manifest)
        except OSError as error:
            raise TransientError(f"cannot write {folder.path}: {error.strerror}", delay=5.0) from error
        pod = self._add(manifest, folder)
        self._enter(pod)
        return pod.manifest

    def _folder(self, namespace: str, name: str) -> PodFolder:
        return PodFolder(self.root / "pods" / namespace / name)

    def _add(self, manifest: Manifest, folder: PodFolder) -> _Pod:
        pod = _Pod(manifest, folder, local_pod.need(manifest))
        self._pods[pod.key] = self._by_id[pod.id] = pod
        return pod

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> Manifest | None:
        """The pod, or None."""
        if (pod := self._pods.get((namespace, name))) is not None:
            return pod.manifest
        if (known := self._ended.get((namespace, name))) is not None:
            return known
        return self._folder(namespace, name).ended()

    async def delete(self, kind: ResourceKind, namespace: str, name: str) -> None:
        """End the pod's processes, first politely, and forget it. Its log stays."""
        pod = self._pods.pop((namespace, name), None)
        self._ended.pop((namespace, name), None)
        self._folder(namespace, name).forget()
        if pod is None:
            return
        pod.deleted = True
        self._line.remove(pod)
        if pod.server is None:
            self._drop(pod)
            return
        pod.server.kill(pod.id, signal.SIGTERM)
        asyncio.get_running_loop().call_later(self._grace, pod.server.kill, pod.id, signal.SIGKILL)

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

    def _enter(self, pod: _Pod) -> None:
        """Have the pod wait for room; one that asks for more than the machine has fails."""
        if lack := self._room.never_has(pod.need):
            self._end(pod, local_pod.rejected(lack, pod.need, self._room.total))
            return
        self._line.add(pod)
        lack = self._room.lacks(pod.need)
        self._pump()
        if lack and not pod.holds:
            self._set(pod, local_pod.unschedulable(f"0/1 nodes are available: Insufficient {lack}."))

    def _pump(self) -> None:
        """Start what fits, in the order of arrival."""
        for pod in self._line.next():
            pod.holds = True
            self._spawn(self._launch(pod))

    async def _launch(self, pod: _Pod) -> None:
        python = local_pod.python_of(pod.manifest, self._images, self._default)
        image = local_pod.image(pod.manifest)
        if python is None:
            text = f"no environment stands for image {image!r}; map it in the setting `images` of the demo"
            self._refuse(pod, "InvalidImageName", text)
            return
        if not python.exists():
            text = (
                f"image {image!r} stands for the environment {python.parent.parent}, which is gone; make it "
                "again, or run the workflow from another one: lacewing demo run --python VENV FILE WORKFLOW"
            )
            self._refuse(pod, "InvalidImageName", text)
            return
        server = self._start_server(python)
        try:
            await server.ready()
        except TransientError as error:
            self._refuse(pod, "CreateContainerConfigError", error.message)
            return
        code = await self._code.fetch(local_pod.command(pod.manifest))
        if pod.deleted:
            self._drop(pod)
            return
        pod.server = server
        server.run({**self._request(pod, python), "code": code})

    def _refuse(self, pod: _Pod, reason: str, text: str) -> None:
        self._set(pod, local_pod.waiting(pod.manifest, reason, text))
        self._release(pod)

    def _request(self, pod: _Pod, python: Path) -> dict[str, Any]:
        base = {
            "PATH": f"{python.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TMPDIR": str(pod.folder.temporary),
            "GRPC_ENABLE_FORK_SUPPORT": "0",
            **self._environment,
        }
        return {
            "op": "run",
            "id": pod.id,
            "argv": local_pod.command(pod.manifest),
            "env": {**base, **local_pod.environment(pod.manifest), forkserver.MARKER: pod.id},
            "cwd": str(pod.folder.work),
            "log": str(pod.folder.log),
            "exit": str(pod.folder.exit),
            "cache": str(self.root / "unpacked"),
        }

    def _start_server(self, python: Path, *, start: bool = True) -> ForkServer:
        server = self._servers.get(python)
        if server is None or server.failed:
            server = self._servers[python] = ForkServer(
                python, self.root, self._notice, self._lost, self._modules
            )
            self._spawn(server.connect(start=start))
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
            self._judge(pod, message)

    def _lost(self, server: ForkServer) -> None:
        """A fork server died. What it ran cannot be watched any more, and is ended."""
        log.error("a fork server ended", python=str(server.python))
        self._servers.pop(server.python, None)
        for pod in [pod for pod in self._by_id.values() if pod.server is server]:
            if pod.pid and _is_ours(pod.pid, pod.id):
                with contextlib.suppress(OSError):
                    os.killpg(pod.pid, signal.SIGKILL)
            self._settle(pod)

    def _settle(self, pod: _Pod) -> None:
        """A pod without a process ends by its record, or as lost; if it never began, it waits again."""
        if pod.folder.exit.exists():
            self._judge(pod, json.loads(pod.folder.exit.read_bytes()))
        elif pod.folder.log.exists() or pod.deleted:
            self._end(pod, local_pod.lost())
        else:
            pod.server, pod.pid = None, 0
            self._release(pod)
            self._enter(pod)

    def _judge(self, pod: _Pod, record: Mapping[str, Any]) -> None:
        pod.folder.cap_log(self._log_bytes)
        tail = pod.folder.tail() if record["code"] else ""
        oom = bool(record["code"]) and (pod.folder.path / "oom").exists()
        self._end(pod, local_pod.exited(pod.manifest, record, tail, oom=oom))

    def _end(self, pod: _Pod, status: dict[str, Any]) -> None:
        if not pod.deleted:
            try:
                pod.folder.finish({**pod.manifest, "status": status})
            except OSError as error:
                log.warning("an end is known until the next start only", pod=pod.id, reason=error.strerror)
            self._ended[pod.key] = {**pod.manifest, "status": status}
            if len(self._ended) > _ENDED_IN_MEMORY:
                self._ended.popitem(last=False)
            self._set(pod, status)
        self._drop(pod)

    def _drop(self, pod: _Pod) -> None:
        if self._pods.get(pod.key) is pod:
            del self._pods[pod.key]
        self._by_id.pop(pod.id, None)
        self._release(pod)
        self._spawn(asyncio.to_thread(pod.folder.clear))

    def _release(self, pod: _Pod) -> None:
        if pod.holds:
            pod.holds = False
            self._room.take(pod.need, -1)
            self._pump()

    def _set(self, pod: _Pod, status: dict[str, Any]) -> None:
        pod.manifest = {**pod.manifest, "status": status}
        if pod.deleted:
            return
        for queue in self._watchers:
            queue.put_nowait(pod.manifest)

    async def _adopt(self) -> None:
        alive: dict[str, tuple[ForkServer, int]] = {}
        for python in known_servers(self.root):
            server = self._start_server(python, start=False)
            try:
                await server.ready()
            except TransientError:
                del self._servers[python]
                continue
            alive |= {name: (server, pid) for name, pid in (await server.running()).items()}
        without = []
        for path in sorted(self.root.glob("pods/*/*/pod.json")):
            pod = self._add(json.loads(path.read_bytes()), PodFolder(path.parent))
            if pod.id in alive:
                pod.server, pod.pid = alive.pop(pod.id)
                pod.holds = True
                self._room.take(pod.need)
                self._set(pod, local_pod.running(pod.manifest, path.stat().st_mtime))
            else:
                without.append(pod)
        for name, (server, _) in alive.items():
            server.kill(name, signal.SIGKILL)
        for pod in without:
            self._settle(pod)

    async def _watch_limits(self) -> None:
        """End what grew over its memory limit, as the kernel would, and cut logs that grew too long."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for pod in [pod for pod in self._by_id.values() if pod.pid and pod.server is not None]:
                pod.folder.cap_log(self._log_bytes)
                limit = local_pod.memory_limit(pod.manifest)
                if limit and pod.server is not None and tree_memory(pod.pid) > limit:
                    (pod.folder.path / "oom").touch()
                    pod.server.kill(pod.id, signal.SIGKILL)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1)
            await asyncio.to_thread(sweep, self.root, self._keep_seconds, self._keep_count)
            await asyncio.sleep(_SWEEP_SECONDS)


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


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _is_ours(pid: int, pod_id: str) -> bool:
    with contextlib.suppress(OSError):
        return f"{forkserver.MARKER}={pod_id}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(
            b"\0"
        )
    return False
