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

_SPEC: dict[str, type] = {
    **dict.fromkeys(("containers", "initContainers", "volumes", "tolerations"), list),
    **dict.fromkeys(("nodeSelector", "affinity"), dict),
}
_CONTAINER: dict[str, type] = {
    **dict.fromkeys(("command", "args", "env", "envFrom", "volumeMounts"), list),
    "resources": dict,
}
_RESOURCES: dict[str, type] = {"requests": dict, "limits": dict}


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
    if pod.data_config.enabled:
        raise TaskError("raw containers with a data config are not supported yet")
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
    """Refuse what cannot be worked on, with its name; what is finer Kubernetes refuses itself."""
    pod = f"the pod of task {template.id.name}"
    _check_shapes(found.spec, _SPEC, pod)
    for kind in ("containers", "initContainers"):
        for container in found.spec.get(kind) or ():
            if not isinstance(container, dict) or not isinstance(container.get("name"), str):
                raise TaskError(f"{kind} of {pod} is no list of named containers")
            _check_shapes(container, _CONTAINER, f"container {container['name']} of {pod}")
            _check_shapes(container.get("resources") or {}, _RESOURCES, f"resources of {pod}")
            if not all(isinstance(one, dict) for one in container.get("env") or ()):
                raise TaskError(f"env of container {container['name']} of {pod} is no list of variables")
    if all(one["name"] != found.primary for one in found.spec.get("containers") or ()):
        raise TaskError(
            f"invalid TaskSpecification, primary container [{found.primary}] not defined in {pod}"
        )


def _check_shapes(value: Mapping[str, Any], shapes: Mapping[str, type], of: str) -> None:
    for name, shape in shapes.items():
        if not isinstance(value.get(name) or shape(), shape):
            raise TaskError(f"{name} of {of} is no {'list' if shape is list else 'map'}")


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
