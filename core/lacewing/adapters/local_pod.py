"""Pods of this machine as data: what to run for a manifest, and what its status says. Pure.

The manifests are Kubernetes' own; the demo fakes the cluster, never what is sent to it. Of a pod's containers
only the primary one runs here: images are not to be had, so sidecars and init containers are passed over.
"""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lacewing.model.task import Manifest
from lacewing.pods import primary_container, primary_name, quantity

FLYTEKIT_COMMANDS = {"pyflyte-execute", "pyflyte-fast-execute", "pyflyte-map-execute"}
_MESSAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Need:
    """What a pod takes of the machine while it runs. One that asks for nothing takes a slot."""

    slots: int
    cpus: float
    memory_bytes: float


def need(manifest: Manifest) -> Need:
    """What the primary container asks for."""
    asked = primary_container(manifest).get("resources", {}).get("requests", {})
    cpus, memory = quantity(asked.get("cpu", "0")), quantity(asked.get("memory", "0"))
    return Need(0 if cpus or memory else 1, cpus, memory)


def memory_limit(manifest: Manifest) -> float:
    """The primary container's limit in bytes; 0 is none."""
    limits = primary_container(manifest).get("resources", {}).get("limits", {})
    return quantity(limits["memory"]) if "memory" in limits else 0.0


def command(manifest: Manifest) -> list[str]:
    """The primary container's command and arguments."""
    container = primary_container(manifest)
    return [*container.get("command", ()), *container.get("args", ())]


def environment(manifest: Manifest) -> dict[str, str]:
    """The primary container's variables; a later one of the same name wins."""
    return {pair["name"]: pair.get("value", "") for pair in primary_container(manifest).get("env", ())}


def image(manifest: Manifest) -> str:
    """The primary container's image."""
    return str(primary_container(manifest).get("image", ""))


def python_of(manifest: Manifest, images: Mapping[str, Path], default: Path) -> Path | None:
    """The Python that stands for the pod's image; None if the image maps to nothing and is not flytekit's."""
    for pattern, venv in images.items():
        if fnmatch.fnmatch(image(manifest), pattern):
            return venv / "bin/python"
    argv = command(manifest)
    return default if argv and argv[0] in FLYTEKIT_COMMANDS else None


def waiting(manifest: Manifest, reason: str, message: str) -> dict[str, Any]:
    """The status of a pod whose container cannot start yet, or ever."""
    return {
        "phase": "Pending",
        "containerStatuses": [_container(manifest, {"waiting": _why(reason, message)})],
    }


def unschedulable(message: str) -> dict[str, Any]:
    """The status of a pod that waits for room."""
    condition = {"type": "PodScheduled", "status": "False", **_why("Unschedulable", message)}
    return {"phase": "Pending", "conditions": [condition]}


def rejected(lack: str, asked: Need, total: Need) -> dict[str, Any]:
    """The status of a pod that this machine can never run, as a kubelet puts it."""
    unit = {"cpu": "cpus", "memory": "memory_bytes"}.get(lack, lack)
    amounts = f"requested {getattr(asked, unit):g}, there are {getattr(total, unit):g}"
    message = f"the machine has not enough {lack} for this pod: {amounts} ({unit.replace('_', ' ')})"
    return {"phase": "Failed", **_why(f"OutOf{lack}", message)}


def running(manifest: Manifest, started: float) -> dict[str, Any]:
    """The status of a pod whose process runs."""
    state = {"running": {"startedAt": _time(started)}}
    return {"phase": "Running", "containerStatuses": [_container(manifest, state)]}


def exited(manifest: Manifest, record: Mapping[str, Any], log: str, *, oom: bool) -> dict[str, Any]:
    """The status of a pod whose process ended. `log` is the tail that explains a failure."""
    code = record["code"]
    reason = "OOMKilled" if oom else "Completed" if code == 0 else "Error"
    state = {
        "exitCode": 137 if oom else code,
        "signal": record["signal"],
        "reason": reason,
        "message": log[-_MESSAGE_BYTES:] if code else "",
        "startedAt": _time(record["started"]),
        "finishedAt": _time(record["finished"]),
    }
    phase = "Failed" if code or oom else "Succeeded"
    return {"phase": phase, "containerStatuses": [_container(manifest, {"terminated": state})]}


def lost() -> dict[str, Any]:
    """The status of a pod whose process is gone without a record."""
    return {
        "phase": "Failed",
        "reason": "NodeLost",
        "message": "the process is gone and left no record of its end",
    }


def _why(reason: str, message: str) -> dict[str, str]:
    return {"reason": reason, "message": message}


def _container(manifest: Manifest, state: dict[str, Any]) -> dict[str, Any]:
    return {"name": primary_name(manifest), "state": state, "ready": "running" in state}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
