"""Where a pod may run: tolerations, node labels, affinity, accelerators. Pure.

Rules: plugins.md, sections 2.6 and 2.8. Requirements are added last and hold in every alternative, so that no
template can weaken them.
"""

from collections.abc import Mapping
from typing import Any

from flyteidl.core import tasks_pb2

from lacewing.model.task import TaskContext
from lacewing.pods.settings import PodSettings

Spec = dict[str, Any]
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def tolerate(spec: Spec, task: TaskContext, settings: PodSettings) -> None:
    """Add the platform's tolerations before the pod's own."""
    named = _named_resources(spec)
    ours = [one for name in sorted(named) for one in settings.resource_tolerations.get(name, ())]
    if task.interruptible:
        ours += settings.interruptible_tolerations
    ours += settings.default_tolerations
    _extend(spec, [*ours, *(spec.get("tolerations") or ())])


def select(spec: Spec, task: TaskContext, settings: PodSettings) -> None:
    """Set the node labels: the default ones, the pod's, and those of interruptible pods on top."""
    cheap = settings.interruptible_node_selector if task.interruptible else {}
    chosen = {**settings.default_node_selector, **(spec.get("nodeSelector") or {}), **cheap}
    if chosen:
        spec["nodeSelector"] = chosen


def attract(spec: Spec, task: TaskContext, settings: PodSettings) -> None:
    """Give a pod without affinity the default one, and require what interruptible pods, or others, need."""
    if settings.default_affinity and not spec.get("affinity"):
        spec["affinity"] = settings.default_affinity
    need = (
        settings.interruptible_requirement if task.interruptible else settings.non_interruptible_requirement
    )
    if need:
        require(spec, need)


def accelerate(spec: Spec, accelerator: tasks_pb2.GPUAccelerator, settings: PodSettings) -> None:
    """Require the GPU's model and partition where a container has a limit on GPUs."""
    if not any(settings.gpu_resource_name in _limits(one) for one in spec["containers"]):
        return
    size_label = settings.gpu_partition_size_node_label
    if accelerator.device:
        _pin(spec, settings.gpu_device_node_label, accelerator.device)
    if accelerator.partition_size:
        _pin(spec, size_label, accelerator.partition_size)
    elif accelerator.unpartitioned:
        whole = {"key": size_label, "operator": "DoesNotExist"}
        require(spec, settings.gpu_unpartitioned_requirement or whole)
        if settings.gpu_unpartitioned_toleration:
            _extend(spec, [*(spec.get("tolerations") or ()), settings.gpu_unpartitioned_toleration])


def tolerate_resources(spec: Spec, settings: PodSettings) -> None:
    """Tolerate the taints named as the extended resources that the pod asks for."""
    named = _named_resources(spec)
    ours = [
        {"key": name, "operator": "Exists", "effect": "NoSchedule"}
        for name in settings.tolerated_resources
        if name in named
    ]
    _extend(spec, [*(spec.get("tolerations") or ()), *ours])


def require(spec: Spec, requirement: Mapping[str, Any]) -> None:
    """Add a node selector requirement to each alternative that the pod's affinity allows."""
    affinity = dict(spec.get("affinity") or {})
    nodes = dict(affinity.get("nodeAffinity") or {})
    terms = (nodes.get(_REQUIRED) or {}).get("nodeSelectorTerms") or [{}]
    nodes[_REQUIRED] = {
        "nodeSelectorTerms": [
            {**term, "matchExpressions": [*(term.get("matchExpressions") or ()), dict(requirement)]}
            for term in terms
        ]
    }
    spec["affinity"] = {**affinity, "nodeAffinity": nodes}


def _pin(spec: Spec, label: str, value: str) -> None:
    require(spec, {"key": label, "operator": "In", "values": [value]})
    toleration = {"key": label, "operator": "Equal", "value": value, "effect": "NoSchedule"}
    _extend(spec, [*(spec.get("tolerations") or ()), toleration])


def _extend(spec: Spec, tolerations: list[Any]) -> None:
    if tolerations:
        spec["tolerations"] = tolerations


def _named_resources(spec: Spec) -> set[str]:
    containers = [*spec["containers"], *(spec.get("initContainers") or ())]
    return {
        name for one in containers for amounts in (one.get("resources") or {}).values() for name in amounts
    }


def _limits(container: Mapping[str, Any]) -> Mapping[str, Any]:
    limits: Mapping[str, Any] = (container.get("resources") or {}).get("limits") or {}
    return limits
