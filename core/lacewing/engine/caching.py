"""Asks the catalog for cached tasks: before they are launched, and when they are done.

Rules: propeller.md, section 7. Trouble with the catalog delays a launch, and fails no task that succeeded.
"""

from collections.abc import Callable
from typing import NamedTuple

import structlog
from flyteidl.core import literals_pb2

from lacewing.engine import arrays, layout
from lacewing.engine.files import RunFiles
from lacewing.engine.nodes.task import HEARTBEAT_SECONDS
from lacewing.errors import LacewingError, TransientError
from lacewing.model.cache import CacheKey, CacheNote, CacheStatus, Source, cache_key
from lacewing.model.graph import Node
from lacewing.model.ids import RunKey
from lacewing.model.run import RunSpec
from lacewing.model.steps import Found, Kept, Missed
from lacewing.ports import Catalog

log = structlog.get_logger(__name__)
_POLL_SECONDS = 1.0
"""How often whoever waits for another's outputs looks whether they are there, unless it is woken."""


class Waiting(NamedTuple):
    """A node, or an element of an array, that another one computes the outputs for."""

    run: RunKey
    node_id: str
    attempt: int
    element: int


class Caching:
    """What the engine does about caches. A node's inputs are written before any of it."""

    def __init__(self, files: RunFiles, catalog: Catalog) -> None:
        self.files, self.catalog = files, catalog
        self.wake: Callable[[Waiting], None] = lambda waiting: None
        """Called for each that waited, when the one that they waited for in this process is done."""
        self._waiting: dict[CacheKey, dict[str, Waiting]] = {}

    async def lookup(self, spec: RunSpec, node: Node, attempt: int, element: int) -> Found | Missed:
        """The outputs, put where the attempt would write them; or that they are ours to compute.

        Raises TransientError while someone else computes them.
        """
        assert node.cache is not None
        key = await self._key(spec, node, element)
        found = await self._find(spec, node, attempt, element, key)
        if found is not None:
            return found
        if node.cache.serialize:
            await self._reserve(spec, node, attempt, element, key)
            # The one before us may have finished just now.
            found = await self._find(spec, node, attempt, element, key)
            if found is not None:
                await self._release(spec, node, element, key)
                return found
        return Missed(node.id, attempt, element)

    async def keep(self, spec: RunSpec, node: Node, attempt: int, element: int) -> Kept:
        """Give the catalog what the attempt wrote, and let go of the reservation."""
        assert node.cache is not None
        key = await self._key(spec, node, element)
        note = await self._put(spec, node, attempt, element, key)
        if node.cache.serialize:
            try:
                await self._release(spec, node, element, key)
            except LacewingError as error:
                log.warning("reservation not released", run=str(spec.key), node=node.id, reason=error.message)
        return Kept(node.id, attempt, note, element)

    async def _put(self, spec: RunSpec, node: Node, attempt: int, element: int, key: CacheKey) -> CacheNote:
        assert node.task is not None
        source = Source(spec.key, _uid(node, element), attempt, node.task.id.version)
        try:
            outputs = await self.files.read(_output_uri(spec, node, attempt, element))
            stored = await self.catalog.put(key, outputs, source, overwrite=spec.overwrite_cache)
        except Exception as error:
            reason = error.message if isinstance(error, LacewingError) else repr(error)
            log.warning("outputs are not cached", run=str(spec.key), node=node.id, reason=reason)
            return CacheNote(CacheStatus.PUT_FAILURE, key)
        shown = source if stored.replaced else None
        return CacheNote(CacheStatus.POPULATED, key, stored.artifact_id, shown)

    async def extend(self, spec: RunSpec, node: Node, element: int) -> None:
        """Keep the reservation, if it is still ours; one that was lost ends nothing."""
        try:
            key = await self._key(spec, node, element)
            await self.catalog.reserve(key, _owner(spec, node, element), HEARTBEAT_SECONDS)
        except LacewingError as error:
            log.warning("reservation not extended", run=str(spec.key), node=node.id, reason=error.message)

    async def _find(
        self, spec: RunSpec, node: Node, attempt: int, element: int, key: CacheKey
    ) -> Found | None:
        if spec.overwrite_cache:
            return None
        artifact = await self.catalog.lookup(key)
        if artifact is None or not _complete(node, artifact.outputs):
            return None
        await self.files.write(_output_uri(spec, node, attempt, element), artifact.outputs)
        note = CacheNote(CacheStatus.HIT, key, artifact.id, artifact.source)
        return Found(node.id, attempt, note, element)

    async def _release(self, spec: RunSpec, node: Node, element: int, key: CacheKey) -> None:
        await self.catalog.release(key, _owner(spec, node, element))
        for waiting in self._waiting.pop(key, {}).values():
            self.wake(waiting)

    async def _reserve(self, spec: RunSpec, node: Node, attempt: int, element: int, key: CacheKey) -> None:
        owner = _owner(spec, node, element)
        holder = await self.catalog.reserve(key, owner, HEARTBEAT_SECONDS)
        if holder != owner:
            waiting = Waiting(spec.key, node.id, attempt, element)
            self._waiting.setdefault(key, {})[owner] = waiting
            reason = f"waiting on serialized cache: {holder} computes the same"
            raise TransientError(reason, delay=_POLL_SECONDS, code="CacheReserved")

    async def _key(self, spec: RunSpec, node: Node, element: int) -> CacheKey:
        assert node.cache is not None
        assert node.task is not None
        inputs = await self.files.read(layout.input_uri(spec, node))
        if element >= 0:
            inputs = arrays.element_inputs(node, inputs, element)
        return cache_key(node.task, node.cache, inputs, element=element >= 0)


def _complete(node: Node, outputs: literals_pb2.LiteralMap) -> bool:
    """Whether all is there that the task declares; what is not counts as not found."""
    assert node.task is not None
    return set(node.task.interface.outputs.variables) <= set(outputs.literals)


def _uid(node: Node, element: int) -> str:
    return node.id if element < 0 else layout.element_uid(node, element)


def _owner(spec: RunSpec, node: Node, element: int) -> str:
    """Whoever computes a node's outputs, in whichever attempt."""
    return f"{spec.key}:{_uid(node, element)}"


def _output_uri(spec: RunSpec, node: Node, attempt: int, element: int) -> str:
    if element < 0:
        return layout.output_uri(spec, node, attempt)
    return f"{layout.element_prefix(spec, node, element, attempt)}/outputs.pb"
