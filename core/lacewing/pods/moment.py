"""The times that an observed object tells. Pure: plugins have no clock, the object says how late it is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from lacewing.model.task import Manifest

OBSERVED_AT = "lacewing.dev/observed-at"
"""Annotation by which a cluster's adapter says when it read an object; else its newest time counts."""

_KEYS = {"time", "lastTransitionTime", "lastProbeTime", "startedAt", "finishedAt", "startTime"}


def parsed(text: str | None) -> datetime | None:
    """A time as Kubernetes writes it, in UTC; None for none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else None


def created_at(observed: Manifest) -> datetime | None:
    """When the object was made."""
    return parsed(observed.get("metadata", {}).get("creationTimestamp"))


def seen_at(observed: Manifest) -> datetime | None:
    """How late it was when the object was read: as its reader noted, else the newest time in it."""
    metadata = observed.get("metadata", {})
    noted = (metadata.get("annotations") or {}).get(OBSERVED_AT)
    if noted:
        return parsed(noted)
    found = [created_at(observed), *_times(metadata.get("managedFields")), *_times(observed.get("status"))]
    return max((at for at in found if at is not None), default=None)


def _times(value: Any) -> Iterator[datetime | None]:
    if isinstance(value, list):
        for one in value:
            yield from _times(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in _KEYS and isinstance(one, str):
                yield parsed(one)
            elif key != "fieldsV1":
                yield from _times(one)
