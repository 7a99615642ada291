"""Memory twins of the ports: the same promises, no I/O. A change to a port changes its twin with it."""

import asyncio
import base64
import copy
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from flyteidl.core import compiler_pb2, dynamic_job_pb2, literals_pb2, tasks_pb2, types_pb2

from lacewing.errors import ConflictError, TaskError
from lacewing.model.cache import Artifact, CacheKey, Source
from lacewing.model.events import Event
from lacewing.model.ids import RunKey
from lacewing.model.run import Run, RunSpec
from lacewing.model.steps import Past
from lacewing.model.task import Manifest, ResourceKind
from lacewing.ports import ChildEnd, ChildOrder, Clock, Loaded, SignedUpload, Stored, Version


class MemoryCluster:
    """A Cluster that keeps objects in a dict. `set_status` plays the part of the outside world."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.created: list[str] = []
        self._watchers: list[tuple[str, asyncio.Queue[Manifest]]] = []

    async def create(self, kind: ResourceKind, manifest: Manifest) -> Manifest:
        """Keep the object; one that exists stays as it is."""
        key = (kind.plural, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        if key not in self.objects:
            self.objects[key] = copy.deepcopy(manifest)
            self.created.append(key[2])
            self._tell(kind, self.objects[key])
        return self.objects[key]

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> Manifest | None:
        """The object, or None."""
        return self.objects.get((kind.plural, namespace, name))

    async def delete(self, kind: ResourceKind, namespace: str, name: str) -> None:
        """Forget the object."""
        found = self.objects.pop((kind.plural, namespace, name), None)
        if found is not None:
            self._tell(kind, found)

    async def watch(self, kind: ResourceKind) -> AsyncIterator[Manifest]:
        """Objects as they change."""
        queue: asyncio.Queue[Manifest] = asyncio.Queue()
        self._watchers.append((kind.plural, queue))
        while True:
            yield await queue.get()

    def set_status(self, kind: ResourceKind, namespace: str, name: str, status: Manifest) -> None:
        """Change what the object says of itself."""
        found = self.objects[(kind.plural, namespace, name)]
        found["status"] = status
        self._tell(kind, found)

    def _tell(self, kind: ResourceKind, manifest: Manifest) -> None:
        for plural, queue in self._watchers:
            if plural == kind.plural:
                queue.put_nowait(manifest)


class MemoryRunStore:
    """A RunStore in a dict, with the same refusals of stale saves."""

    def __init__(self) -> None:
        self.runs: dict[RunKey, Loaded] = {}
        self.saves = self.loads = 0
        self._listeners: list[asyncio.Queue[RunKey]] = []

    async def create(self, spec: RunSpec) -> None:
        """Keep a new run; one that exists stays as it is."""
        self.runs.setdefault(spec.key, Loaded(spec, Run(spec.key), 1))
        self._notify(spec.key)

    async def load(self, key: RunKey) -> Loaded | None:
        """The run, or None."""
        self.loads += 1
        return self.runs.get(key)

    async def glance(self, key: RunKey) -> tuple[Version, str | None] | None:
        """The run's version and the abort that was asked for."""
        found = self.runs.get(key)
        return (found.version, found.abort_cause) if found is not None else None

    async def save(self, run: Run, expected: Version) -> Version:
        """Keep the run under the next version."""
        stored = self.runs[run.key]
        if stored.version != expected:
            raise ConflictError(f"run {run.key} is at version {stored.version}, not {expected}")
        changed = {node_id: run.nodes[node_id] for node_id in run.touched}
        kept = run._replace(nodes=stored.run.nodes.update(changed), touched=frozenset())
        self.runs[run.key] = stored._replace(run=kept, version=expected + 1)
        self.saves += 1
        return expected + 1

    async def request_abort(self, key: RunKey, cause: str) -> None:
        """Note the abort; the first cause stays."""
        stored = self.runs[key]
        if stored.abort_cause is None:
            self.runs[key] = stored._replace(abort_cause=cause)
        self._notify(key)

    async def live(self) -> Sequence[RunKey]:
        """Every run that is not terminal."""
        return sorted(key for key, stored in self.runs.items() if not stored.run.phase.terminal)

    async def changes(self) -> AsyncIterator[RunKey]:
        """Keys as they are created or asked to abort."""
        queue: asyncio.Queue[RunKey] = asyncio.Queue()
        self._listeners.append(queue)
        while True:
            yield await queue.get()

    def _notify(self, key: RunKey) -> None:
        for queue in self._listeners:
            queue.put_nowait(key)


