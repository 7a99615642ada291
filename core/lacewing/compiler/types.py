"""Types: what a literal's type is, and which type may flow into which. Pure.

Rules: propeller.md, sections 1.5 and 1.6. Annotations and metadata do not count, but for a struct's schema.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from flyteidl.core import literals_pb2, types_pb2
from flyteidl.core.types_pb2 import LiteralType
from google.protobuf import json_format

from lacewing.errors import InvalidArgument

Types = Mapping[str, LiteralType]
"""The types of variables, by name."""
UNKNOWN = LiteralType()
"""Of what only the run can tell: fits everywhere."""
NONE = LiteralType(simple=types_pb2.NONE)
_STRUCT = LiteralType(simple=types_pb2.STRUCT)
_PRIMITIVES = {
    "integer": LiteralType(simple=types_pb2.INTEGER),
    "float_value": LiteralType(simple=types_pb2.FLOAT),
    "string_value": LiteralType(simple=types_pb2.STRING),
    "boolean": LiteralType(simple=types_pb2.BOOLEAN),
    "datetime": LiteralType(simple=types_pb2.DATETIME),
    "duration": LiteralType(simple=types_pb2.DURATION),
}
_COLUMNS = {
    types_pb2.SchemaType.SchemaColumn.INTEGER: _PRIMITIVES["integer"],
    types_pb2.SchemaType.SchemaColumn.FLOAT: _PRIMITIVES["float_value"],
    types_pb2.SchemaType.SchemaColumn.STRING: _PRIMITIVES["string_value"],
    types_pb2.SchemaType.SchemaColumn.BOOLEAN: _PRIMITIVES["boolean"],
    types_pb2.SchemaType.SchemaColumn.DATETIME: _PRIMITIVES["datetime"],
    types_pb2.SchemaType.SchemaColumn.DURATION: _PRIMITIVES["duration"],
}
_TEXT_LENGTH = 300


def literal_type(literal: literals_pb2.Literal) -> LiteralType:
    """The type that a literal shows. Raises InvalidArgument for one that holds nothing."""
    kind = literal.WhichOneof("value")
    if kind == "scalar":
        return scalar_type(literal.scalar)
    if kind == "collection":
        return LiteralType(collection_type=_common(literal.collection.literals))
    if kind == "map":
        return LiteralType(map_value_type=_common(literal.map.literals.values()))
    if kind == "offloaded_metadata":
        return offloaded_type(literal.offloaded_metadata)
    raise InvalidArgument("a literal holds no value")


def offloaded_type(metadata: literals_pb2.LiteralOffloadedMetadata) -> LiteralType:
    """The type of a literal that is stored elsewhere. Raises InvalidArgument if it does not say."""
    if metadata.inferred_type.WhichOneof("type") is None:
        raise InvalidArgument(f"the offloaded literal {metadata.uri!r} does not say its type")
    return metadata.inferred_type


def scalar_type(scalar: literals_pb2.Scalar) -> LiteralType:
    """The type that a scalar shows. Raises InvalidArgument for one that holds nothing."""
    kind = scalar.WhichOneof("value")
    found = _SCALARS[kind](scalar) if kind else None
    if found is None:
        raise InvalidArgument("a scalar holds no value")
    return found


def _dataset_type(scalar: literals_pb2.Scalar) -> LiteralType:
    return LiteralType(structured_dataset_type=scalar.structured_dataset.metadata.structured_dataset_type)


def _binary_type(scalar: literals_pb2.Scalar) -> LiteralType:
    return _STRUCT if scalar.binary.tag == "msgpack" else LiteralType(simple=types_pb2.BINARY)


_SCALARS: dict[str, Callable[[Any], LiteralType | None]] = {
    "primitive": lambda scalar: _PRIMITIVES.get(scalar.primitive.WhichOneof("value")),
    "blob": lambda scalar: LiteralType(blob=scalar.blob.metadata.type),
    "schema": lambda scalar: LiteralType(schema=scalar.schema.type),
    "structured_dataset": _dataset_type,
    "binary": _binary_type,
    "generic": lambda _: _STRUCT,
    "none_type": lambda _: NONE,
    "error": lambda _: LiteralType(simple=types_pb2.ERROR),
    "union": lambda scalar: union_of([scalar.union.type], always=True),
}


def _common(literals: Iterable[literals_pb2.Literal]) -> LiteralType:
    """The type of the elements. Lists of lists are looked at as one, so that an empty one tells nothing."""
    items = list(literals)
    kinds = {item.WhichOneof("value") for item in items}
    if kinds == {"collection"}:
        inner = chain.from_iterable(item.collection.literals for item in items)
        return LiteralType(collection_type=_common(inner))
    if kinds == {"map"}:
        inner = chain.from_iterable(item.map.literals.values() for item in items)
        return LiteralType(map_value_type=_common(inner))
    return union_of(map(literal_type, items)) if items else NONE


def union_of(types: Iterable[LiteralType], *, always: bool = False) -> LiteralType:
    """The union of the distinct types, sorted; a single one stays itself unless `always`."""
    variants: dict[bytes, LiteralType] = {}
    for found in types:
        for variant in found.union_type.variants or (found,):
            variants[variant.SerializeToString(deterministic=True)] = variant
    if len(variants) == 1 and not always:
        return next(iter(variants.values()))
    return LiteralType(union_type=types_pb2.UnionType(variants=[variants[key] for key in sorted(variants)]))


def castable(up: LiteralType, down: LiteralType) -> bool:
    """Whether a value of type `up` may be given where `down` is asked for."""
    if up == down:
        return True
    if len(up.union_type.variants) == 1 and castable(up.union_type.variants[0], down):
        return True
    return _CHECKS.get(down.WhichOneof("type") or "", _plain)(up, down)


def is_none(kind: LiteralType) -> bool:
    """Whether it is the type of None."""
    return bool(kind.WhichOneof("type") == "simple" and kind.simple == types_pb2.NONE)


def optional(kind: LiteralType) -> bool:
    """Whether a variable of this type may stay unbound: a union with none in it."""
    return any(is_none(variant) for variant in kind.union_type.variants)


def fitting(up: LiteralType, down: LiteralType) -> int:
    """How many variants of the union `down` a value of type `up` fits."""
    return sum(castable(up, other) for other in down.union_type.variants)


def _into_union(up: LiteralType, down: LiteralType) -> bool:
    if up.HasField("union_type"):
        variants = down.union_type.variants
        return all(any(castable(one, other) for other in variants) for one in up.union_type.variants)
    return fitting(up, down) == 1


def _into_collection(up: LiteralType, down: LiteralType) -> bool:
    if not up.HasField("collection_type"):
        return False
    return is_none(up.collection_type) or castable(up.collection_type, down.collection_type)


def _into_map(up: LiteralType, down: LiteralType) -> bool:
    if not up.HasField("map_value_type"):
        return False
    return is_none(up.map_value_type) or castable(up.map_value_type, down.map_value_type)


def _into_blob(up: LiteralType, down: LiteralType) -> bool:
    formats = {up.blob.format, down.blob.format}
    return bool(up.HasField("blob") and (len(formats) == 1 or "" in formats))


def _into_schema(up: LiteralType, down: LiteralType) -> bool:
    if up.HasField("structured_dataset_type"):
        fits = up.structured_dataset_type.format.lower() in ("", "parquet")
    else:
        fits = up.HasField("schema")
    return bool(fits and _columns_fit(up, down))


def _into_dataset(up: LiteralType, down: LiteralType) -> bool:
    target = down.structured_dataset_type.format.lower()
    if is_none(up):
        return True
    if up.HasField("schema"):
        fits = target in ("", "parquet")
    else:
        formats = {up.structured_dataset_type.format.lower(), target}
        fits = up.HasField("structured_dataset_type") and (len(formats) == 1 or "" in formats)
    return bool(fits and _columns_fit(up, down))


def _columns_fit(up: LiteralType, down: LiteralType) -> bool:
    have, wanted = _columns(up), _columns(down)
    return not have or all(name in have and castable(have[name], kind) for name, kind in wanted.items())


def _columns(kind: LiteralType) -> dict[str, LiteralType]:
    if kind.HasField("schema"):
        return {column.name: _COLUMNS[column.type] for column in kind.schema.columns}
    return {column.name: column.literal_type for column in kind.structured_dataset_type.columns}


def _plain(up: LiteralType, down: LiteralType) -> bool:
    kinds = up.WhichOneof("type"), down.WhichOneof("type")
    if kinds == ("enum_type", "simple") and down.simple == types_pb2.STRING:
        return True
    if kinds == ("simple", "enum_type"):
        return bool(up.simple == types_pb2.STRING)
    if is_none(down):
        return is_none(up)
    if up.structure.tag and up.structure.tag != down.structure.tag:
        return False
    if kinds == ("enum_type", "enum_type"):
        return list(up.enum_type.values) == list(down.enum_type.values)
    if kinds != ("simple", "simple") or up.simple != down.simple:
        return False
    return bool(up.simple != types_pb2.STRUCT or _structs(up, down))


_CHECKS: dict[str, Callable[[LiteralType, LiteralType], bool]] = {
    "union_type": _into_union,
    "collection_type": _into_collection,
    "map_value_type": _into_map,
    "blob": _into_blob,
    "schema": _into_schema,
    "structured_dataset_type": _into_dataset,
}


def _structs(up: LiteralType, down: LiteralType) -> bool:
    if not (up.HasField("metadata") and down.HasField("metadata")):
        return True
    one, other = (json_format.MessageToDict(side.metadata) for side in (up, down))
    return _schema_covers(one, other, one, other, frozenset())


Schema = Mapping[str, Any]


def _schema_covers(
    up: Schema, down: Schema, up_root: Schema, down_root: Schema, seen: frozenset[tuple[str, str]]
) -> bool:
    """Whether a JSON schema offers every property that another asks for, each of the same shape."""
    names = up.get("$ref", ""), down.get("$ref", "")
    if any(names):
        if names in seen:
            return True
        seen |= {names}
        up, down = _referenced(up, up_root), _referenced(down, down_root)
    if up == down and not any(names):
        return True
    if any(up.get(key) != down.get(key) for key in ("type", "enum", "anyOf", "oneOf", "allOf")):
        return False
    have, want = up.get("properties", {}), down.get("properties", {})
    pairs = [(have.get(name), shape) for name, shape in want.items()]
    pairs += [(up.get(key), down[key]) for key in ("items", "additionalProperties") if key in down]
    return all(
        _schema_covers(one, other, up_root, down_root, seen)
        if isinstance(one, Mapping) and isinstance(other, Mapping)
        else one == other
        for one, other in pairs
    )


def _referenced(schema: Schema, root: Schema) -> Schema:
    if not isinstance(reference := schema.get("$ref"), str):
        return schema
    found = (root.get("definitions") or root.get("$defs") or {}).get(reference.rsplit("/", 1)[-1], {})
    return found if isinstance(found, Mapping) else {}


def type_text(kind: LiteralType) -> str:
    """A type in one line, as errors show it: without its schema, and cut where it is long."""
    shown = LiteralType()
    shown.CopyFrom(kind)
    shown.ClearField("metadata")
    shown.ClearField("annotation")
    text = " ".join(str(shown).split()).replace(": ", ":")
    return text if len(text) <= _TEXT_LENGTH else text[:_TEXT_LENGTH] + "…"
