"""A container task becomes a pod, and the pod's status a phase. Both are pure functions.

Rules: plugins.md, sections 2 and 3. A pod that exits 0 proves nothing: flytekit writes error.pb and exits 0
when a task fails, and the engine looks for that file.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lacewing import POD, ErrorKind, Link, Manifest, ManifestBackend, Observation, TaskContext, TaskError
from lacewing.pods import pod, primary_container

_PLACING = {"ErrImagePull", "ContainerCreating", "PodInitializing"}
_SYSTEM_REASONS = {"Shutdown", "Terminated", "NodeShutdown", "NodeAffinity", "NodeLost", "Lost"}
_KILLED = {137, 247}


class ContainerBackend(ManifestBackend):
    """Any task with a container. It is also the usual fallback."""

    name = "container"
    task_types = ("python-task", "container", "raw-container")
    kind = POD

    def build(self, task: TaskContext) -> Manifest:
        """One container, as the task's template says."""
        if not task.template.HasField("container"):
            raise TaskError("the task has no container; only tasks with one can run here")
        if task.template.container.HasField("data_config") and task.template.container.data_config.enabled:
            raise TaskError("raw containers with a data config are not supported yet")
        return pod(task, primary_container(task))

    def phase(self, task: TaskContext, observed: Manifest) -> Observation:
        """What the pod's status says; the links lead to its log."""
        status = observed.get("status", {})
        log = observed["metadata"].get("annotations", {}).get("lacewing.dev/log-uri", "")
        links = (Link("Logs", log),) if log else ()
        seen = _phase(status)
        return Observation(
            seen.phase, seen.reason, seen.code, seen.kind, links, seen.started_at or _started(status)
        )


def _phase(status: dict[str, Any]) -> Observation:
    phase = status.get("phase", "Pending")
    ended = [(c["name"], c["state"]["terminated"]) for c in _containers(status) if "terminated" in c["state"]]
    if any("OOMKilled" in state.get("reason", "") for _, state in ended):
        return Observation.retryable("OOMKilled", _ends(ended))
    if phase == "Succeeded":
        return Observation.succeeded()
    if phase == "Failed":
        return _failed(status, ended)
    if phase == "Running":
        return Observation.running()
    return _pending(status)


def _failed(status: dict[str, Any], ended: list[tuple[str, dict[str, Any]]]) -> Observation:
    reason = status.get("reason", "")
    message = status.get("message", "") + _ends(ended)
    if reason in _SYSTEM_REASONS or not (reason or ended):
        return Observation.retryable(
            "Interrupted", message or "the pod ended without a word", ErrorKind.SYSTEM
        )
    if any(state.get("exitCode") in _KILLED for _, state in ended):
        return Observation.retryable("Interrupted", message, ErrorKind.SYSTEM)
    code = reason or next((state.get("reason", "") for _, state in ended if state.get("exitCode")), "")
    return Observation.retryable(code or "Error", message)


def _pending(status: dict[str, Any]) -> Observation:
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Observation.queued(f"{condition.get('reason', '')}:{condition.get('message', '')}")
    for container in _containers(status):
        waiting = container["state"].get("waiting")
        if waiting is None:
            continue
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        text = f"[ContainersNotReady|{reason}]: {message}"
        if reason in _PLACING:
            return Observation.initializing(text)
        if reason in ("InvalidImageName", "CreateContainerConfigError"):
            return Observation.permanent(f"ContainersNotReady|{reason}", message)
        if reason:
            return Observation.retryable(f"ContainersNotReady|{reason}", message, ErrorKind.SYSTEM)
    return Observation.queued()


def _containers(status: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind, ()):
            yield {"name": container["name"], "state": container.get("state", {})}


def _ends(ended: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(
        f"\r\n[{name}] terminated with exit code ({state.get('exitCode')}). "
        f"Reason [{state.get('reason', '')}]. Message: \n{state.get('message', '')}."
        for name, state in ended
    )


def _started(status: dict[str, Any]) -> datetime | None:
    for container in _containers(status):
        state = container["state"]
        at = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        if at:
            return datetime.fromisoformat(at.replace("Z", "+00:00"))
    return None
