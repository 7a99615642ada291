"""What a pod's status means for the attempt. Pure: how late it is, the pod itself tells.

Rules: plugins.md, section 3, with its defects mended. A container that ended is judged the same whether its
pod is over or still runs.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from lacewing import ErrorKind, Manifest, Observation
from lacewing.pods import PRIMARY, parsed

from lacewing_container.memory import OUT_OF_MEMORY
from lacewing_container.pending import containers, pending
from lacewing_container.settings import ContainerSettings

State = Mapping[str, Any]
_SYSTEM_REASONS = {"Shutdown", "Terminated", "NodeShutdown", "NodeAffinity", "NodeLost", "Lost"}
_KILLED = {137, 247}
"""The exit codes of a container that was ended from outside."""


def observation(pod: Manifest, settings: ContainerSettings) -> Observation:
    """The attempt's phase; a failure says which container failed, how, and what it wrote last."""
    status = pod.get("status", {})
    primary = (pod["metadata"].get("annotations") or {}).get(PRIMARY, "")
    kind = status.get("phase") or "Pending"
    if kind == "Succeeded":
        seen = _succeeded(pod, status)
    elif kind == "Failed":
        seen = _failed(pod, status, primary)
    elif kind == "Pending":
        seen = pending(pod, settings)
    else:
        seen = _running(pod, status, primary)
    return replace(seen, started_at=_started(status, primary))


def _succeeded(pod: Manifest, status: State) -> Observation:
    ended = _ended(status)
    return _out_of_memory(pod, ended) or Observation.succeeded()


def _failed(pod: Manifest, status: State, primary: str) -> Observation:
    reason, ended = status.get("reason", ""), _ended(status)
    message = status.get("message", "") + _words(ended)
    if found := _out_of_memory(pod, ended, status.get("message", "")):
        return found
    if reason in _SYSTEM_REASONS or not (reason or ended):
        return _interrupted(message or "the pod ended without a word")
    killed = [name for name, state in ended if state.get("exitCode") in _KILLED]
    if killed and (not primary or primary in killed):
        return _interrupted(message)
    if killed:
        return Observation.retryable("Interrupted", message)
    failed = [state for _, state in ended if state.get("exitCode")]
    if not failed and not reason:
        return _interrupted(message)
    return Observation.retryable(reason or failed[0].get("reason") or "Error", message)


def _running(pod: Manifest, status: State, primary: str) -> Observation:
    if not primary:
        states = [one.get("state", {}).get("terminated") for _, one in containers(status)]
        done = bool(states) and all(state and not state.get("exitCode") for state in states)
        return Observation.succeeded() if done else Observation.running()
    state = next((one.get("state", {}) for name, one in containers(status) if name == primary), None)
    if state is None:
        return _missing(pod, primary)
    return _primary(pod, primary, state["terminated"]) if "terminated" in state else Observation.running()


def _primary(pod: Manifest, name: str, state: State) -> Observation:
    """The primary container ended, and the pod is not yet over."""
    ended = [(name, state)]
    if found := _out_of_memory(pod, ended):
        return found
    if not state.get("exitCode"):
        return Observation.succeeded()
    if state["exitCode"] in _KILLED:
        return _interrupted(_words(ended))
    return Observation.retryable(state.get("reason") or "Error", _words(ended))


def _missing(pod: Manifest, primary: str) -> Observation:
    spec = pod.get("spec", {})
    if not spec or any(one.get("name") == primary for one in spec.get("containers", ())):
        return Observation.running()
    return Observation.permanent(
        "PrimaryContainerNotFound", f"primary container [{primary}] not found in pod's container statuses"
    )


def _out_of_memory(pod: Manifest, ended: list[tuple[str, State]], message: str = "") -> Observation | None:
    name = next((name for name, state in ended if OUT_OF_MEMORY in state.get("reason", "")), None)
    if name is None:
        return None
    limit = _limit(pod, name)
    told = f"its memory limit of {limit}" if limit else "the memory there was"
    text = f"[{name}] used more than {told}."
    return Observation.retryable(OUT_OF_MEMORY, f"{text}{message}{_words(ended)}")


def _limit(pod: Manifest, name: str) -> str:
    spec = pod.get("spec", {})
    for one in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        if one.get("name") == name:
            return str(one.get("resources", {}).get("limits", {}).get("memory", ""))
    return ""


def _interrupted(message: str) -> Observation:
    return Observation.retryable("Interrupted", message, ErrorKind.SYSTEM)


def _ended(status: State) -> list[tuple[str, State]]:
    found = []
    for name, one in containers(status):
        for key in ("lastState", "state"):
            state = one.get(key, {}).get("terminated")
            if state:
                found.append((name, state))
                break
    return found


def _words(ended: list[tuple[str, State]]) -> str:
    return "".join(
        f"\r\n[{name}] terminated with exit code ({state.get('exitCode')}). "
        f"Reason [{state.get('reason', '')}]. Message: \n{state.get('message', '')}."
        for name, state in ended
    )


def _started(status: State, primary: str) -> datetime | None:
    """When the primary container began; the first that did, where none is named."""
    for name, one in containers({**status, "initContainerStatuses": ()}):
        state = one.get("state", {})
        at = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        if at and primary in ("", name):
            return parsed(at)
    return None
