"""Literals as people read them: bare text for one value, JSON for what has parts. Pure.

What cannot be read is named with its size; nothing a user's program returned may break a page.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
from flyteidl.core import literals_pb2
from google.protobuf.json_format import MessageToDict

_LONGEST = 20_000
_LINE = 90


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output to show. `more` counts the characters that were cut off."""

    name: str
    text: str
    more: int = 0


def values(literals: literals_pb2.LiteralMap) -> list[Value]:
    """The literals of a map by name."""
    return [value(name, literals.literals[name]) for name in sorted(literals.literals)]


def value(name: str, literal: literals_pb2.Literal) -> Value:
    """One literal to show, cut where it is too long."""
    text = literal_text(literal)
    return Value(name, text[:_LONGEST], max(0, len(text) - _LONGEST))


def literal_text(literal: literals_pb2.Literal) -> str:
    """A text as it is, and anything else as JSON on one line if it is short."""
    plain = plain_value(literal)
    if isinstance(plain, str):
        return plain
    line = _json(plain, None)
    return line if len(line) <= _LINE else _json(plain, 2)


def plain_value(literal: literals_pb2.Literal) -> Any:
    """The literal as plain data. Files and frames are their address, times are ISO 8601."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return [plain_value(one) for one in literal.collection.literals]
    if kind == "map":
        return {name: plain_value(one) for name, one in sorted(literal.map.literals.items())}
    if kind == "offloaded_metadata":
        stored = literal.offloaded_metadata
        return f"{stored.uri} (offloaded, {size_text(stored.size_bytes)})"
    return _scalar(literal.scalar) if kind == "scalar" else None


def size_text(size: int) -> str:
    """A number of bytes: `900 B`, `1.4 kB`, `20.0 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def _scalar(scalar: literals_pb2.Scalar) -> Any:
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _primitive(scalar.primitive)
    if kind == "union":
        return plain_value(scalar.union.value)
    if kind == "generic":
        return MessageToDict(scalar.generic)
    if kind == "binary":
        return _binary(scalar.binary)
    if kind == "error":
        return f"error of node {scalar.error.failed_node_id}: {scalar.error.message}"
    if kind in ("blob", "schema", "structured_dataset"):
        return str(getattr(scalar, kind).uri)
    return None


def _primitive(primitive: literals_pb2.Primitive) -> Any:
    kind = primitive.WhichOneof("value")
    if kind == "datetime":
        return _json_text(primitive.datetime)
    if kind == "duration":
        return _json_text(primitive.duration)
    return getattr(primitive, kind) if kind else None


def _json_text(time: Any) -> str:
    try:
        return str(time.ToJsonString())
    except (ValueError, OverflowError):
        return f"{time.seconds} s, which is out of range"


def _binary(binary: literals_pb2.Binary) -> Any:
    if binary.tag == "msgpack":
        try:
            return msgpack.unpackb(binary.value, strict_map_key=False)
        except (ValueError, msgpack.UnpackException):
            pass
    return f"{size_text(len(binary.value))} of binary data" + (f" ({binary.tag})" if binary.tag else "")


def _json(data: Any, indent: int | None) -> str:
    return json.dumps(_named(data), indent=indent, ensure_ascii=False, default=str)


def _named(data: Any) -> Any:
    """The data with keys that JSON takes."""
    if isinstance(data, Mapping):
        return {str(key): _named(one) for key, one in data.items()}
    return [_named(one) for one in data] if isinstance(data, list | tuple) else data
