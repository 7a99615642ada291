"""The pod as a task describes it, before the platform has its say. Pure.

Rules: plugins.md, section 2.1, step 1. A node's override replaces the pod whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyteidl.core import tasks_pb2
from google.protobuf import struct_pb2

from lacewing.errors import TaskError
from lacewing.model.task import TaskContext
from lacewing.pods.label import container_name
from lacewing.pods.resource import asked
from lacewing.pods.settings import PodSettings

PRIMARY = "primary_container_name"
"""Key of a task's config, and annotation of a pod: the container that runs the user's code."""


@dataclass(frozen=True)
class Target:
    """A pod's spec, its primary container, and the metadata that came with it."""

    spec: dict[str, Any]
    primary: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def target(task: TaskContext, settings: PodSettings) -> Target:
    """What the task wants to run. Raises TaskError if that is nothing, or broken."""
    template = task.template
    found = _described(task, settings)
    if task.overrides is not None and task.overrides.HasField("pod_template"):
        override = task.overrides.pod_template
        spec = plain(override.pod_spec) if override.HasField("pod_spec") else found.spec
        labels = {**found.labels, **override.metadata.labels}
        annotations = {**found.annotations, **override.metadata.annotations}
        found = Target(spec, override.primary_container_name or found.primary, labels, annotations)
    _check(found, template)
    return found


def _described(task: TaskContext, settings: PodSettings) -> Target:
    template = task.template
    if template.type == "sidecar" and template.task_type_version < 2:
        return _sidecar(template)
    if template.HasField("container"):
        return Target({"containers": [_container(task, settings)]}, container_name(task.name))
    if not template.HasField("k8s_pod"):
        raise TaskError("the task has no container and no pod; only tasks with one can run here")
    pod = template.k8s_pod
    if not pod.HasField("pod_spec"):
        raise TaskError("the task's k8s_pod has no pod_spec")
    return Target(
        plain(pod.pod_spec), _primary(template), dict(pod.metadata.labels), dict(pod.metadata.annotations)
    )


def _container(task: TaskContext, settings: PodSettings) -> dict[str, Any]:
    source = task.template.container
    if source.HasField("data_config") and source.data_config.enabled:
        raise TaskError("raw containers with a data config are not supported yet")
    container = {
        "name": container_name(task.name),
        "image": source.image,
        "command": list(source.command),
        "args": list(source.args),
        "env": [{"name": pair.key, "value": pair.value} for pair in source.env],
        "resources": asked(source.resources, settings),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    return container


def _sidecar(template: tasks_pb2.TaskTemplate) -> Target:
    """The two forms that old clients send: version 0 wraps the pod's spec, in version 1 it is `custom`."""
    custom = plain(template.custom)
    if template.task_type_version == 1:
        return Target(custom, _primary(template))
    if not isinstance(custom.get("podSpec"), dict):
        raise TaskError("the sidecar task has no podSpec in its custom field")
    if not custom.get("primaryContainerName"):
        raise TaskError("the sidecar task names no primaryContainerName in its custom field")
    return Target(
        custom["podSpec"],
        custom["primaryContainerName"],
        custom.get("labels") or {},
        custom.get("annotations") or {},
    )


def _primary(template: tasks_pb2.TaskTemplate) -> str:
    name = str(template.config.get(PRIMARY, ""))
    if not name:
        raise TaskError(f"the task has a pod, but its config names no {PRIMARY}")
    return name


def _check(found: Target, template: tasks_pb2.TaskTemplate) -> None:
    for kind in ("containers", "initContainers"):
        containers = found.spec.get(kind) or []
        if not isinstance(containers, list) or not all(_is_container(one) for one in containers):
            raise TaskError(f"{kind} of the pod of task {template.id.name} is no list of named containers")
    if all(one["name"] != found.primary for one in found.spec.get("containers") or ()):
        raise TaskError(
            f"invalid TaskSpecification, primary container [{found.primary}] not defined in the pod of task"
            f" {template.id.name}"
        )


def _is_container(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A Struct as Python has it: whole numbers are int, since Kubernetes takes no 8080.0 for a port."""
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [_plain(one) for one in value.list_value.values]
    if kind == "number_value":
        number = float(value.number_value)
        return int(number) if number.is_integer() else number
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None
