"""Kubernetes quantities: `500m`, `2`, `512Mi`. Pure."""

import math
import re

from lacewing.errors import TaskError

_UNITS = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?([numkMGTPE]i?|Ki)?$")


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number: cores, bytes. Raises TaskError for what is none."""
    match = _QUANTITY.match(text.strip())
    if match is None or (match.group(3) or "") not in _UNITS:
        raise TaskError(f"{text!r} is not a quantity; write for example 500m, 2, 512Mi or 1Gi")
    number = float(match.group(1)) * math.pow(10, int(match.group(2) or 0))
    return number * _UNITS[match.group(3) or ""]


def least(one: str | None, other: str | None) -> str | None:
    """The smaller of two quantities, in its own words; one that is absent does not count."""
    if one is None or other is None:
        return one or other
    return one if quantity(one) <= quantity(other) else other


def checked(text: str) -> str:
    """`text` if it is a quantity or empty; raises ValueError, as a settings model wants it."""
    try:
        quantity(text or "0")
    except TaskError as error:
        raise ValueError(error.message) from error
    return text
