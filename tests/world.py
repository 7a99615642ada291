"""A propeller in surroundings of memory, to play whole runs and to crash it at any point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flyteidl.admin import workflow_pb2
from flyteidl.core import compiler_pb2, literals_pb2
from lacewing.engine.effects import Effects
from lacewing.engine.files import RunFiles
from lacewing.engine.loop import EVERYTHING, Loop, timer_hint
from lacewing.engine.outside import Outside
from lacewing.hooks.registry import build_registry
from lacewing.model.events import NodeEvent, TaskEvent
from lacewing.model.ids import RunKey
from lacewing.model.run import Run, RunSpec
from lacewing.testing import (
    ManualClock,
    MemoryBlobStore,
    MemoryCatalog,
    MemoryChildren,
    MemoryCluster,
    MemoryDynamics,
    MemoryEvents,
    MemoryRunStore,
    MemorySignals,
    MockBackend,
    Plan,
    make_workflow,
)

KEY = RunKey("flytesnacks", "development", "run1")
_ORDER = ("max_parallelism", "overwrite_cache")


def literal(value: Any) -> literals_pb2.Literal:
    """An integer, a boolean, a text, or a list of them."""
    found = literals_pb2.Literal()
    if isinstance(value, list):
        found.collection.SetInParent()
        found.collection.literals.extend(literal(one) for one in value)
    elif isinstance(value, bool):
        found.scalar.primitive.boolean = value
    elif isinstance(value, int):
        found.scalar.primitive.integer = value
    else:
        found.scalar.primitive.string_value = value
    return found


def literals(**values: Any) -> literals_pb2.LiteralMap:
    """A map of them."""
    return literals_pb2.LiteralMap(literals={name: literal(value) for name, value in values.items()})


class Crash(BaseException):
    """Stands for the end of the process."""


class World:
    """A propeller's surroundings, which outlive it."""

    def __init__(
        self,
        edges: Mapping[str, Sequence[str]] | compiler_pb2.CompiledWorkflowClosure,
        plan: Callable[[Any], Plan] = lambda task: Plan(),
        beside: "World | None" = None,
        name: str = KEY.name,
        **options: Any,
    ) -> None:
        """Options are those of RunSpec and of `make_workflow`. Worlds beside each other share a catalog."""
        self.store, self.blobs, self.events = MemoryRunStore(), MemoryBlobStore(), MemoryEvents()
        self.cluster, self.clock = MemoryCluster(), ManualClock()
        self.children, self.signals, self.dynamics = MemoryChildren(), MemorySignals(), MemoryDynamics()
        self.catalog = MemoryCatalog(self.clock)
        if beside is not None:
            self.clock, self.catalog = beside.clock, beside.catalog
        self.backend = MockBackend(self.blobs, plan)
        self.edges = edges
        order = {key: options.pop(key) for key in _ORDER if key in options}
        inputs = literals(**options.pop("inputs", {}))
        made = make_workflow(edges, **options) if isinstance(edges, Mapping) else edges
        closure = workflow_pb2.WorkflowClosure(compiled_workflow=made)
        self.blobs.blobs["closure"] = closure.SerializeToString()
        self.blobs.blobs["inputs"] = inputs.SerializeToString()
        self.key = replace(KEY, name=name)
        self.spec = RunSpec(self.key, "closure", "inputs", "/out", "/raw", "ns", **order)

    def loop(self) -> Loop:
        registry, files = build_registry([self.backend], "mock"), RunFiles(self.blobs)
        outside = Outside(files, self.children, self.signals)
        effects = Effects(registry, self.cluster, files, outside, self.dynamics, self.catalog)
        return Loop(self.store, self.blobs, self.events, effects, self.clock)

    @property
    def run(self) -> Run:
        return self.store.runs[self.key].run

    async def play(self, passes: int = 500, abort_after: int = -1) -> Run:
        """Reconcile until the run is over; ask for its abort after so many passes."""
        await self.store.create(self.spec)
        loop = self.loop()
        for number in range(passes):
            if self.run.phase.terminal:
                return self.run
            if number == abort_after:
                await self.store.request_abort(self.key, "enough")
                await loop.reconcile(self.key, {"+", EVERYTHING})
                continue
            await self.turn(loop)
            self.clock.move(1)
        raise AssertionError(f"the run is still {self.run}")

    async def turn(self, loop: Loop) -> None:
        """One pass over everything, and one over what is due."""
        await loop.reconcile(self.key, {EVERYTHING})
        while not loop.queue._order.empty():
            await loop.queue.get()
        due = [timer for _, _, _, timer in loop._timers if timer.at <= self.clock.now()]
        hints = {timer_hint(timer) for timer in due}
        if hints:
            await loop.reconcile(self.key, hints)


def chain(length: int) -> dict[str, list[str]]:
    return {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(length)}


def distinct(world: World) -> set[tuple[object, ...]]:
    """The events without their times: a replay may tell one again, never another."""
    found: set[tuple[object, ...]] = set()
    for event in world.events.events:
        if isinstance(event, TaskEvent):
            found.add(("task", event.node_id, event.attempt, event.phase))
        elif isinstance(event, NodeEvent):
            found.add(("node", event.node_id, event.phase))
        else:
            found.add(("run", event.phase, event.succeeding))
    return found


def crashing(world: World, at: int) -> None:
    """Let the `at`-th outward call end the process, before or after its effect."""
    calls = 0

    def wrap(owner: object, name: str) -> None:
        original = getattr(owner, name)

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            number = 2 * calls
            if at == number:
                raise Crash(name)
            result = await original(*args, **kwargs)
            if at == number + 1:
                raise Crash(name)
            return result

        setattr(owner, name, wrapped)

    for owner, name in [
        (world.store, "save"),
        (world.events, "send"),
        (world.blobs, "write"),
        (world.backend, "launch"),
        (world.backend, "abort"),
        (world.catalog, "put"),
        (world.catalog, "reserve"),
        (world.catalog, "release"),
        (world.children, "start"),
        (world.children, "stop"),
        (world.dynamics, "compile"),
    ]:
        wrap(owner, name)
