"""The array node: one task or launch plan, once for each element of its lists. Pure.

Rules: propeller.md, section 5.2. Elements have the inner node's retries and timeout; the array itself has one
attempt. It fails as soon as too few can still succeed, and is done when enough have and none is at work.
"""

import math
import struct
from datetime import timedelta

from lacewing.engine import attempts, layout, outcome
from lacewing.engine.change import Change
from lacewing.engine.nodes.task import HEARTBEAT_SECONDS
from lacewing.engine.tell import tell_array
from lacewing.model.array import ArrayRun, Element, ElementPhase
from lacewing.model.cache import CacheStatus
from lacewing.model.graph import Node
from lacewing.model.phases import ErrorKind, NodePhase, TaskPhase
from lacewing.model.run import NodeRun, RunError
from lacewing.model.steps import (
    Abort,
    CacheAnswer,
    Delayed,
    Extend,
    Found,
    Gather,
    Keep,
    Kept,
    Launch,
    Launched,
    Lookup,
    Missed,
    NodeStimulus,
    Observed,
    Sized,
    Timer,
    TimerFired,
)

_TOLD_ERRORS = 20
_ERROR_LIMIT = 4_000
_EVENTS = 64
"""About how many events tell of an array's elements while it runs, however many there are."""


def start(change: Change, node: Node) -> None:
    """Have its inputs resolved and its elements counted."""
    change.tell_node(node, NodePhase.QUEUED)
    change.put(node, NodeRun(NodePhase.QUEUED, queued_at=change.now, attempt_at=change.now))
    change.ask(Launch(node.id, 0))


def sized(change: Change, node: Node, stimulus: Sized) -> None:
    """The number of elements is known: the first ones start."""
    state = change.state(node.id)
    array = ArrayRun(ElementPhase.WAITING * stimulus.size)
    change.tell_node(node, NodePhase.RUNNING)
    state = state._replace(phase=NodePhase.RUNNING, started_at=change.now, array=array)
    change.put(node, state)
    tell_array(change, node, state, ())
    _go_on(change, node, array)


def element(change: Change, node: Node, stimulus: NodeStimulus) -> None:
    """Something happened to one element."""
    array, at = array_of(change, node), stimulus.element
    one = array.element(at)
    if array.phases[at] != ElementPhase.ACTIVE or one.attempt != stimulus.attempt:
        return
    if isinstance(stimulus, Launched):
        array = _keep(array, at, one._replace(handle=stimulus.handle))
        _arm_heartbeat(change, node, at, one)
        _go_on(change, node, array)
    elif isinstance(stimulus, Delayed):
        _arm(change, node, at, one, stimulus.delay)
    elif isinstance(stimulus, TimerFired):
        _timer(change, node, array, at)
    elif isinstance(stimulus, Observed):
        _observed(change, node, array, stimulus)
    elif isinstance(stimulus, Found | Missed | Kept):
        _cached(change, node, array, stimulus)


def timer(change: Change, node: Node) -> None:
    """Ask again for what is due: the count, launches, or the outputs."""
    state = change.state(node.id)
    if state.array is None:
        change.ask(Launch(node.id, 0))
        return
    for at in state.array.active():
        one = state.array.element(at)
        if one.handle is None:
            change.ask(attempts.order(node, one.attempt, at))
        else:
            _beat(change, node, at, one)
    _go_on(change, node, state.array)


def array_of(change: Change, node: Node) -> ArrayRun:
    """The state of an array at work."""
    array = change.state(node.id).array
    assert array is not None
    return array


def gathered(change: Change, node: Node) -> None:
    """The elements' outputs are one file now."""
    state = change.state(node.id)
    output = layout.output_uri(change.spec, node, 0)
    done = state._replace(task_phase=TaskPhase.SUCCEEDED)
    tell_array(change, node, done, range(array_of(change, node).size), output_uri=output)
    outcome.succeed(change, node, output)


def wanted(node: Node, size: int) -> int:
    """How many elements must succeed. The ratio is a float32, as Flyte computes with it."""
    array = node.message.array_node
    criterion = array.WhichOneof("success_criteria")
    if criterion == "min_successes":
        return min(int(array.min_successes), size)
    if criterion == "min_success_ratio":
        ratio: float = struct.unpack("f", struct.pack("f", array.min_success_ratio))[0]
        return min(math.ceil(ratio * size), size)
    return size


def _observed(change: Change, node: Node, array: ArrayRun, stimulus: Observed) -> None:
    seen, at = stimulus.observation, stimulus.element
    one = array.element(at)
    if seen.links and one.task_phase < TaskPhase.RUNNING <= seen.phase:
        links = tuple((at, link.name, link.uri) for link in seen.links)
        array = array._replace(links=array.links + links)
        change.put(node, change.state(node.id)._replace(array=array))
    if seen.phase is TaskPhase.SUCCEEDED and node.cache is not None:
        change.ask(Keep(node.id, one.attempt, at))
    elif seen.phase is TaskPhase.SUCCEEDED:
        _end(change, node, array, at, ElementPhase.SUCCEEDED)
    elif seen.phase in (TaskPhase.PERMANENT, TaskPhase.RETRYABLE):
        error = stimulus.error or RunError(seen.code, seen.reason, seen.kind)
        permanent = seen.phase is TaskPhase.PERMANENT
        _failed(change, node, array, at, error, None if permanent else seen.kind)
    elif seen.phase is not one.task_phase:
        array = _keep(array, at, one._replace(task_phase=seen.phase))
        _tell_some(change, node, array._replace(untold=(*array.untold, at)))


