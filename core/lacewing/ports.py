"""What the engine needs of the world. Each port has a memory twin in `lacewing.testing` and real adapters."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

from flyteidl.core import compiler_pb2, dynamic_job_pb2, identifier_pb2, literals_pb2, tasks_pb2, types_pb2

from lacewing.model.cache import Artifact, CacheKey, Source
from lacewing.model.events import Event
from lacewing.model.ids import RunKey
from lacewing.model.phases import RunPhase
from lacewing.model.run import Run, RunError, RunSpec
from lacewing.model.steps import Past
from lacewing.model.task import Handle, Manifest, Observation, ResourceKind, TaskContext

Version: TypeAlias = int
"""Grows by one with every save of a run."""


class Cluster(Protocol):
    """Where objects run: a Kubernetes API server, or processes on this machine."""

    async def create(self, kind: ResourceKind, manifest: Manifest) -> Manifest:
        """Make the object; one of the same name that exists already is success and is answered."""
        ...

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> Manifest | None:
        """The object with its status, or None. May read a cache; absence is always live."""
        ...

    async def delete(self, kind: ResourceKind, namespace: str, name: str) -> None:
        """Remove the object and end its work; absent is success."""
        ...

    def watch(self, kind: ResourceKind) -> AsyncIterator[Manifest]:
        """Every object of the kind whenever its status changed, from now on."""
        ...


class Backend(Protocol):
    """The engine's only view of a plugin."""

    name: str
    task_types: tuple[str, ...]

    async def launch(self, cluster: Cluster, task: TaskContext) -> Handle:
        """Start the attempt. Idempotent: the same task gives the same work."""
        ...

    async def observe(self, cluster: Cluster, task: TaskContext, handle: Handle) -> Observation:
        """What the attempt is doing now."""
        ...

    async def abort(self, cluster: Cluster, task: TaskContext, handle: Handle) -> None:
        """End the attempt and remove what it left. Idempotent."""
        ...


class Loaded(NamedTuple):
    """A run as stored: its order, its state, the version to save under, an abort that was asked for."""

    spec: RunSpec
    run: Run
    version: Version
    abort_cause: str | None = None


class RunStore(Protocol):
    """Keeps runs. Stimuli from other processes (an abort) are durable here; a notification only wakes."""

    async def create(self, spec: RunSpec) -> None:
        """Store a new run; one that exists already is left as it is."""
        ...

    async def load(self, key: RunKey) -> Loaded | None:
        """The run, or None if there is none."""
        ...

    async def glance(self, key: RunKey) -> tuple[Version, str | None] | None:
        """The run's version and the abort that was asked for, without its nodes; None if there is none."""
        ...

    async def save(self, run: Run, expected: Version) -> Version:
        """Store `run` if the stored version is `expected`; raises ConflictError if it moved."""
        ...

    async def request_abort(self, key: RunKey, cause: str) -> None:
        """Note durably that the run is to be aborted, and wake its owner."""
        ...

    async def live(self) -> Sequence[RunKey]:
        """Every run that is not terminal."""
        ...

    def changes(self) -> AsyncIterator[RunKey]:
        """Keys of runs that were created or asked to abort, from now on."""
        ...


class BlobStore(Protocol):
    """Small files by URI. A missing one is FileNotFoundError; anything else is a TransientError."""

    async def read(self, uri: str) -> bytes:
        """The whole content."""
        ...

    async def write(self, uri: str, data: bytes) -> None:
        """Store the content, whole or not at all."""
        ...

    async def size(self, uri: str) -> int | None:
        """How many bytes, or None if it is not there."""
        ...


class SignedUpload(NamedTuple):
    """Where to PUT a file, and the headers that must come with it."""

    url: str
    headers: Mapping[str, str]


