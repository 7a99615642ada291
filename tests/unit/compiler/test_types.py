"""Which type may flow into which, and what type a literal shows."""

import pytest
from drafts import (
    BOOLEAN,
    COLOUR,
    FLOAT,
    INTEGER,
    NONE,
    STRING,
    STRUCT,
    listed,
    mapped,
    scalar,
    union,
)
from flyteidl.core import literals_pb2, types_pb2
from flyteidl.core.types_pb2 import LiteralType
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from lacewing.compiler.types import castable, literal_type, optional, type_text, union_of
from lacewing.errors import InvalidArgument

BINARY = LiteralType(simple=types_pb2.BINARY)


def blob(form: str, dimensions: int = 0) -> LiteralType:
    return LiteralType(blob=types_pb2.BlobType(format=form, dimensionality=dimensions))  # type: ignore[arg-type]


def schema(**columns: int) -> LiteralType:
    made = LiteralType(schema=types_pb2.SchemaType())
    for name, kind in columns.items():
        made.schema.columns.add(name=name, type=kind)  # type: ignore[arg-type]
    return made


def frame(form: str = "", **columns: LiteralType) -> LiteralType:
    made = LiteralType(structured_dataset_type=types_pb2.StructuredDatasetType(format=form))
    for name, kind in columns.items():
        made.structured_dataset_type.columns.add(name=name, literal_type=kind)
    return made


def tagged(kind: LiteralType, tag: str) -> LiteralType:
    made = LiteralType(structure=types_pb2.TypeStructure(tag=tag))
    made.MergeFrom(kind)
    return made


def struct(**schema_of: object) -> LiteralType:
    metadata = struct_pb2.Struct()
    metadata.update(schema_of)
    return LiteralType(simple=types_pb2.STRUCT, metadata=metadata)


POINT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "number"}}}
WIDE = {"type": "object", "properties": {**POINT["properties"], "z": {"type": "string"}}}  # type: ignore[dict-item]
LINE = {"type": "object", "properties": {"to": {"$ref": "#/$defs/P"}}, "$defs": {"P": POINT}}
TREE = {
    "$ref": "#/$defs/T",
    "$defs": {"T": {"type": "object", "properties": {"next": {"$ref": "#/$defs/T"}}}},
}

FLOWS = {
    "the same": (INTEGER, INTEGER),
    "enum to text": (COLOUR, STRING),
    "text to enum": (STRING, COLOUR),
    "an empty list": (listed(NONE), listed(listed(STRING))),
    "an empty map": (mapped(NONE), mapped(INTEGER)),
    "elements": (listed(COLOUR), listed(STRING)),
    "into one variant": (INTEGER, union(INTEGER, STRING)),
    "union to a wider one": (union(INTEGER, STRING), union(STRING, INTEGER, FLOAT)),
    "a union of one": (union(INTEGER), INTEGER),
    "a union of one in a list": (listed(union(INTEGER)), listed(union(INTEGER, NONE))),
    "a format into any": (blob("csv"), blob("")),
    "any into a format": (blob(""), blob("csv")),
    "a folder into a file": (blob("csv", 1), blob("csv", 0)),
    "fewer columns": (schema(a=0, b=2), schema(a=0)),
    "no columns wanted": (schema(a=0), schema()),
    "no columns known": (schema(), schema(a=0)),
    "parquet into a schema": (frame("Parquet", a=INTEGER), schema(a=0)),
    "a schema into a frame": (schema(a=0, b=2), frame("parquet", b=STRING)),
    "a frame into a frame": (frame("CSV", a=INTEGER, b=COLOUR), frame("csv", b=STRING)),
    "None into a frame": (NONE, frame("csv")),
    "structs without schemas": (STRUCT, struct(**POINT)),
    "more properties": (struct(**WIDE), struct(**POINT)),
    "inner properties": (struct(**{**LINE, "$defs": {"P": WIDE}}), struct(**LINE)),
    "recursive schemas": (struct(title="T", **TREE), struct(**TREE)),
    "the same tag": (tagged(INTEGER, "int"), tagged(INTEGER, "int")),
    "no tag": (INTEGER, tagged(INTEGER, "int")),
}
STOPS = {
    "int to float": (INTEGER, FLOAT),
    "anything to None": (INTEGER, NONE),
    "None to anything": (NONE, INTEGER),
    "one to a list": (INTEGER, listed(INTEGER)),
    "a list to one": (listed(INTEGER), INTEGER),
    "a list to a map": (listed(INTEGER), mapped(INTEGER)),
    "into two variants": (STRING, union(STRING, COLOUR)),
    "into no variant": (BOOLEAN, union(STRING, INTEGER)),
    "union to a narrower one": (union(INTEGER, STRING, FLOAT), union(STRING, INTEGER)),
    "union to a plain one": (union(INTEGER, STRING), INTEGER),
    "another format": (blob("csv"), blob("txt")),
    "a blob to text": (blob(""), STRING),
    "another column type": (schema(a=0), schema(a=1)),
    "a missing column": (schema(a=0), schema(b=0)),
    "csv into a schema": (frame("csv"), schema()),
    "a schema into csv": (schema(), frame("csv")),
    "another column of a frame": (frame(a=INTEGER), frame(a=STRING)),
    "another format of a frame": (frame("csv"), frame("parquet")),
    "text to a frame": (STRING, frame()),
    "fewer properties": (struct(**POINT), struct(**WIDE)),
    "other inner properties": (struct(**LINE), struct(**{**LINE, "$defs": {"P": WIDE}})),
    "another tag": (tagged(INTEGER, "int"), tagged(INTEGER, "other")),
    "a tag to none": (tagged(INTEGER, "int"), INTEGER),
    "another enum": (COLOUR, LiteralType(enum_type=types_pb2.EnumType(values=["red"]))),
    "enum to int": (COLOUR, INTEGER),
}


