"""Types: what a literal's type is, and which type may flow into which. Pure.

Rules: propeller.md, sections 1.5 and 1.6. Annotations and metadata do not count, but for a struct's schema.
"""

from collections.abc import Iterable, Mapping

from flyteidl.core import literals_pb2, types_pb2
from flyteidl.core.types_pb2 import LiteralType
from google.protobuf import json_format

from lacewing.errors import InvalidArgument

NONE = LiteralType(simple=types_pb2.NONE)
STRING = LiteralType(simple=types_pb2.STRING)
_PRIMITIVES = {
    "integer": types_pb2.INTEGER,
    "float_value": types_pb2.FLOAT,
    "string_value": types_pb2.STRING,
    "boolean": types_pb2.BOOLEAN,
    "datetime": types_pb2.DATETIME,
    "duration": types_pb2.DURATION,
}


def literal_type(literal: literals_pb2.Literal) -> LiteralType:
    """The type that a literal shows. Raises InvalidArgument for one that holds nothing."""
    kind = literal.WhichOneof("value")
    if kind == "scalar":
        return _scalar_type(literal.scalar)
    if kind == "collection":
        return LiteralType(collection_type=_common(literal.collection.literals))
    if kind == "map":
        return LiteralType(map_value_type=_common(literal.map.literals.values()))
    if kind == "offloaded_metadata":
        return literal.offloaded_metadata.inferred_type
    raise InvalidArgument("a literal holds no value")


def _scalar_type(scalar: literals_pb2.Scalar) -> LiteralType:
    kind = scalar.WhichOneof("value")
    if kind == "primitive" and scalar.primitive.WhichOneof("value"):
        return LiteralType(simple=_PRIMITIVES[scalar.primitive.WhichOneof("value")])
    if kind == "blob":
        return LiteralType(blob=scalar.blob.metadata.type)
    if kind == "schema":
        return LiteralType(schema=scalar.schema.type)
    if kind == "structured_dataset":
        return LiteralType(structured_dataset_type=scalar.structured_dataset.metadata.structured_dataset_type)
    if kind == "binary":
        is_struct = scalar.binary.tag == "msgpack"
        return LiteralType(simple=types_pb2.STRUCT if is_struct else types_pb2.BINARY)
    if kind == "generic":
        return LiteralType(simple=types_pb2.STRUCT)
    if kind == "none_type":
        return NONE
    if kind == "error":
        return LiteralType(simple=types_pb2.ERROR)
    if kind == "union":
        return LiteralType(union_type=types_pb2.UnionType(variants=[scalar.union.type]))
    raise InvalidArgument("a scalar holds no value")


def _common(literals: Iterable[literals_pb2.Literal]) -> LiteralType:
    variants: dict[bytes, LiteralType] = {}
    elements = list(literals)
    # An empty list beside others fits whatever they are.
    for literal in [one for one in elements if not _is_empty(one)] or elements:
        found = literal_type(literal)
        for variant in found.union_type.variants if found.HasField("union_type") else (found,):
            variants[variant.SerializeToString(deterministic=True)] = variant
    if not variants:
        return NONE
    if len(variants) == 1:
        return next(iter(variants.values()))
    return LiteralType(union_type=types_pb2.UnionType(variants=[variants[key] for key in sorted(variants)]))


def _is_empty(literal: literals_pb2.Literal) -> bool:
    kind = literal.WhichOneof("value")
    return kind in ("collection", "map") and not getattr(literal, kind).literals


def castable(up: LiteralType, down: LiteralType) -> bool:
    """Whether a value of type `up` may be given where `down` is asked for."""
    if (
        up.HasField("union_type")
        and len(up.union_type.variants) == 1
        and castable(up.union_type.variants[0], down)
    ):
        return True
    kind = down.WhichOneof("type")
    if kind == "union_type":
        return _into_union(up, down)
    if up.structure.tag and up.structure.tag != down.structure.tag:
        return False
    if kind in ("collection_type", "map_value_type"):
        if not up.HasField(kind):
            return False
        inner = getattr(up, kind)
        return bool(_is_none(inner) or castable(inner, getattr(down, kind)))
    if kind == "blob":
        formats = {up.blob.format, down.blob.format}
        return bool(up.HasField("blob") and (len(formats) == 1 or "" in formats))
    if kind == "schema":
        return _into_schema(up, down)
    if kind == "structured_dataset_type":
        return _into_dataset(up, down)
    return _plain(up, down)


