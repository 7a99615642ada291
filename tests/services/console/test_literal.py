"""How literals of every kind read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
from flyteidl.core import literals_pb2
from lacewing.services.console.literal import literal_text, values


def scalar(**given: Any) -> literals_pb2.Literal:
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(**given))


def primitive(**given: Any) -> literals_pb2.Literal:
    return scalar(primitive=literals_pb2.Primitive(**given))


def of(kind: str, at: Any) -> literals_pb2.Literal:
    literal = primitive()
    getattr(literal.scalar.primitive, kind).FromDatetime(at) if kind == "datetime" else getattr(
        literal.scalar.primitive, kind
    ).FromTimedelta(at)
    return literal


def binary(value: Any, tag: str = "msgpack") -> literals_pb2.Literal:
    data = msgpack.packb(value) if tag == "msgpack" else value
    return scalar(binary=literals_pb2.Binary(value=data, tag=tag))


def collection(*items: literals_pb2.Literal) -> literals_pb2.Literal:
    return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=items))


def mapping(**items: literals_pb2.Literal) -> literals_pb2.Literal:
    return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=items))


def union(inner: literals_pb2.Literal) -> literals_pb2.Literal:
    return scalar(union=literals_pb2.Union(value=inner))


STRUCT = scalar()
STRUCT.scalar.generic.update({"a": 1.5})
ODD = primitive()
ODD.scalar.primitive.datetime.seconds = 10**15


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (primitive(integer=3), "3"),
        (primitive(float_value=2.5), "2.5"),
        (primitive(boolean=True), "true"),
        (primitive(string_value='é\n"q"'), 'é\n"q"'),
        (of("datetime", datetime(2024, 2, 29, 12, 30, tzinfo=UTC)), "2024-02-29T12:30:00Z"),
        (of("duration", timedelta(hours=1, microseconds=7)), "3600.000007s"),
        (ODD, "1000000000000000 s, which is out of range"),
        (collection(primitive(integer=1), primitive(string_value="x")), '[1, "x"]'),
        (mapping(b=collection(), a=primitive(float_value=1.5)), '{"a": 1.5, "b": []}'),
        (union(primitive(integer=4)), "4"),
        (union(scalar(none_type=literals_pb2.Void())), "null"),
        (scalar(blob=literals_pb2.Blob(uri="/data/out.txt")), "/data/out.txt"),
        (scalar(structured_dataset=literals_pb2.StructuredDataset(uri="/data/df")), "/data/df"),
        (binary({"x": 1, "tags": ["é"], 3: None}), '{"x": 1, "tags": ["é"], "3": null}'),
        (binary(b"\xc1", "cloudpickle"), "1 B of binary data (cloudpickle)"),
        (scalar(binary=literals_pb2.Binary(value=b"\xc1", tag="msgpack")), "1 B of binary data (msgpack)"),
        (STRUCT, '{"a": 1.5}'),
        (
            literals_pb2.Literal(offloaded_metadata={"uri": "/data/big.pb", "size_bytes": 20_000_000}),
            "/data/big.pb (offloaded, 20.0 MB)",
        ),
        (literals_pb2.Literal(), "null"),
    ],
)
def test_a_literal_reads_as_a_person_would_write_it(literal: literals_pb2.Literal, text: str):
    assert literal_text(literal) == text


def test_what_is_long_has_lines_and_is_cut():
    literal = literals_pb2.LiteralMap(
        literals={
            "short": primitive(integer=1),
            "long": collection(*(primitive(integer=number) for number in range(10_000))),
        }
    )
    long, short = values(literal)
    assert (long.name, short.name, short.more) == ("long", "short", 0)
    assert long.text.startswith("[\n  0,\n  1,")
    assert len(long.text) == 20_000
    assert long.more > 0
