"""Public building blocks of a pod: the primary container, its resources, the pod around it. Pure."""

import math
import re
from collections.abc import Mapping
from typing import Any

from flyteidl.core import tasks_pb2

from lacewing.errors import TaskError
from lacewing.model.task import Manifest, TaskContext

_NAMES = {
    tasks_pb2.Resources.CPU: "cpu",
    tasks_pb2.Resources.MEMORY: "memory",
    tasks_pb2.Resources.EPHEMERAL_STORAGE: "ephemeral-storage",
    tasks_pb2.Resources.GPU: "nvidia.com/gpu",
}
_UNITS = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?([numkMGTPE]i?|Ki)?$")


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number: cores, bytes. Raises TaskError for what is none."""
    match = _QUANTITY.match(text.strip())
    if match is None or (match.group(3) or "") not in _UNITS:
        raise TaskError(f"{text!r} is not a quantity; write for example 500m, 2, 512Mi or 1Gi")
    number = float(match.group(1)) * math.pow(10, int(match.group(2) or 0))
    return number * _UNITS[match.group(3) or ""]


def resources(task: TaskContext) -> dict[str, dict[str, str]]:
    """The primary container's requests and limits: the node's override, the task's, the platform's default.

    Rule: plugins.md, section 2.2, the settling of one resource.
    """
    own = task.template.container.resources
    requests, limits = _amounts(own.requests), _amounts(own.limits)
    if task.overrides is not None:
        requests |= _amounts(task.overrides.resources.requests)
        limits |= _amounts(task.overrides.resources.limits)
    settled: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for name in sorted({*requests, *limits, *task.default_resources}):
        default = task.default_resources.get(name)
        request, limit = _settle(
            requests.get(name), limits.get(name), default, task.resource_limits.get(name)
        )
        if request is not None and limit is not None:
            settled["requests"][name], settled["limits"][name] = request, limit
    return {kind: amounts for kind, amounts in settled.items() if amounts}


def primary_container(task: TaskContext) -> dict[str, Any]:
    """The container that runs the user's code, with what flytekit reads in its environment."""
    source = task.template.container
    own = {pair.key: pair.value for pair in source.env}
    container: dict[str, Any] = {
        "name": task.name,
        "image": task.image,
        "command": list(task.command),
        "args": list(task.args),
        "env": [{"name": key, "value": value} for key, value in {**own, **task.environment}.items()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if amounts := resources(task):
        container["resources"] = amounts
    return container


def pod(task: TaskContext, container: Mapping[str, Any]) -> Manifest:
    """A pod of one container that is never restarted."""
    spec: dict[str, Any] = {"restartPolicy": "Never", "containers": [dict(container)]}
    if task.service_account:
        spec["serviceAccountName"] = task.service_account
    return {"metadata": {"annotations": {"primary_container_name": container["name"]}}, "spec": spec}


def _amounts(entries: Any) -> dict[str, str]:
    found = {}
    for entry in entries:
        if entry.name in _NAMES and quantity(entry.value):
            found[_NAMES[entry.name]] = str(entry.value)
    return found


def _settle(
    request: str | None, limit: str | None, default: str | None, ceiling: str | None
) -> tuple[str | None, str | None]:
    request = request or limit or default
    limit = limit or request
    if ceiling:
        request, limit = _least(request, ceiling), _least(limit, ceiling)
    return _least(request, limit), limit


def _least(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return one or other
    return one if quantity(one) <= quantity(other) else other
