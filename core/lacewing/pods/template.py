"""Pod templates of the platform, and the law by which a pod is laid over one. Pure.

Rules: plugins.md, section 2.3.
"""

from collections.abc import Mapping
from typing import Any

from lacewing.errors import TaskError
from lacewing.model.task import TaskContext
from lacewing.pods.settings import PodSettings

Spec = dict[str, Any]
_CONTAINERS = {"containers": ("default", "primary"), "initContainers": ("default-init", "primary-init")}
"""For each list: the names in a template that stand for every container, and for the primary one."""


def pod_template(task: TaskContext, settings: PodSettings) -> dict[str, Any]:
    """The template for the task: the one that it names, else the platform's default, else an empty one.

    Looked for under `namespace/name`, then under `name`. Raises TaskError if a named one is not there.
    """
    named = task.template.metadata.pod_template_name
    name = named or settings.default_pod_template
    for key in (f"{task.namespace}/{name}", name):
        if key in settings.pod_templates:
            return settings.pod_templates[key]
    if named:
        raise TaskError(f"PodTemplate '{named}' does not exist; known are {sorted(settings.pod_templates)}")
    return {}


def merged(base: Any, overlay: Any) -> Any:
    """`overlay` over `base`: maps by key, lists one after the other, else the overlay unless it is empty."""
    if isinstance(base, Mapping) and isinstance(overlay, Mapping):
        result = dict(base)
        for key, value in overlay.items():
            result[key] = merged(base[key], value) if key in base else value
        return result
    if isinstance(base, list) and isinstance(overlay, list):
        return [*base, *overlay]
    return overlay or base


def laid_over(template: Mapping[str, Any], spec: Spec, primary: str) -> Spec:
    """The pod `spec` over the template's.

    Containers are those of the pod only; each is laid over the template's containers that stand for it.
    """
    base = template.get("spec") or {}
    rest = [{k: v for k, v in one.items() if k not in _CONTAINERS} for one in (base, spec)]
    result: Spec = merged(*rest)
    for kind in _CONTAINERS:
        if spec.get(kind):
            named = {one.get("name"): one for one in base.get(kind) or ()}
            result[kind] = [_container(named, one, kind, primary) for one in spec[kind]]
    return result


def _container(
    named: Mapping[Any, Mapping[str, Any]], container: Mapping[str, Any], kind: str, primary: str
) -> dict[str, Any]:
    everybody, first = _CONTAINERS[kind]
    own = first if container["name"] == primary and kind == "containers" else container["name"]
    base = merged(named.get(everybody, {}), named.get(own, {}))
    result: dict[str, Any] = merged(base, container)
    return result


def resources_of(template: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The container of the template whose resources count for the container `name`."""
    named = {one.get("name"): one for one in (template.get("spec") or {}).get(kind) or ()}
    everybody, first = _CONTAINERS[kind]
    found: Mapping[str, Any] = next((named[key] for key in (name, first, everybody) if key in named), {})
    return dict(found)
