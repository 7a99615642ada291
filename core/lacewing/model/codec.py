"""Runs as JSON, for stores. The keys are stored: a new field gets a default, an old one keeps its name."""

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import immutables

from lacewing.model.array import ArrayRun, Element
from lacewing.model.graph import Graph, Node, NodeKind
from lacewing.model.ids import RunKey
from lacewing.model.phases import ErrorKind, NodePhase, RunPhase, TaskPhase
from lacewing.model.run import NodeRun, Run, RunError, RunSpec, engaged, succeeded

_NEW = NodeRun()
_TIMES = {"queued_at", "started_at", "attempt_at"}


def spec_to_json(spec: RunSpec) -> dict[str, Any]:
    """The order of a run."""
    return asdict(spec)


def spec_from_json(data: dict[str, Any]) -> RunSpec:
    """The order that `spec_to_json` wrote."""
    known = {field.name for field in fields(RunSpec)}
    return RunSpec(**{k: v for k, v in data.items() if k in known} | {"key": RunKey(**data["key"])})


def node_to_json(node: NodeRun) -> dict[str, Any]:
    """One node's state, without what is as it began."""
    data: dict[str, Any] = {}
    for name, value, new in zip(NodeRun._fields, node, _NEW, strict=True):
        if value == new:
            continue
        if isinstance(value, datetime):
            data[name] = value.isoformat()
        elif isinstance(value, RunError):
            data[name] = error_to_json(value)
        elif isinstance(value, ArrayRun):
            data[name] = array_to_json(value)
        else:
            data[name] = value
    return data


def node_from_json(data: dict[str, Any]) -> NodeRun:
    """The state that `node_to_json` wrote."""
    values = dict(data)
    for name in _TIMES & values.keys():
        values[name] = datetime.fromisoformat(values[name])
    if "phase" in values:
        values["phase"] = NodePhase(values["phase"])
    if "task_phase" in values:
        values["task_phase"] = TaskPhase(values["task_phase"])
    if "error" in values:
        values["error"] = error_from_json(values["error"])
    if "failures" in values:
        values["failures"] = tuple(values["failures"])
    if "array" in values:
        values["array"] = array_from_json(values["array"])
    return NodeRun(**values)


def array_to_json(array: ArrayRun) -> dict[str, Any]:
    """An array's state; an element is a list of its fields."""
    elements = {
        str(at): [
            *one[:3],
            one.attempt_at.isoformat() if one.attempt_at else None,
            one.task_phase,
            one.failures,
        ]
        for at, one in sorted(array.elements.items())
    }
    return array._asdict() | {"elements": elements}


def array_from_json(data: dict[str, Any]) -> ArrayRun:
    """The state that `array_to_json` wrote."""
    elements = {
        int(at): Element(attempt, system, handle, _time(began), TaskPhase(phase), *map(tuple, failures))
        for at, (attempt, system, handle, began, phase, *failures) in data["elements"].items()
    }
    lists = {"errors": tuple(data["errors"]), "untold": tuple(data["untold"])}
    lists["links"] = tuple((at, name, uri) for at, name, uri in data.get("links", ()))
    return ArrayRun(**data | lists | {"elements": immutables.Map(elements)})


def error_to_json(error: RunError | None) -> dict[str, Any] | None:
    """An error, or None."""
    if error is None:
        return None
    return asdict(error) | {"at": error.at.isoformat() if error.at else None}


def error_from_json(data: dict[str, Any] | None) -> RunError | None:
    """The error that `error_to_json` wrote."""
    if data is None:
        return None
    at = datetime.fromisoformat(data["at"]) if data["at"] else None
    return RunError(data["code"], data["message"], ErrorKind(data["kind"]), at)


def run_to_json(run: Run) -> dict[str, Any]:
    """A run without its nodes and without what follows from them."""
    return {
        "phase": run.phase,
        "error": error_to_json(run.error),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "abort_cause": run.abort_cause,
    }


def run_from_json(key: RunKey, data: dict[str, Any], nodes: dict[str, NodeRun]) -> Run:
    """The run that `run_to_json` wrote, with its nodes. `derive` fills in the rest."""
    return Run(
        key,
        RunPhase(data["phase"]),
        immutables.Map(nodes),
        error=error_from_json(data["error"]),
        abort_cause=data["abort_cause"],
        started_at=_time(data["started_at"]),
        ended_at=_time(data["ended_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def derive(graph: Graph, run: Run) -> Run:
    """`run` with all that follows from its nodes' phases: who is ready, who is active, who waits for whom."""
    if run.phase is RunPhase.READY:
        return run
    waiting: dict[str, int] = {}
    ready: list[str] = []
    active: dict[int, str] = {}
    failures = {scope.failure for scope in graph.scopes}
    for node in graph.nodes:
        state = run.nodes.get(node.id, _NEW)
        if engaged(node, state):
            active[node.index] = node.id
        if state.phase is not NodePhase.WAITING or node.kind is NodeKind.START or node.index in failures:
            continue
        wanted = graph.wanted(node.index)
        left = wanted - _met(graph, run, node)
        if not left:
            ready.append(node.id)
        elif left < wanted:
            waiting[node.id] = left
    return run._replace(
        open_upstreams=immutables.Map(waiting),
        ready=immutables.Map(enumerate(ready)),
        ready_head=0,
        ready_tail=len(ready),
        active=immutables.Map(active),
        busy=sum(graph.nodes[at].kind.counted for at in active),
    )


def _met(graph: Graph, run: Run, node: Node) -> int:
    """How many of the things that the node waits for have happened."""
    late = graph.scope_of(node).fail_late
    states = [run.nodes.get(graph.nodes[other].id, _NEW) for other in graph.upstream[node.index]]
    met = sum(succeeded(state) or (late and state.phase.terminal) for state in states)
    if node.parent >= 0 and graph.nodes[node.parent].kind is NodeKind.BRANCH:
        # Arms that were not chosen are skipped, so whoever still waits was chosen.
        met += run.nodes.get(graph.nodes[node.parent].id, _NEW).phase >= NodePhase.RUNNING
    return met