class Signing(Protocol):
    """URLs by which clients reach single files of a BlobStore for a while."""

    async def upload(self, uri: str, seconds: float, md5: bytes, *, metadata: bool) -> SignedUpload:
        """A URL to PUT the content of this MD5 (empty: any) to; with `metadata` the store keeps the MD5."""
        ...

    async def download(self, uri: str, seconds: float) -> str:
        """A URL to GET the file from, whether it is there or not."""
        ...

    async def md5(self, uri: str) -> bytes | None:
        """The MD5 of what is there, empty if nobody knows it; None if nothing is there."""
        ...


class EventSink(Protocol):
    """Where transitions are told. At least once: a repeated event must be harmless."""

    async def send(self, events: Sequence[Event]) -> None:
        """Record the events, in order."""
        ...


class ChildOrder(NamedTuple):
    """An execution that a launch plan node starts. What it inherits is in the order of its parent's run."""

    key: RunKey
    launch_plan: identifier_pb2.Identifier
    inputs: literals_pb2.LiteralMap
    parent: RunSpec
    parent_node_id: str
    hint: str
    """What of the parent's run its end wakes."""
    recovers: str = ""
    """The key of the execution that this one recovers, if there is one."""


class ChildEnd(NamedTuple):
    """How a child execution ended."""

    phase: RunPhase
    outputs: literals_pb2.LiteralMap
    error: RunError | None = None


class Children(Protocol):
    """Executions that runs start and wait for. The end of one wakes the run of its parent."""

    async def start(self, order: ChildOrder) -> None:
        """Start the execution, whose end will wake its parent; one of its name is success.

        Raises TaskError where it can never be started, TransientError where it may be later.
        """
        ...

    async def look(self, key: RunKey, parent: RunKey, hint: str) -> ChildEnd | None:
        """How the execution ended; None while it goes on, and then its end wakes `hint` of `parent`.

        Raises TaskError if there is none.
        """
        ...

    async def recall(self, key: RunKey, node_id: str) -> Past | None:
        """What became of the node of an execution that another one recovers; None if it is to run anew."""
        ...

    async def stop(self, key: RunKey, cause: str) -> None:
        """Have it aborted; one that is over is left as it is."""
        ...


class Signals(Protocol):
    """What people tell runs that wait for it. A signal that is set wakes its run."""

    async def ask(
        self, key: RunKey, signal_id: str, wanted: types_pb2.LiteralType
    ) -> literals_pb2.Literal | None:
        """The signal's value, or None while nobody set it. Asking makes the signal known."""
        ...


class DynamicCompiler(Protocol):
    """Makes a workflow of the nodes that a dynamic task wrote."""

    async def compile(
        self, key: RunKey, task: tasks_pb2.TaskTemplate, node_id: str, spec: dynamic_job_pb2.DynamicJobSpec
    ) -> compiler_pb2.CompiledWorkflowClosure:
        """The compiled closure. Raises TaskError, code DynamicWorkflowBuildFailed, for a broken one."""
        ...


class Stored(NamedTuple):
    """What became of outputs that a catalog was given."""

    artifact_id: str
    replaced: bool = False
    """They took the place of those that the key had before."""


class Catalog(Protocol):
    """Outputs of cached tasks, and who computes what others wait for.

    A TransientError says that it cannot be asked now.
    """

    async def lookup(self, key: CacheKey) -> Artifact | None:
        """The outputs that are kept under the key, or None."""
        ...

    async def put(
        self, key: CacheKey, outputs: literals_pb2.LiteralMap, source: Source, *, overwrite: bool = False
    ) -> Stored:
        """Keep the outputs. A key that has some keeps those, unless it is to be overwritten.

        Idempotent: the same source and key give the same artifact.
        """
        ...

    async def reserve(self, key: CacheKey, owner: str, seconds: float) -> str:
        """Who computes the key's outputs: `owner` from now on, unless another one does already.

        The owner has to ask again within `seconds`, 10 at most; after three times as many it may lose it.
        """
        ...

    async def release(self, key: CacheKey, owner: str) -> None:
        """The owner is done; a reservation of someone else is left as it is."""
        ...


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """An aware UTC datetime."""
        ...
