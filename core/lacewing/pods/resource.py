"""What a container may use: the node's override, its own words, a template's, the platform's. Pure.

Rules: plugins.md, section 2.2. cpu and memory are always settled, ephemeral storage and GPUs where they are
asked for; every other resource is left as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flyteidl.core import tasks_pb2

from lacewing.model.task import TaskContext
from lacewing.pods.quantity import least, quantity
from lacewing.pods.settings import PodSettings

Amounts = dict[str, str]
Resources = dict[str, Amounts]
"""`requests` and `limits`, each from a resource's name to its quantity."""

NVIDIA = "nvidia.com/gpu"
_NAMES = {
    tasks_pb2.Resources.CPU: "cpu",
    tasks_pb2.Resources.MEMORY: "memory",
    tasks_pb2.Resources.EPHEMERAL_STORAGE: "ephemeral-storage",
    tasks_pb2.Resources.GPU: NVIDIA,
}
_KINDS = ("requests", "limits")


def resources(task: TaskContext, settings: PodSettings) -> Resources:
    """What the task's container may use, for plugins that build pods of their own."""
    return filled(task, settings, [asked(task.template.container.resources, settings)])


def filled(task: TaskContext, settings: PodSettings, sources: Sequence[Resources]) -> Resources:
    """Of a primary or init container: the node's override, then `sources`, then the platform's defaults."""
    if task.overrides is not None:
        sources = [asked(task.overrides.resources, settings), *sources]
    defaults = {"cpu": settings.default_cpu, "memory": settings.default_memory}
    defaults |= {name: amount for name, amount in task.default_resources.items() if name in defaults}
    return _settled(sources, {name: amount for name, amount in defaults.items() if amount}, task, settings)


def clamped(task: TaskContext, settings: PodSettings, sources: Sequence[Resources]) -> Resources:
    """Of any other container: what `sources` say, within the platform's limits."""
    return _settled(sources, None, task, settings)


def asked(message: tasks_pb2.Resources, settings: PodSettings) -> Resources:
    """A message's amounts under Kubernetes' names; zeros and what pods do not have are dropped."""
    return {
        "requests": _amounts(message.requests, settings),
        "limits": _amounts(message.limits, settings),
    }


def stated(container: Mapping[str, Any], settings: PodSettings) -> Resources:
    """A container's own amounts. `gpu` is what flytekit writes for a GPU, whatever its name is here."""
    own = container.get("resources") or {}
    return {
        kind: {
            settings.gpu_resource_name if name == "gpu" else name: str(amount)
            for name, amount in (own.get(kind) or {}).items()
        }
        for kind in _KINDS
    }


def _amounts(entries: Iterable[tasks_pb2.Resources.ResourceEntry], settings: PodSettings) -> Amounts:
    return {
        _named(_NAMES[entry.name], settings): str(entry.value)
        for entry in entries
        if entry.name in _NAMES and quantity(entry.value)
    }


def _named(name: str, settings: PodSettings) -> str:
    return settings.gpu_resource_name if name == NVIDIA else name


def _settled(
    sources: Sequence[Resources], defaults: Amounts | None, task: TaskContext, settings: PodSettings
) -> Resources:
    """`defaults` None leaves gaps open."""
    merged: Resources = {kind: {} for kind in _KINDS}
    for source in reversed(sources):
        for kind in _KINDS:
            merged[kind] |= source.get(kind, {})
    ceilings = {_named(name, settings): amount for name, amount in task.resource_limits.items()}
    for name in ("cpu", "memory", "ephemeral-storage", settings.gpu_resource_name):
        request, limit = merged["requests"].pop(name, None), merged["limits"].pop(name, None)
        if defaults is not None:
            request = request or limit or defaults.get(name)
            limit = limit or request
        request, limit = _bounded(request, limit, ceilings.get(name))
        merged["requests"] |= {name: request} if request else {}
        merged["limits"] |= {name: limit} if limit else {}
    return {kind: dict(sorted(amounts.items())) for kind, amounts in merged.items() if amounts}


def _bounded(request: str | None, limit: str | None, ceiling: str | None) -> tuple[str | None, str | None]:
    if ceiling:
        request = request and least(request, ceiling)
        limit = limit and least(limit, ceiling)
    return (least(request, limit) if request else None), limit
