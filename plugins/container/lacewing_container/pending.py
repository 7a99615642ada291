"""Why a pod does not run yet, and when that is a failure. Pure.

Rules: plugins.md, section 3.2. Init containers are looked at first: while one cannot start, all others only
say that they wait for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lacewing import ErrorKind, Manifest, Observation, TaskPhase
from lacewing.pods import created_at, parsed, seen_at

from lacewing_container.settings import ContainerSettings

State = Mapping[str, Any]
_PLACING = {"ContainerCreating", "PodInitializing"}
_KINDS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What becomes of a pod whose container waits, after `grace` seconds."""

    phase: TaskPhase
    grace: float = 0.0
    kind: ErrorKind = ErrorKind.USER


def containers(status: State) -> Iterator[tuple[str, State]]:
    """Every container's name and status, init containers first."""
    for kind in _KINDS:
        for one in status.get(kind) or ():
            yield one["name"], one


def pending(pod: Manifest, settings: ContainerSettings) -> Observation:
    """A pod that does not run. It fails when it has waited for longer than its trouble may last."""
    status = pod.get("status", {})
    limit = settings.pending_timeout_seconds
    if limit and _waited(pod, created_at(pod), limit):
        return Observation.retryable("PodPendingTimeout", f"the pod was pending for more than {limit:g}s")
    for condition in status.get("conditions") or ():
        unplaced = condition["type"] == "PodScheduled" and condition.get("status") == "False"
        if unplaced or condition["type"] == "Unschedulable":
            return Observation.queued(f"{condition.get('reason', '')}:{condition.get('message', '')}")
    waits = [one["state"]["waiting"] for _, one in containers(status) if one.get("state", {}).get("waiting")]
    waits = [one for one in waits if one.get("reason")]
    trouble = [one for one in waits if one["reason"] not in _PLACING]
    return _waiting(pod, (trouble or waits)[0], settings) if waits else Observation.queued()


def _waiting(pod: Manifest, waiting: State, settings: ContainerSettings) -> Observation:
    ready = _condition(pod, "Ready")
    reason, message = waiting["reason"], waiting.get("message", "")
    code = f"{ready.get('reason') or 'ContainersNotReady'}|{reason}"
    text = "|".join(part for part in (ready.get("message", ""), message) if part)
    verdict = _verdict(reason, message, settings)
    if verdict is None or not _waited(pod, _since(pod, ready), verdict.grace):
        return Observation.initializing(f"[{code}]: {text}")
    if verdict.grace:
        text = f"Grace period [{_duration(verdict.grace)}] exceeded|{text}"
    return Observation(verdict.phase, text, code, verdict.kind)


def _verdict(reason: str, message: str, settings: ContainerSettings) -> _Verdict | None:
    if reason in _PLACING:
        return None
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        return _Verdict(TaskPhase.RETRYABLE, settings.image_pull_grace_seconds)
    if reason == "CreateContainerConfigError" and message.startswith(("secret ", "couldn't find key")):
        return _Verdict(TaskPhase.RETRYABLE, settings.secret_grace_seconds, ErrorKind.SYSTEM)
    if reason == "CreateContainerConfigError":
        return _Verdict(TaskPhase.PERMANENT, settings.config_error_grace_seconds)
    if reason == "CreateContainerError":
        return _Verdict(TaskPhase.PERMANENT, settings.create_error_grace_seconds)
    if reason == "InvalidImageName":
        return _Verdict(TaskPhase.PERMANENT)
    return _Verdict(TaskPhase.RETRYABLE, kind=ErrorKind.SYSTEM)


def _condition(pod: Manifest, name: str) -> State:
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == name and one.get("status") == "False"), {})


def _since(pod: Manifest, ready: State) -> datetime | None:
    """Since when it could have started: the pod began to wait, or the last init container ended."""
    began = parsed(ready.get("lastTransitionTime") or pod.get("status", {}).get("startTime"))
    ended = (one.get("state", {}).get("terminated") or {} for _, one in containers(pod.get("status", {})))
    times = [began or created_at(pod), *(parsed(state.get("finishedAt")) for state in ended)]
    return max((at for at in times if at is not None), default=None)


def _waited(pod: Manifest, since: datetime | None, seconds: float) -> bool:
    now = seen_at(pod)
    if not seconds or since is None or now is None:
        return not seconds
    return now - since >= timedelta(seconds=seconds)


def _duration(seconds: float) -> str:
    """As Go prints it: `3m0s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
