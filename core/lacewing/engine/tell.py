"""The events of task attempts. Pure."""

from collections.abc import Iterable
from typing import Any

from lacewing.engine import layout
from lacewing.engine.change import Change
from lacewing.engine.contexts import interruptible
from lacewing.model.array import DONE, ElementPhase
from lacewing.model.cache import CacheStatus
from lacewing.model.events import ElementState, TaskEvent
from lacewing.model.graph import Node, NodeKind
from lacewing.model.ids import generated_name
from lacewing.model.phases import TaskPhase
from lacewing.model.run import NodeRun
from lacewing.model.task import Link


def tell_task(change: Change, node: Node, state: NodeRun, **more: Any) -> None:
    """Tell that the attempt of `state` is in its task phase; `more` are fields of TaskEvent."""
    assert node.task is not None
    fields = {
        "at": change.now,
        "plugin": (state.handle or {}).get("plugin", ""),
        "reason": "" if state.task_phase.terminal else state.reason,
        **more,
    }
    change.tell(
        TaskEvent(
            key=change.key, node_id=node.id, task_id=node.task.id, attempt=state.attempt,
            phase=state.task_phase, version=state.phase_version, task_type=node.task.type,
            generated_name=generated_name(change.key.name, node.id, state.attempt),
            input_uri=layout.input_uri(change.spec, node), reported_at=change.now,
            interruptible=interruptible(change.graph, change.spec, node, state.system_failures), **fields,
        )
    )  # fmt: skip


def tell_task_aborted(change: Change, node: Node) -> None:
    """Tell that a task's attempt was ended by us; other kinds have no attempts to tell of."""
    if node.kind is NodeKind.TASK:
        tell_task(change, node, change.state(node.id)._replace(task_phase=TaskPhase.ABORTED))


def tell_array(change: Change, node: Node, state: NodeRun, indices: Iterable[int], **more: Any) -> None:
    """Tell that an array is in its task phase, and of some of its elements: propeller.md, section 5.3."""
    assert state.array is not None
    array = state.array
    prefix = generated_name(change.key.name, node.id, 0)
    elements = []
    links: dict[int, tuple[Link, ...]] = {}
    for at, name, uri in array.links:
        links[at] = (*links.get(at, ()), Link(name, uri))
    for at in indices:
        one = array.element(at)
        phase = _ENDED.get(array.phases[at], one.task_phase)
        cache = _CACHED.get(
            array.phases[at], CacheStatus.DISABLED if node.cache is None else CacheStatus.MISS
        )
        elements.append(
            ElementState(at, f"{prefix}-n{at}-{one.attempt}", one.attempt, phase, cache, links.get(at, ()))
        )
    identifier = node.task.id if node.task is not None else node.launch_plan
    change.tell(
        TaskEvent(
            key=change.key, node_id=node.id, task_id=identifier, attempt=0, phase=state.task_phase,
            version=state.phase_version, at=change.now, task_type="container_array", plugin="k8s-array",
            input_uri=layout.input_uri(change.spec, node), reported_at=change.now, elements=tuple(elements),
            **more,
        )
    )  # fmt: skip


def tell_array_aborted(change: Change, node: Node) -> None:
    """Tell that an array, and those of its elements that were at work, were ended by us."""
    state = change.state(node.id)
    assert state.array is not None
    array, at_work = state.array, state.array.active()
    for at in at_work:
        array = array.enter(at, ElementPhase.ABORTED)
    tell_array(change, node, state._replace(array=array, task_phase=TaskPhase.ABORTED), at_work)


_ENDED: dict[str, TaskPhase] = {
    **dict.fromkeys(DONE, TaskPhase.SUCCEEDED),
    ElementPhase.FAILED: TaskPhase.PERMANENT,
    ElementPhase.ABORTED: TaskPhase.ABORTED,
}
_CACHED: dict[str, CacheStatus] = {
    ElementPhase.HIT: CacheStatus.HIT,
    ElementPhase.KEPT: CacheStatus.POPULATED,
    ElementPhase.UNKEPT: CacheStatus.PUT_FAILURE,
}
