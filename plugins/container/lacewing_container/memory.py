"""More memory for an attempt after one that ran out of it, and the words that say so. Pure."""

import math

from lacewing import Manifest, TaskContext
from lacewing.pods import primary_container, quantity

from lacewing_container.settings import ContainerSettings

OUT_OF_MEMORY = "OOMKilled"
_NOTE = "lacewing.dev/memory"
_MEBI = 2**20


def raise_memory(pod: Manifest, task: TaskContext, settings: ContainerSettings) -> None:
    """Multiply the primary container's memory once for each attempt that ran out of it, and note that."""
    times, limit = task.failures.count(OUT_OF_MEMORY), memory_limit(pod)
    if not times or not limit:
        return
    given = _raised(limit, times, task, settings)
    if given == limit:
        return
    amounts = primary_container(pod)["resources"]
    for kind in ("requests", "limits"):
        if "memory" in amounts.get(kind, {}):
            amounts[kind]["memory"] = _raised(amounts[kind]["memory"], times, task, settings)
    attempts = "1 attempt" if times == 1 else f"{times} attempts"
    pod["metadata"]["annotations"][_NOTE] = (
        f"the memory limit was raised from {limit} to {given}, since {attempts} ran out of memory"
    )


def raised_note(pod: Manifest) -> str:
    """What `raise_memory` noted, if it did anything."""
    return str((pod["metadata"].get("annotations") or {}).get(_NOTE, ""))


def memory_limit(pod: Manifest) -> str:
    """The primary container's memory limit; empty if there is none, or no spec to look at."""
    if "spec" not in pod:
        return ""
    return str(primary_container(pod).get("resources", {}).get("limits", {}).get("memory", ""))


def outlook(pod: Manifest, task: TaskContext, settings: ContainerSettings) -> str:
    """What the next attempt would be given; empty if it would be no more than this one."""
    limit = memory_limit(pod)
    if not limit:
        return ""
    given = _raised(limit, 1, task, settings)
    if given == limit:
        return ""
    return f" A further attempt, if there is one, is given {given} of memory instead of {limit}."


def _raised(amount: str, times: int, task: TaskContext, settings: ContainerSettings) -> str:
    if settings.retry_memory_factor == 1:
        return amount
    bytes_ = quantity(amount) * settings.retry_memory_factor**times
    for ceiling in (settings.retry_memory_limit, task.resource_limits.get("memory", "")):
        bytes_ = min(bytes_, quantity(ceiling)) if ceiling else bytes_
    return f"{math.floor(bytes_ / _MEBI)}Mi" if bytes_ > quantity(amount) else amount
