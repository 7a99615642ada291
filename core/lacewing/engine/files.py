"""A run's files as messages, with a small cache: an output is read once for all that consume it."""

from collections import OrderedDict
from collections.abc import Sequence

from flyteidl.core import compiler_pb2, dynamic_job_pb2, errors_pb2, literals_pb2, tasks_pb2
from google.protobuf.message import DecodeError

from lacewing.errors import TaskError
from lacewing.model.phases import ErrorKind
from lacewing.model.run import RunError
from lacewing.model.task import Observation
from lacewing.ports import BlobStore

_CACHED_BYTES = 8 * 2**20
_LARGE = 2 * 2**20
_OVERHEAD = 512
"""What a message costs beside its content, at least."""


class RunFiles:
    """Literal maps and error documents of runs. `limit_bytes` bounds what one file may hold."""

    def __init__(self, blobs: BlobStore, limit_bytes: int = 100 * 2**20) -> None:
        self._blobs, self._limit = blobs, limit_bytes
        self._cache: OrderedDict[str, tuple[literals_pb2.LiteralMap, int]] = OrderedDict()
        self._cached_bytes = 0

    async def read(self, uri: str) -> literals_pb2.LiteralMap:
        """The literal map at `uri`. A missing or broken file is a TaskError that names it."""
        if (known := self._cache.get(uri)) is not None:
            return known[0]
        try:
            data = await self._blobs.read(uri)
        except FileNotFoundError:
            raise TaskError(f"{uri} is gone; it was there before", code="OutputsNotFound") from None
        try:
            literals = literals_pb2.LiteralMap.FromString(data)
        except DecodeError:
            raise TaskError(
                f"{uri} is no LiteralMap: it is broken, or something else wrote it", code="CorruptedFile"
            ) from None
        self._remember(uri, literals, len(data))
        return literals

    async def read_literal(self, uri: str) -> literals_pb2.Literal:
        """The literal that was put into a file of its own. A missing or broken one is a TaskError."""
        try:
            return literals_pb2.Literal.FromString(await self._blobs.read(uri))
        except (FileNotFoundError, DecodeError):
            raise TaskError(f"{uri} is no Literal, or is gone", code="BindingResolutionFailure") from None

    async def write(self, uri: str, literals: literals_pb2.LiteralMap) -> None:
        """Store the literal map."""
        data = literals.SerializeToString(deterministic=True)
        await self._blobs.write(uri, data)
        self._remember(uri, literals, len(data))

    async def copy(self, source: str, target: str) -> None:
        """Store the literal map at `source` under `target` too."""
        await self.write(target, await self.read(source))

    def _remember(self, uri: str, literals: literals_pb2.LiteralMap, size: int) -> None:
        _, before = self._cache.pop(uri, (None, 0))
        self._cached_bytes -= before
        if size > _LARGE:
            return
        self._cache[uri] = literals, size + _OVERHEAD
        self._cached_bytes += size + _OVERHEAD
        while self._cached_bytes > _CACHED_BYTES:
            _, (_, gone) = self._cache.popitem(last=False)
            self._cached_bytes -= gone

    async def wrote_nodes(self, prefix: str) -> bool:
        """Whether the attempt wrote nodes to run instead of outputs: it is a dynamic task's."""
        return await self._blobs.size(f"{prefix}/futures.pb") is not None

    async def left_deck(self, task: tasks_pb2.TaskTemplate, prefix: str) -> bool:
        """Whether an attempt left a deck. A task that said it makes none is not asked."""
        said = task.metadata
        if said.HasField("generates_deck") and not said.generates_deck.value:
            return False
        return await self._blobs.size(f"{prefix}/deck.html") is not None

    async def copy_nodes(self, uri: str, prefix: str) -> None:
        """Store what a dynamic task of another run wrote as if an attempt of this run had."""
        try:
            await self._blobs.write(f"{prefix}/futures.pb", await self._blobs.read(uri))
        except FileNotFoundError:
            raise TaskError(
                f"{uri} is gone; it was there before", code="DynamicWorkflowBuildFailed"
            ) from None

    async def read_nodes(self, prefix: str) -> dynamic_job_pb2.DynamicJobSpec:
        """The nodes that a dynamic task wrote. A missing or broken file is a TaskError."""
        uri = f"{prefix}/futures.pb"
        try:
            return dynamic_job_pb2.DynamicJobSpec.FromString(await self._blobs.read(uri))
        except (FileNotFoundError, DecodeError):
            raise TaskError(f"{uri} is no DynamicJobSpec", code="DynamicWorkflowBuildFailed") from None

    async def read_closure(self, uri: str) -> compiler_pb2.CompiledWorkflowClosure:
        """The compiled workflow that `write_closure` wrote."""
        try:
            return compiler_pb2.CompiledWorkflowClosure.FromString(await self._blobs.read(uri))
        except (FileNotFoundError, DecodeError) as error:
            raise TaskError(f"the workflow at {uri} cannot be read: {error}", code="CorruptedFile") from None

    async def write_closure(self, uri: str, closure: compiler_pb2.CompiledWorkflowClosure) -> None:
        """Store a compiled workflow."""
        await self._blobs.write(uri, closure.SerializeToString(deterministic=True))

    async def write_template(self, uri: str, template: tasks_pb2.TaskTemplate) -> None:
        """Store a task's template, for a command that asks for it."""
        await self._blobs.write(uri, template.SerializeToString(deterministic=True))

    async def judge(
        self, prefix: str, outputs: Sequence[str], seen: Observation
    ) -> tuple[Observation, RunError | None]:
        """What a success amounts to, by what its attempt wrote under `prefix`: propeller.md, section 3.6."""
        document = await self._error(f"{prefix}/error.pb")
        if document is not None:
            return document
        if not outputs:
            return seen, None
        size = await self._blobs.size(f"{prefix}/outputs.pb")
        if size is None:
            message = f"Outputs not generated by task execution: {prefix}/outputs.pb does not exist"
            return Observation.retryable("OutputsNotFound", message), None
        if size > self._limit:
            message = f"the outputs are {size} bytes, and the limit is {self._limit}; return files instead"
            return Observation.permanent("OutputSizeExceeded", message), None
        return await self._complete(f"{prefix}/outputs.pb", outputs, seen)

    async def _complete(
        self, uri: str, outputs: Sequence[str], seen: Observation
    ) -> tuple[Observation, RunError | None]:
        try:
            literals = await self.read(uri)
        except TaskError as error:
            return Observation.permanent(error.code, error.message), None
        missing = [name for name in outputs if name not in literals.literals]
        if missing:
            return Observation.permanent("OutputsNotFound", f"{uri} lacks the outputs {missing}"), None
        return seen, None

    async def _error(self, uri: str) -> tuple[Observation, RunError | None] | None:
        if await self._blobs.size(uri) is None:
            return None
        try:
            error = errors_pb2.ErrorDocument.FromString(await self._blobs.read(uri)).error
        except DecodeError:
            error = errors_pb2.ContainerError()
        if not (error.code or error.message):
            return Observation.retryable(
                "ErrorFileBadFormat", f"{uri} holds no error", ErrorKind.SYSTEM
            ), None
        kind = ErrorKind(error.origin) if error.origin in (1, 2) else ErrorKind.USER
        at = error.timestamp.ToDatetime().astimezone() if error.HasField("timestamp") else None
        recoverable = error.kind == errors_pb2.ContainerError.Kind.RECOVERABLE
        make = Observation.retryable if recoverable else Observation.permanent
        return make(error.code, error.message, kind), RunError(error.code, error.message, kind, at)