class MemoryBlobStore:
    """A BlobStore in a dict."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    async def read(self, uri: str) -> bytes:
        """The content; FileNotFoundError if it is not there."""
        try:
            return self.blobs[uri]
        except KeyError:
            raise FileNotFoundError(uri) from None

    async def write(self, uri: str, data: bytes) -> None:
        """Keep the content."""
        self.blobs[uri] = data

    async def size(self, uri: str) -> int | None:
        """How many bytes, or None."""
        return len(self.blobs[uri]) if uri in self.blobs else None


class MemorySigning:
    """Signing of a MemoryBlobStore: its URLs say what they are for, and lead nowhere."""

    def __init__(self, blobs: MemoryBlobStore) -> None:
        self._blobs = blobs

    async def upload(self, uri: str, seconds: float, md5: bytes, *, metadata: bool) -> SignedUpload:
        """A URL that names the file and its MD5."""
        text = base64.b64encode(md5).decode()
        return SignedUpload(f"memory:PUT:{uri}", {"Content-MD5": text} if text else {})

    async def download(self, uri: str, seconds: float) -> str:
        """A URL that names the file."""
        return f"memory:GET:{uri}"

    async def md5(self, uri: str) -> bytes | None:
        """The MD5 of what is there."""
        if uri not in self._blobs.blobs:
            return None
        return hashlib.md5(self._blobs.blobs[uri], usedforsecurity=False).digest()


class MemoryEvents:
    """An EventSink that keeps all it was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def send(self, events: Sequence[Event]) -> None:
        """Keep them."""
        self.events.extend(events)


class MemoryChildren:
    """Children that end as they are told to: `ends` by launch plan name, else they go on for ever."""

    def __init__(self) -> None:
        self.orders: dict[RunKey, ChildOrder] = {}
        self.ends: dict[str, ChildEnd] = {}
        self.stopped: list[RunKey] = []
        self.past: dict[tuple[RunKey, str], Past] = {}

    async def start(self, order: ChildOrder) -> None:
        """Note the order; one of the same name stays."""
        self.orders.setdefault(order.key, order)

    async def look(self, key: RunKey, parent: RunKey, hint: str) -> ChildEnd | None:
        """The end that the launch plan was given."""
        return self.ends.get(self.orders[key].launch_plan.name)

    async def recall(self, key: RunKey, node_id: str) -> Past | None:
        """What it was told."""
        return self.past.get((key, node_id))

    async def stop(self, key: RunKey, cause: str) -> None:
        """Note it."""
        self.stopped.append(key)


class MemorySignals:
    """Signals in a dict, by their id."""

    def __init__(self) -> None:
        self.values: dict[str, literals_pb2.Literal] = {}
        self.asked: set[str] = set()

    async def ask(
        self, key: RunKey, signal_id: str, wanted: types_pb2.LiteralType
    ) -> literals_pb2.Literal | None:
        """The value, or None."""
        self.asked.add(signal_id)
        return self.values.get(signal_id)


class MemoryDynamics:
    """A DynamicCompiler that answers the workflow that it was given for a task's name."""

    def __init__(self) -> None:
        self.closures: dict[str, compiler_pb2.CompiledWorkflowClosure] = {}

    async def compile(
        self, key: RunKey, task: tasks_pb2.TaskTemplate, node_id: str, spec: dynamic_job_pb2.DynamicJobSpec
    ) -> compiler_pb2.CompiledWorkflowClosure:
        """The closure; a TaskError for a task that has none."""
        if task.id.name not in self.closures:
            raise TaskError(f"no workflow for {task.id.name}", code="DynamicWorkflowBuildFailed")
        return self.closures[task.id.name]


class ManualClock:
    """A Clock that stands still until it is moved."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.time = start

    def now(self) -> datetime:
        """The time it was set to."""
        return self.time

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


class MemoryCatalog:
    """A Catalog in dicts, by the time of `clock`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.artifacts: dict[CacheKey, Artifact] = {}
        self.reservations: dict[CacheKey, tuple[str, datetime]] = {}
        self._clock = clock or ManualClock()

    async def lookup(self, key: CacheKey) -> Artifact | None:
        """The outputs, or None."""
        return self.artifacts.get(key)

    async def put(
        self, key: CacheKey, outputs: literals_pb2.LiteralMap, source: Source, *, overwrite: bool = False
    ) -> Stored:
        """Keep the outputs, or those that are there."""
        known, made = self.artifacts.get(key), f"{key.tag} of {source.run} {source.node_id} {source.attempt}"
        if known is None:
            self.artifacts[key] = Artifact(made, outputs, source)
        elif overwrite:
            self.artifacts[key] = Artifact(known.id, outputs, source)
            return Stored(known.id, replaced=True)
        return Stored(made)

    async def reserve(self, key: CacheKey, owner: str, seconds: float) -> str:
        """Who computes it."""
        now = self._clock.now()
        holder, until = self.reservations.get(key, (owner, now))
        if holder != owner and until > now:
            return holder
        self.reservations[key] = owner, now + 3 * timedelta(seconds=min(seconds, 10.0))
        return owner

    async def release(self, key: CacheKey, owner: str) -> None:
        """Forget the reservation if it is the owner's."""
        if self.reservations.get(key, ("",))[0] == owner:
            del self.reservations[key]
