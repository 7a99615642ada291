"""What differs between two versions of a message, in the words that Flyte's clients show. Pure.

A difference is a path with what was there and what is asked for. Values are written as Flyte writes them.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

_LONGEST_VALUE = 400
_MOST = 20


def difference(before: Message, after: Message) -> str:
    """One entry for each place that differs; long values and long lists are cut."""
    old, new = (MessageToDict(one, preserving_proto_field_name=True) for one in (before, after))
    found = list(_walk("", old, new))
    lines = [f"{path}:\n\t- {_text(one)} \n\t+ {_text(other)}" for path, one, other in found[:_MOST]]
    if len(found) > _MOST:
        lines.append(f"and {len(found) - _MOST} more differences")
    return "\n".join(lines)


def _walk(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _walk(f"{path}/{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _walk(f"{path}/{index}", one, other)
    else:
        yield path, old, new


def _text(value: Any) -> str:
    text = _whole_text(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _whole_text(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_whole_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_whole_text, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