def _failed(
    change: Change, node: Node, array: ArrayRun, at: int, error: RunError, paid_by: ErrorKind | None
) -> None:
    one = array.element(at)
    if one.handle is not None:
        change.ask(Abort(node.id, one.attempt, one.handle, at))
    system = one.system_failures + (paid_by is ErrorKind.SYSTEM)
    spent, limit = attempts.budget(node, one.attempt, system, paid_by or ErrorKind.USER)
    if paid_by is not None and spent < limit:
        _launch(
            change, node, array, at, Element(one.attempt + 1, system, failures=(*one.failures, error.code))
        )
        return
    if len(array.errors) < _TOLD_ERRORS:
        array = array._replace(errors=(*array.errors, f"[{at}]: {error.message[:_ERROR_LIMIT]}"))
    _end(change, node, array, at, ElementPhase.FAILED)


def _end(change: Change, node: Node, array: ArrayRun, at: int, phase: ElementPhase) -> None:
    one = array.element(at)
    array = array.enter(at, phase)
    if one.attempt:
        array = _keep(array, at, Element(one.attempt, one.system_failures))
    else:
        array = array._replace(elements=array.elements.delete(at))
    array = array._replace(untold=(*array.untold, at))
    if array.size - array.failed < wanted(node, array.size):
        _fail(change, node, array)
    else:
        _go_on(change, node, array)


def _fail(change: Change, node: Node, array: ArrayRun) -> None:
    outcome.abort_elements(change, node, array)
    for at in array.active():
        array = array.enter(at, ElementPhase.ABORTED)
    error = RunError("ArrayNodeFailed", "\r\n".join(array.errors))
    state = change.state(node.id)._replace(array=array, task_phase=TaskPhase.PERMANENT)
    change.put(node, state)
    tell_array(change, node, state, range(array.size), error=error)
    outcome.fail(change, node, error)


def _go_on(change: Change, node: Node, array: ArrayRun) -> None:
    """Launch what has a place; when nothing is left, gather."""
    limit = node.message.array_node.parallelism or change.spec.element_parallelism
    while array.next_index < array.size and not (limit and array.running >= limit):
        at = array.next_index
        array = array._replace(next_index=at + 1).enter(at, ElementPhase.ACTIVE)
        array = _launch(change, node, array, at, Element())
    _tell_some(change, node, array)
    if array.running == 0 and array.next_index == array.size:
        change.ask(Gather(node.id))


def _cached(change: Change, node: Node, array: ArrayRun, stimulus: CacheAnswer) -> None:
    at = stimulus.element
    if isinstance(stimulus, Missed):
        _begin(change, node, array, at, array.element(at))
    elif isinstance(stimulus, Found):
        _end(change, node, array, at, ElementPhase.HIT)
    else:
        took = stimulus.note.status is CacheStatus.POPULATED
        _end(change, node, array, at, ElementPhase.KEPT if took else ElementPhase.UNKEPT)


def _launch(change: Change, node: Node, array: ArrayRun, at: int, one: Element) -> ArrayRun:
    if node.cache is None:
        return _begin(change, node, array, at, one)
    array = _keep(array, at, one)
    change.put(node, change.state(node.id)._replace(array=array))
    change.ask(Lookup(node.id, one.attempt, at))
    return array


def _begin(change: Change, node: Node, array: ArrayRun, at: int, one: Element) -> ArrayRun:
    array = _keep(array, at, one._replace(attempt_at=change.now))
    change.put(node, change.state(node.id)._replace(array=array))
    change.ask(Launch(node.id, one.attempt, at))
    if node.timeout_seconds:
        _arm(change, node, at, one, node.timeout_seconds)
    return array


def _timer(change: Change, node: Node, array: ArrayRun, at: int) -> None:
    one = array.element(at)
    limit = timedelta(seconds=node.timeout_seconds)
    if limit and one.attempt_at is not None and change.now >= one.attempt_at + limit:
        message = f"task execution timeout [{attempts.duration_text(node.timeout_seconds)}] expired"
        _failed(change, node, array, at, RunError("TimeoutExpired", message), ErrorKind.USER)
    elif one.handle is None:
        change.ask(attempts.order(node, one.attempt, at))
    else:
        _beat(change, node, at, one)


def _beat(change: Change, node: Node, at: int, one: Element) -> None:
    if node.cache is not None and node.cache.serialize:
        change.ask(Extend(node.id, one.attempt, at))
        _arm_heartbeat(change, node, at, one)


def _arm_heartbeat(change: Change, node: Node, at: int, one: Element) -> None:
    if node.cache is not None and node.cache.serialize:
        _arm(change, node, at, one, HEARTBEAT_SECONDS)


def _arm(change: Change, node: Node, at: int, one: Element, seconds: float) -> None:
    change.timers.append(Timer(change.now + timedelta(seconds=seconds), node.id, one.attempt, at))


def _keep(array: ArrayRun, at: int, one: Element) -> ArrayRun:
    return array._replace(elements=array.elements.set(at, one))


def _tell_some(change: Change, node: Node, array: ArrayRun) -> None:
    """Keep the state; tell of its elements when enough of them changed."""
    state = change.state(node.id)
    if len(array.untold) <= array.size // _EVENTS:
        change.put(node, state._replace(array=array))
        return
    version = state.phase_version + (state.task_phase is TaskPhase.RUNNING)
    told = array.untold
    state = state._replace(
        array=array._replace(untold=(), links=()), task_phase=TaskPhase.RUNNING, phase_version=version
    )
    change.put(node, state)
    tell_array(change, node, state._replace(array=array), sorted(set(told)))
