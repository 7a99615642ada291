"""Binding data and upstream outputs to a literal map. Pure.

Rules: propeller.md, section 3.3. Whatever cannot be resolved is a TaskError that names the place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
from flyteidl.core import literals_pb2
from google.protobuf import json_format

from lacewing.errors import TaskError
from lacewing.model.ids import START_NODE

Outputs = Mapping[str, literals_pb2.LiteralMap]


def resolve(bindings: Sequence[literals_pb2.Binding], outputs: Outputs) -> literals_pb2.LiteralMap:
    """The literals that the bindings stand for. `outputs` holds those of every node that they
    read, by its template id."""
    resolved = literals_pb2.LiteralMap()
    for binding in bindings:
        resolved.literals[binding.var].CopyFrom(_literal(binding.binding, outputs, binding.var))
    return resolved


def _literal(data: literals_pb2.BindingData, outputs: Outputs, where: str) -> literals_pb2.Literal:
    kind = data.WhichOneof("value")
    if kind == "scalar":
        return literals_pb2.Literal(scalar=data.scalar)
    if kind == "promise":
        return _promise(data.promise, outputs, where)
    literal = literals_pb2.Literal()
    if kind == "collection":
        literal.collection.SetInParent()
        literal.collection.literals.extend(
            _literal(item, outputs, where) for item in data.collection.bindings
        )
    elif kind == "map":
        literal.map.SetInParent()
        for key, item in data.map.bindings.items():
            literal.map.literals[key].CopyFrom(_literal(item, outputs, f"{where}.{key}"))
    else:
        raise TaskError(f"input {where!r} is bound to nothing", code="BindingResolutionFailure")
    return literal


def _promise(promise: Any, outputs: Outputs, where: str) -> literals_pb2.Literal:
    node_id, name = promise.node_id or START_NODE, promise.var
    literals = outputs[node_id].literals
    index, _, plain = name.rpartition("].")
    name = plain if index else name
    if name not in literals:
        raise TaskError(
            f"input {where!r} needs output {name!r} of node {node_id!r}, which did not write it",
            code="BindingResolutionFailure",
        )
    literal = literals[name]
    if index:
        literal = _step(literal, int(index.removeprefix("[")), where)
    for at, step in enumerate(promise.attr_path):
        value: str | int = step.string_value if step.WhichOneof("value") == "string_value" else step.int_value
        if literal.WhichOneof("value") == "scalar":
            rest = [
                s.string_value if s.WhichOneof("value") == "string_value" else s.int_value
                for s in promise.attr_path[at:]
            ]
            return _attribute(literal.scalar, rest, where)
        literal = _step(literal, value, where)
    return literal


def _missing(step: object, where: str) -> TaskError:
    return TaskError(
        f"input {where!r} reads {step!r} of a value that does not have it",
        code="PromiseAttributeResolveError",
    )


def _step(literal: literals_pb2.Literal, step: str | int, where: str) -> literals_pb2.Literal:
    if literal.HasField("collection") and isinstance(step, int):
        if 0 <= step < len(literal.collection.literals):
            return literal.collection.literals[step]
    elif literal.HasField("map") and step in literal.map.literals:
        return literal.map.literals[str(step)]
    raise _missing(step, where)


def _attribute(scalar: literals_pb2.Scalar, path: list[str | int], where: str) -> literals_pb2.Literal:
    if scalar.HasField("union"):
        inner = scalar.union.value
        if inner.HasField("scalar"):
            return _attribute(inner.scalar, path, where)
        for step in path:
            inner = _step(inner, step, where)
        return inner
    binary = scalar.HasField("binary")
    if binary and scalar.binary.tag == "msgpack":
        value = msgpack.unpackb(scalar.binary.value, strict_map_key=False)
    elif scalar.HasField("generic"):
        value = json_format.MessageToDict(scalar.generic)
    else:
        raise _missing(path[0], where)
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError) as error:
            raise _missing(step, where) from error
    return _from_python(value, binary)


def _from_python(value: Any, binary: bool) -> literals_pb2.Literal:
    literal = literals_pb2.Literal()
    primitive = literal.scalar.primitive
    if isinstance(value, bool):
        primitive.boolean = value
    elif isinstance(value, int):
        primitive.integer = value
    elif isinstance(value, float):
        primitive.float_value = value
    elif isinstance(value, str):
        primitive.string_value = value
    elif isinstance(value, list):
        literal.collection.SetInParent()
        literal.collection.literals.extend(_from_python(item, binary) for item in value)
    elif value is None:
        literal.scalar.none_type.SetInParent()
    elif binary:
        literal.scalar.binary.tag = "msgpack"
        literal.scalar.binary.value = msgpack.packb(value)
    else:
        json_format.ParseDict(value, literal.scalar.generic)
    return literal
