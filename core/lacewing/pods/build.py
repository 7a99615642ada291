"""A task's pod, in the order of plugins.md, section 2.1. Pure: the same task makes the same pod."""

import copy
from collections.abc import Mapping
from typing import Any

from flyteidl.core import tasks_pb2

from lacewing.model.task import Manifest, TaskContext
from lacewing.pods import placement
from lacewing.pods.memory import share_memory
from lacewing.pods.resource import clamped, filled, stated
from lacewing.pods.settings import PodSettings
from lacewing.pods.target import PRIMARY, target
from lacewing.pods.template import laid_over, pod_template, resources_of

PRIMARY_ANNOTATION = "lacewing.dev/primary-container"
"""Always says which container runs the user's code; PRIMARY says so only where that one alone decides."""


_DEFAULT = PodSettings.model_validate({})


def build_pod(task: TaskContext, settings: PodSettings = _DEFAULT) -> Manifest:
    """The pod of one attempt: metadata and spec, as Flyte 1 builds it.

    Raises TaskError for a task that cannot be run as written. For a pod that must not be interrupted, pass
    `dataclasses.replace(task, interruptible=False)`.
    """
    wanted, template = target(task, settings), pod_template(task, settings)
    spec = dict(wanted.spec)
    for kind in ("initContainers", "containers"):
        if spec.get(kind):
            spec[kind] = [
                _prepared(one, kind, wanted.primary, template, task, settings) for one in spec[kind]
            ]
    _apply_platform(spec, task, settings)
    primary = _named(spec, wanted.primary)
    if settings.default_security_context and not primary.get("securityContext"):
        primary["securityContext"] = settings.default_security_context
    spec = laid_over(template, spec, wanted.primary)
    placement.attract(spec, task, settings)
    _extend(spec, _named(spec, wanted.primary), task, settings)
    placement.tolerate_resources(spec, settings)
    account = task.template.security_context.run_as.k8s_service_account
    if account and not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = account
    base = template.get("metadata") or {}
    labels = {**settings.default_labels, **base.get("labels", {}), **wanted.labels}
    annotations = {
        **settings.default_annotations,
        **base.get("annotations", {}),
        **wanted.annotations,
        **_marks(task, spec, wanted.primary),
    }
    # A copy, so that whoever changes the pod changes no settings.
    return copy.deepcopy({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec})


def primary_name(pod: Manifest) -> str:
    """The name of the container that runs the user's code: as annotated, else the first one's."""
    annotations = pod.get("metadata", {}).get("annotations") or {}
    marked = annotations.get(PRIMARY) or annotations.get(PRIMARY_ANNOTATION)
    return str(marked or pod["spec"]["containers"][0]["name"])


def primary_container(pod: Manifest) -> dict[str, Any]:
    """The container that runs the user's code; the first one if none is named."""
    containers, name = pod["spec"]["containers"], primary_name(pod)
    found: dict[str, Any] = next((one for one in containers if one.get("name") == name), containers[0])
    return found


def _prepared(
    container: Mapping[str, Any],
    kind: str,
    primary: str,
    template: Mapping[str, Any],
    task: TaskContext,
    settings: PodSettings,
) -> dict[str, Any]:
    """A container with its command rendered, its variables and its resources."""
    result = dict(container)
    for part in ("command", "args"):
        if result.get(part):
            result[part] = [task.render(str(text)) for text in result[part]]
    _add_environment(result, task, settings)
    sources = [
        stated(container, settings),
        stated(resources_of(template, kind, container["name"]), settings),
    ]
    settle = filled if kind == "initContainers" or container["name"] == primary else clamped
    result.pop("resources", None)
    if amounts := settle(task, settings, sources):
        result["resources"] = amounts
    return {name: value for name, value in result.items() if value not in ([], {}, None)}


def _add_environment(container: dict[str, Any], task: TaskContext, settings: PodSettings) -> None:
    ours = {**task.environment, **settings.default_env}
    own = [one for one in container.get("env") or () if one.get("name") not in ours]
    container["env"] = [*own, *({"name": name, "value": value} for name, value in ours.items())]
    sources = [
        *({"secretRef": {"name": name, "optional": True}} for name in settings.env_from_secrets),
        *({"configMapRef": {"name": name, "optional": True}} for name in settings.env_from_config_maps),
    ]
    if sources:
        container["envFrom"] = [*(container.get("envFrom") or ()), *sources]


def _apply_platform(spec: dict[str, Any], task: TaskContext, settings: PodSettings) -> None:
    defaults = {
        "restartPolicy": "Never",
        "serviceAccountName": task.service_account,
        "schedulerName": settings.scheduler_name,
        "securityContext": settings.default_pod_security_context,
        "dnsConfig": settings.dns_config,
    }
    for name, value in defaults.items():
        if value and not spec.get(name):
            spec[name] = value
    if settings.host_network is not None:
        spec["hostNetwork"] = settings.host_network
    placement.tolerate(spec, task, settings)
    placement.select(spec, task, settings)


def _extend(spec: dict[str, Any], primary: dict[str, Any], task: TaskContext, settings: PodSettings) -> None:
    """Accelerators, shared memory and the image, in which the node's override has the last word."""
    wanted = tasks_pb2.ExtendedResources()
    wanted.CopyFrom(task.template.extended_resources)
    if task.overrides is not None:
        for name in ("gpu_accelerator", "shared_memory"):
            if task.overrides.extended_resources.HasField(name):
                getattr(wanted, name).CopyFrom(getattr(task.overrides.extended_resources, name))
        if task.overrides.container_image:
            primary["image"] = task.overrides.container_image
    if wanted.HasField("gpu_accelerator"):
        placement.accelerate(spec, wanted.gpu_accelerator, settings)
    if wanted.HasField("shared_memory"):
        share_memory(spec, primary, wanted.shared_memory)


def _marks(task: TaskContext, spec: Mapping[str, Any], primary: str) -> dict[str, str]:
    alone = len(spec["containers"]) == 1 and task.template.type != "raw-container"
    decides = {PRIMARY: primary} if alone or task.template.type == "sidecar" else {}
    return {PRIMARY_ANNOTATION: primary, **decides}


def _named(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in spec["containers"] if one["name"] == name)
    return found