@pytest.mark.parametrize("flow", FLOWS)
def test_a_type_flows_where_flyte_lets_it(flow: str):
    assert castable(*FLOWS[flow])


@pytest.mark.parametrize("stop", STOPS)
def test_a_type_stops_where_flyte_stops_it(stop: str):
    assert not castable(*STOPS[stop])


def literal(value: object) -> literals_pb2.Literal:
    made = literals_pb2.Literal()
    if isinstance(value, list):
        made.collection.literals.extend(literal(item) for item in value)
        made.collection.SetInParent()
    elif isinstance(value, dict):
        made.map.SetInParent()
        for key, item in value.items():
            made.map.literals[key].CopyFrom(literal(item))
    else:
        made.scalar.CopyFrom(value if isinstance(value, literals_pb2.Scalar) else scalar(value))
    return made


def packed(tag: str) -> literals_pb2.Scalar:
    return literals_pb2.Scalar(binary=literals_pb2.Binary(tag=tag))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, INTEGER),
        (True, BOOLEAN),
        (None, NONE),
        ([], listed(NONE)),
        ({}, mapped(NONE)),
        ([1, "x"], listed(union_of([STRING, INTEGER]))),
        ([["x"], [], [1]], listed(listed(union_of([STRING, INTEGER])))),
        ([{"a": 1}, {}], listed(mapped(INTEGER))),
        ([[], 1], listed(union_of([listed(NONE), INTEGER]))),
        (packed("msgpack"), STRUCT),
        (packed("other"), BINARY),
        (literals_pb2.Scalar(generic=struct_pb2.Struct()), STRUCT),
        (literals_pb2.Scalar(error=types_pb2.Error()), LiteralType(simple=types_pb2.ERROR)),
        (literals_pb2.Scalar(union=literals_pb2.Union(type=INTEGER)), union(INTEGER)),
    ],
)
def test_a_literals_type_is_inferred(value: object, kind: LiteralType):
    assert literal_type(literal(value)) == kind


def test_what_is_stored_elsewhere_says_its_type():
    offloaded = literals_pb2.LiteralOffloadedMetadata(uri="s3://b/x", inferred_type=INTEGER)
    assert literal_type(literals_pb2.Literal(offloaded_metadata=offloaded)) == INTEGER
    offloaded.ClearField("inferred_type")
    with pytest.raises(InvalidArgument, match="s3://b/x"):
        literal_type(literals_pb2.Literal(offloaded_metadata=offloaded))


@pytest.mark.parametrize(
    "empty",
    [
        literals_pb2.Literal(),
        literals_pb2.Literal(scalar=literals_pb2.Scalar()),
        literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive())),
    ],
)
def test_a_literal_that_holds_nothing_is_refused(empty: literals_pb2.Literal):
    with pytest.raises(InvalidArgument, match="holds no value"):
        literal_type(empty)


SIMPLE = st.sampled_from([INTEGER, FLOAT, STRING, BOOLEAN, STRUCT, COLOUR, blob("csv"), frame("csv")])
TYPES = st.recursive(SIMPLE, lambda inner: st.one_of(inner.map(listed), inner.map(mapped)), max_leaves=4)


@given(TYPES, TYPES)
def test_every_type_flows_into_itself_and_its_option(kind: LiteralType, other: LiteralType):
    assert castable(kind, kind)
    assert castable(kind, union(kind, NONE)) or castable(NONE, kind)
    assert optional(union(other, NONE))
    assert castable(union_of([kind, other]), union_of([other, kind, BINARY]))


def test_a_type_is_told_in_one_short_line():
    many = types_pb2.EnumType(values=[f"value {at}" for at in range(500)])
    assert type_text(listed(INTEGER)) == "collection_type { simple:INTEGER }"
    assert len(type_text(LiteralType(enum_type=many))) < 400
    assert "properties" not in type_text(struct(**POINT))
