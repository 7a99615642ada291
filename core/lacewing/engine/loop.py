"""One pass over one run: load, observe what changed, decide, act, tell, save.

A pass that fails anywhere leaves the stored run as it was: the next pass does the same again, under the same
names, and finds what it did before. Live runs are kept in memory; the store's version says when that is
stale.
"""

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from datetime import timedelta

import structlog
from flyteidl.admin import workflow_pb2
from google.protobuf.message import DecodeError

from lacewing.engine import attempts
from lacewing.engine.advance import advance
from lacewing.engine.caching import Waiting
from lacewing.engine.contexts import element_hint
from lacewing.engine.effects import Effects
from lacewing.engine.queue import KeyedQueue
from lacewing.errors import ConflictError, LacewingError, TaskError
from lacewing.model.codec import derive
from lacewing.model.events import Event
from lacewing.model.graph import EMPTY_GRAPH, Graph, NodeKind, build_graph
from lacewing.model.ids import RunKey
from lacewing.model.phases import ErrorKind, RunPhase
from lacewing.model.run import GROWN, Run, RunError
from lacewing.model.steps import (
    AbortRequested,
    Begin,
    Emit,
    Grown,
    Launch,
    Launched,
    Observed,
    RunBroken,
    Stimulus,
    Timer,
    TimerFired,
)
from lacewing.ports import BlobStore, Clock, EventSink, Loaded, RunStore

log = structlog.get_logger(__name__)
EVERYTHING = "*"
"""The hint that asks for every active node to be looked at."""
GC_THRESHOLDS = (20_000, 20, 20)
"""For `gc.set_threshold` of a process that runs a loop: runs and graphs are many objects without cycles, and
Python's own thresholds have the collector walk them again and again."""
_FRESH = "+"
_TIMER = "@"
_LOOK = -1
"""In place of a timer's attempt: its node id is a hint, and asks for a look."""
_GRAPHS = 256


