"""What a cached task is known by: keys that an existing catalog of Flyte 1 understands too. Pure, bit-exact.

Rules: contract "propeller", sections 0 and 7.2. Nothing here may ever change its result for the same input.
"""

import hashlib
import math
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2, workflow_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from lacewing.errors import TaskError
from lacewing.model.ids import RunKey

DATASET_PREFIX = "flyte_task-"
_KEPT_ANNOTATION = "cache-key-metadata"
_SHORT = 8


class CacheStatus(IntEnum):
    """What caching did for a node; the values are those of core.CatalogCacheStatus."""

    DISABLED = 0
    MISS = 1
    HIT = 2
    POPULATED = 3
    PUT_FAILURE = 5


class CachePolicy(NamedTuple):
    """How the outputs of a node are cached."""

    version: str
    serialize: bool = False
    """Of several nodes with one key only one computes at a time."""
    ignored: tuple[str, ...] = ()
    """Inputs that are no part of the key."""


class CacheKey(NamedTuple):
    """What outputs are found by: a dataset of the catalog, and a tag in it."""

    project: str
    domain: str
    name: str
    version: str
    tag: str


class Source(NamedTuple):
    """Which attempt computed cached outputs."""

    run: RunKey
    node_id: str
    attempt: int
    task_version: str


class Artifact(NamedTuple):
    """Outputs that the catalog keeps."""

    id: str
    outputs: literals_pb2.LiteralMap
    source: Source | None = None


class CacheNote(NamedTuple):
    """What a node's event tells of caching."""

    status: CacheStatus
    key: CacheKey
    artifact_id: str = ""
    source: Source | None = None


def cache_policy(task: tasks_pb2.TaskTemplate, *nodes: workflow_pb2.NodeMetadata) -> CachePolicy | None:
    """How a task is cached in a node, or None. What the nodes' metadata says counts before the task's own.

    Of an array both the array's node and the one that it repeats are given.
    """
    told = task.metadata
    wanted = _first(nodes, "cacheable", told.discoverable)
    if not wanted or not task.interface.outputs.variables:
        return None
    return CachePolicy(
        _first(nodes, "cache_version", told.discovery_version).strip(),
        _first(nodes, "cache_serializable", told.cache_serializable),
        tuple(told.cache_ignore_input_vars),
    )


def _first(nodes: tuple[workflow_pb2.NodeMetadata, ...], name: str, otherwise: Any) -> Any:
    return next((getattr(one, name) for one in nodes if one.WhichOneof(f"{name}_value")), otherwise)


def cache_key(
    task: tasks_pb2.TaskTemplate, policy: CachePolicy, inputs: literals_pb2.LiteralMap, *, element: bool
) -> CacheKey:
    """The key of the task's outputs for these inputs. Of an array's element the outputs are those of one.

    Raises TaskError where the policy names no version.
    """
    if not policy.version:
        raise TaskError(
            f"task {task.id.name!r} is cached but names no cache version; give it a cache_version",
            code="CacheVersionMissing",
        )
    reads = interface_hash(task.interface.inputs.SerializeToString(), False)
    writes = interface_hash(task.interface.outputs.SerializeToString(), element)
    return CacheKey(
        task.id.project,
        task.id.domain,
        f"{DATASET_PREFIX}{task.id.name}",
        f"{policy.version}-{reads[:_SHORT]}-{writes[:_SHORT]}",
        f"flyte_cached-{pbhash(_keyed(inputs, policy.ignored))}",
    )


@lru_cache(maxsize=4096)
def interface_hash(variables: bytes, single: bool) -> str:
    """The hash of a serialized VariableMap without what does not matter; `single` takes the items of lists.

    Flyte takes those for the outputs of an array's elements, and leaves their inputs the lists that they are.
    """
    stripped = interface_pb2.VariableMap.FromString(variables)
    for variable in stripped.variables.values():
        variable.description = ""
        if single and variable.type.WhichOneof("type") == "collection_type":
            item = types_pb2.LiteralType()
            item.CopyFrom(variable.type.collection_type)
            variable.type.CopyFrom(item)
        _strip(variable.type)
    return pbhash(stripped)


def _strip(kind: types_pb2.LiteralType) -> None:
    """Leave out metadata and annotations: they say nothing of a value."""
    kind.ClearField("metadata")
    if kind.HasField("annotation") and _KEPT_ANNOTATION not in kind.annotation.annotations.fields:
        kind.ClearField("annotation")
    which = kind.WhichOneof("type")
    if which in ("collection_type", "map_value_type"):
        _strip(getattr(kind, which))
    elif which == "union_type":
        for variant in kind.union_type.variants:
            _strip(variant)
    elif which == "structured_dataset_type":
        for column in kind.structured_dataset_type.columns:
            _strip(column.literal_type)


def _keyed(inputs: literals_pb2.LiteralMap, ignored: tuple[str, ...]) -> literals_pb2.LiteralMap:
    kept = {name: literal for name, literal in inputs.literals.items() if name not in ignored}
    return literals_pb2.LiteralMap(literals={name: _hashed(literal) for name, literal in kept.items()})


def _hashed(literal: literals_pb2.Literal) -> literals_pb2.Literal:
    """The literal with all that carries a hash replaced by that hash, at any depth."""
    if literal.hash:
        return literals_pb2.Literal(hash=literal.hash)
    which = literal.WhichOneof("value")
    found = literals_pb2.Literal()
    if which == "collection":
        found.collection.SetInParent()
        found.collection.literals.extend(_hashed(one) for one in literal.collection.literals)
        return found
    if which == "map":
        found.map.SetInParent()
        for name, one in literal.map.literals.items():
            found.map.literals[name].CopyFrom(_hashed(one))
        return found
    return literal


def pbhash(message: Message) -> str:
    """The objecthash of a message's proto3 JSON, in base64url without padding."""
    return urlsafe_b64encode(object_hash(MessageToDict(message))).decode().rstrip("=")


def object_hash(value: Any) -> bytes:
    """The objecthash of a JSON value. Every number is hashed as a float."""
    if isinstance(value, str):
        return _digest("u", value.encode())
    if isinstance(value, bool):
        return _digest("b", b"1" if value else b"0")
    if isinstance(value, Mapping):
        pairs = sorted(object_hash(name) + object_hash(one) for name, one in value.items())
        return _digest("d", b"".join(pairs))
    if isinstance(value, list):
        return _digest("l", b"".join(object_hash(one) for one in value))
    return _digest("n", b"") if value is None else _digest("f", _float_form(float(value)).encode())


def _digest(tag: str, body: bytes) -> bytes:
    return hashlib.sha256(tag.encode() + body).digest()


def _float_form(value: float) -> str:
    """Sign, exponent and bits, with the mantissa in (0.5, 1]."""
    if value == 0:
        return "+0:"
    mantissa, exponent = math.frexp(abs(value))
    if mantissa == 0.5:
        mantissa, exponent = 1.0, exponent - 1
    bits = []
    while mantissa:
        bits.append("1" if mantissa >= 1 else "0")
        mantissa = (mantissa - (mantissa >= 1)) * 2
    return f"{'-' if value < 0 else '+'}{exponent}:{''.join(bits)}"
