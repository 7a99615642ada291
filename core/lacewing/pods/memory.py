"""Shared memory of a pod: a volume in memory, mounted in the primary container. Pure.

Rules: plugins.md, section 2.8.
"""

from typing import Any

from flyteidl.core import tasks_pb2

from lacewing.errors import TaskError
from lacewing.pods.quantity import quantity


def share_memory(spec: dict[str, Any], primary: dict[str, Any], shared: tasks_pb2.SharedMemory) -> None:
    """Mount it. Raises TaskError for a name, path or size that cannot be."""
    name, path = shared.mount_name, shared.mount_path
    if not name or not path:
        raise TaskError("shared memory needs a mount_name and a mount_path")
    if any(volume.get("name") == name for volume in spec.get("volumes") or ()):
        raise TaskError(f"the pod has a volume {name!r} already; give shared memory another mount_name")
    if any(mount.get("mountPath") == path for mount in primary.get("volumeMounts") or ()):
        raise TaskError(f"something is mounted at {path} already; give shared memory another mount_path")
    quantity(shared.size_limit or "0")
    volume = {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": shared.size_limit or "0"}}
    spec["volumes"] = [*(spec.get("volumes") or ()), volume]
    primary["volumeMounts"] = [*(primary.get("volumeMounts") or ()), {"name": name, "mountPath": path}]