class Loop:
    """Reconciles runs. `wake` is how the world says that something may have changed."""

    def __init__(
        self, store: RunStore, blobs: BlobStore, events: EventSink, effects: Effects, clock: Clock
    ) -> None:
        self._store, self._blobs, self._events = store, blobs, events
        self._effects, self._clock = effects, clock
        self.queue: KeyedQueue[RunKey] = KeyedQueue()
        self._live: dict[RunKey, tuple[Loaded, Graph]] = {}
        self._graphs: dict[str, Graph] = {}
        self._timers: list[tuple[float, int, RunKey, Timer]] = []
        self._failures: dict[RunKey, int] = {}
        self._sequence = 0
        self.launches = 0
        self.events = 0
        self._looks: set[tuple[RunKey, str]] = set()
        self._timer_set = asyncio.Event()
        effects.caching.wake = self._look_again

    @property
    def live_runs(self) -> int:
        """How many runs are in memory."""
        return len(self._live)

    def wake(self, key: RunKey, *node_ids: str) -> None:
        """Something about these nodes may have changed; without any, about the whole run."""
        self.queue.add(key, node_ids or (EVERYTHING,))

    def wake_fresh(self, key: RunKey) -> None:
        """The stored run was changed by someone else: look there again."""
        self.queue.add(key, (_FRESH, EVERYTHING))

    def _look_again(self, waiting: Waiting) -> None:
        """What it waited for may be there."""
        key, node_id, attempt, element = waiting
        self.queue.add(key, (timer_hint(Timer(self._clock.now(), node_id, attempt, element)),))

    async def work(self) -> None:
        """Reconcile one key after the other, for ever."""
        while True:
            key, hints = await self.queue.get()
            try:
                await self.reconcile(key, hints)
                self._failures.pop(key, None)
            except ConflictError:
                self._live.pop(key, None)
                self.wake_fresh(key)
            except Exception as error:
                self._postpone(key, hints, error)
            finally:
                self.queue.done(key)

    def _postpone(self, key: RunKey, hints: set[str], error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(getattr(error, "delay", 0.0), min(0.1 * 2**failures, 30.0))
        if isinstance(error, LacewingError):
            log.warning("pass failed", run=str(key), reason=error.message, retry_in_seconds=delay)
        else:
            log.error("pass failed", run=str(key), retry_in_seconds=delay, exc_info=error)
        self._live.pop(key, None)
        at = self._clock.now() + timedelta(seconds=delay)
        self._arm(key, Timer(at, EVERYTHING, _LOOK))

    async def run_timers(self) -> None:
        """Wake runs at the moments that their steps asked for, for ever."""
        while True:
            now = self._clock.now().timestamp()
            while self._timers and self._timers[0][0] <= now:
                _, _, key, timer = heapq.heappop(self._timers)
                self._looks.discard((key, timer.node_id))
                self.queue.add(key, (timer_hint(timer),))
            self._timer_set.clear()
            wait = max(self._timers[0][0] - now, 0.001) if self._timers else 3600.0
            try:
                await asyncio.wait_for(self._timer_set.wait(), wait)
            except TimeoutError:
                continue

    def _arm(self, key: RunKey, timer: Timer) -> None:
        self._sequence += 1
        heapq.heappush(self._timers, (timer.at.timestamp(), self._sequence, key, timer))
        self._timer_set.set()

    async def reconcile(self, key: RunKey, hints: set[str]) -> None:
        """One pass. Raises ConflictError when someone else saved, TransientError to be tried again."""
        entry = await self._load(key, fresh=_FRESH in hints)
        if entry is None:
            return
        loaded, graph = entry
        if isinstance(graph, RunError):
            await self._decide(loaded, EMPTY_GRAPH, [RunBroken(graph)])
            return
        stimuli = await self._stimuli(loaded, graph, hints)
        if not stimuli:
            return
        await self._decide(loaded, graph, stimuli)

    async def _decide(self, loaded: Loaded, graph: Graph, stimuli: Sequence[Stimulus]) -> None:
        spec, run = loaded.spec, loaded.run
        events: list[Event] = []
        while stimuli:
            graph = _grown(graph, stimuli)
            step = advance(graph, spec, run, stimuli, self._clock.now())
            run = step.run
            launches = []
            for done in step.instructions:
                if isinstance(done, Emit):
                    events.append(done.event)
                elif isinstance(done, Launch):
                    launches.append(done)
            for timer in step.timers:
                self._arm(run.key, timer)
            self.launches += len(launches)
            if launches and _starts_children(graph, launches):
                # Admin takes a child only of a node that it knows.
                await self._tell(events)
                events = []
            stimuli = await self._effects.perform(graph, spec, run, step.instructions)
            for hint in _unwatched(stimuli):
                # A signal that was set before, a child that has ended, work that nobody tells of.
                self.wake(run.key, hint)
        if not events and not run.touched and run.phase is loaded.run.phase:
            return
        await self._tell(events)
        version = await self._store.save(run, loaded.version)
        if run.phase.terminal:
            self._live.pop(run.key, None)
        else:
            kept = loaded._replace(run=run._replace(touched=frozenset()), version=version)
            self._live[run.key] = (kept, graph)

    async def _tell(self, events: Sequence[Event]) -> None:
        if events:
            await self._events.send(events)
            self.events += len(events)

    async def _load(self, key: RunKey, *, fresh: bool) -> tuple[Loaded, Graph | RunError] | None:
        if not fresh and (entry := self._live.get(key)) is not None:
            return entry
        known = self._live.get(key)
        if known is not None and (seen := await self._store.glance(key)) is not None:
            version, abort_cause = seen
            if version == known[0].version:
                return known[0]._replace(abort_cause=abort_cause), known[1]
        loaded = await self._store.load(key)
        if loaded is None or loaded.run.phase.terminal:
            self._live.pop(key, None)
            return None
        try:
            graph = await self._regrown(await self._graph(loaded.spec.closure_uri), loaded.run)
        except TaskError as error:
            return loaded, RunError(error.code, error.message, ErrorKind.SYSTEM)
        loaded = loaded._replace(run=derive(graph, loaded.run))
        self._live[key] = (loaded, graph)
        self._rearm(loaded, graph)
        return loaded, graph

    def _rearm(self, loaded: Loaded, graph: Graph) -> None:
        for node_id in loaded.run.active.values():
            state = loaded.run.nodes[node_id]
            due = attempts.due_at(graph.node(node_id), state, self._clock.now())
            if due is not None:
                self._arm(loaded.run.key, Timer(due, node_id, state.attempt))

    async def _regrown(self, graph: Graph, run: Run) -> Graph:
        """The graph with all that dynamic tasks made in the run, theirs below them included."""
        at = 0
        while at < len(graph.nodes):
            node = graph.nodes[at]
            state = run.nodes.get(node.id)
            if state is not None and state.handle is not None and GROWN in state.handle:
                closure = await self._effects.files.read_closure(state.handle[GROWN])
                graph = graph.grow(node, state.attempt, closure)
            at += 1
        return graph

    async def _stimuli(self, loaded: Loaded, graph: Graph, hints: set[str]) -> list[Stimulus]:
        if loaded.abort_cause is not None:
            return [AbortRequested(loaded.abort_cause)]
        if loaded.run.phase is RunPhase.READY:
            return await self._begin(loaded)
        run = loaded.run
        if EVERYTHING in hints:
            active = sorted(run.active)
        else:
            hinted = (graph.index[hint] for hint in hints if hint in graph.index)
            active = sorted(at for at in hinted if at in run.active)
        stimuli: list[Stimulus] = []
        for at in active:
            stimuli += await self._effects.observe(graph, loaded.spec, run, graph.nodes[at].id)
        if EVERYTHING not in hints:
            for node_id, element in sorted(_elements(hints)):
                if graph.index.get(node_id, -1) in run.active:
                    stimuli += await self._effects.observe(graph, loaded.spec, run, node_id, element)
        self._plan_looks(run.key, stimuli)
        for hint in sorted(hint for hint in hints if hint.startswith(_TIMER)):
            attempt, index, node_id = hint.removeprefix(_TIMER).split(":", 2)
            stimuli.append(TimerFired(node_id, int(attempt), int(index)))
        return stimuli

    def _plan_looks(self, key: RunKey, seen: Sequence[Stimulus]) -> None:
        """Come back to what nobody tells of."""
        for one in seen:
            if not isinstance(one, Observed) or not one.observation.look_again_seconds:
                continue
            if (key, _hint(one)) not in self._looks:
                self._looks.add((key, _hint(one)))
                at = self._clock.now() + timedelta(seconds=one.observation.look_again_seconds)
                self._arm(key, Timer(at, _hint(one), _LOOK))

    async def _begin(self, loaded: Loaded) -> list[Stimulus]:
        try:
            await self._effects.begin(loaded.spec)
        except TaskError as error:
            return [RunBroken(RunError(error.code, error.message, ErrorKind.SYSTEM))]
        return [Begin()]

    async def _graph(self, uri: str) -> Graph:
        if (graph := self._graphs.get(uri)) is not None:
            return graph
        try:
            closure = workflow_pb2.WorkflowClosure.FromString(await self._blobs.read(uri))
        except (FileNotFoundError, DecodeError) as error:
            message = f"the compiled workflow at {uri} cannot be read; register it again: {error}"
            raise TaskError(message, code="WorkflowNotReadable") from None
        graph = build_graph(closure.compiled_workflow)
        if len(self._graphs) >= _GRAPHS:
            self._graphs.pop(next(iter(self._graphs)))
        self._graphs[uri] = graph
        return graph


def _grown(graph: Graph, stimuli: Sequence[Stimulus]) -> Graph:
    for stimulus in stimuli:
        if isinstance(stimulus, Grown):
            graph = graph.grow(graph.node(stimulus.node_id), stimulus.attempt, stimulus.workflow.closure)
    return graph


def _unwatched(stimuli: Sequence[Stimulus]) -> Iterator[str]:
    for one in stimuli:
        if isinstance(one, Launched) and one.look:
            yield _hint(one)


def _hint(one: Launched | Observed) -> str:
    return one.node_id if one.element < 0 else element_hint(one.node_id, one.element)


def _starts_children(graph: Graph, launches: Sequence[Launch]) -> bool:
    nodes = (graph.node(one.node_id) for one in launches)
    return any(node.task is None and node.kind is not NodeKind.GATE for node in nodes)


def timer_hint(timer: Timer) -> str:
    """How a pass is told that a moment has come."""
    if timer.attempt == _LOOK:
        return timer.node_id
    return f"{_TIMER}{timer.attempt}:{timer.element}:{timer.node_id}"


def _elements(hints: set[str]) -> Iterator[tuple[str, int]]:
    for hint in hints:
        node_id, mark, element = hint.partition("#")
        if mark:
            yield node_id, int(element)