def _is_none(kind: LiteralType) -> bool:
    return bool(kind.WhichOneof("type") == "simple" and kind.simple == types_pb2.NONE)


def _into_union(up: LiteralType, down: LiteralType) -> bool:
    variants = down.union_type.variants
    if up.HasField("union_type"):
        return all(any(castable(one, other) for other in variants) for one in up.union_type.variants)
    return sum(castable(up, other) for other in variants) == 1


def fitting(up: LiteralType, down: LiteralType) -> int:
    """How many variants of the union `down` a value of type `up` fits."""
    return sum(castable(up, other) for other in down.union_type.variants)


def _plain(up: LiteralType, down: LiteralType) -> bool:
    kinds = up.WhichOneof("type"), down.WhichOneof("type")
    if kinds == ("enum_type", "simple"):
        return bool(down.simple == types_pb2.STRING)
    if kinds == ("simple", "enum_type"):
        return bool(up.simple == types_pb2.STRING)
    if kinds == ("enum_type", "enum_type"):
        return list(up.enum_type.values) == list(down.enum_type.values)
    if kinds != ("simple", "simple"):
        return False
    if up.simple == types_pb2.STRUCT == down.simple:
        return _structs(up, down)
    return bool(up.simple == down.simple)


def _structs(up: LiteralType, down: LiteralType) -> bool:
    if not (up.HasField("metadata") and down.HasField("metadata")):
        return True
    one, other = (json_format.MessageToDict(side.metadata) for side in (up, down))
    return one == other or _schema_covers(one, other)


def _schema_covers(up: Mapping[str, object], down: Mapping[str, object]) -> bool:
    """Whether a JSON schema offers every property that another asks for, each of the same shape."""
    have, want = _properties(up), _properties(down)
    return all(name in have and have[name] == shape for name, shape in want.items())


def _properties(schema: Mapping[str, object]) -> Mapping[str, object]:
    if isinstance(reference := schema.get("$ref"), str):
        definitions = schema.get("definitions") or schema.get("$defs")
        if isinstance(definitions, Mapping):
            schema = definitions.get(reference.rsplit("/", 1)[-1], {})
    found = schema.get("properties", {})
    return found if isinstance(found, Mapping) else {}


def _into_schema(up: LiteralType, down: LiteralType) -> bool:
    wanted = {column.name: column.type for column in down.schema.columns}
    if up.HasField("schema"):
        have = {column.name: column.type for column in up.schema.columns}
        return not have or all(have.get(name) == kind for name, kind in wanted.items())
    if up.HasField("structured_dataset_type"):
        return up.structured_dataset_type.format.lower() in ("", "parquet")
    return False


def _into_dataset(up: LiteralType, down: LiteralType) -> bool:
    target = down.structured_dataset_type
    if _is_none(up):
        return True
    if up.HasField("schema"):
        return target.format.lower() in ("", "parquet")
    if not up.HasField("structured_dataset_type"):
        return False
    source = up.structured_dataset_type
    formats = {source.format.lower(), target.format.lower()}
    if len(formats) > 1 and "" not in formats:
        return False
    have = {column.name: column.literal_type for column in source.columns}
    wanted = {column.name: column.literal_type for column in target.columns}
    return not have or all(name in have and castable(have[name], kind) for name, kind in wanted.items())


def optional(kind: LiteralType) -> bool:
    """Whether a variable of this type may stay unbound: a union with none in it."""
    return any(_is_none(variant) for variant in kind.union_type.variants)


def type_text(kind: LiteralType) -> str:
    """A type in one line, as errors show it."""
    return str(kind).strip().replace("\n", " ").replace(": ", ":")
