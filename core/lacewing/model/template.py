"""Command templates: `{{ .input }}` and its kin in a container's command and arguments.

Rules: contract "propeller", section 4.1. Pure text in, text out.
"""

import json
import re
from collections.abc import Mapping

import msgpack
from flyteidl.core import literals_pb2

from lacewing.errors import TaskError

_VARIABLE = re.compile(r"\{\{\s*[.$]([A-Za-z_]\w*)(?:\.([^\s}]+))?\s*\}\}")


def render(text: str, variables: Mapping[str, str], inputs: literals_pb2.LiteralMap) -> str:
    """`text` with every known variable replaced; names are matched without regard to case.

    Raises TaskError when `{{ .inputs.x }}` names an input that is not there. Unknown names stay as they are.
    """

    def value(match: re.Match[str]) -> str:
        name, part = match.group(1).lower(), match.group(2)
        if name == "inputs" and part is not None:
            if part not in inputs.literals:
                raise TaskError(f"the command template asks for input {part!r}, which the task does not have")
            return literal_text(inputs.literals[part])
        return variables.get(name, match.group(0))

    return _VARIABLE.sub(value, text)


def literal_text(literal: literals_pb2.Literal) -> str:
    """A literal as command text: primitives plain, blobs their URI, collections `[a,b]`."""
    if literal.HasField("collection"):
        return "[" + ",".join(literal_text(item) for item in literal.collection.literals) + "]"
    if not literal.HasField("scalar"):
        raise TaskError("a map cannot be written into a command; read it from the inputs file")
    return _scalar_text(literal.scalar)


def _scalar_text(scalar: literals_pb2.Scalar) -> str:
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _primitive_text(scalar.primitive)
    if kind in ("blob", "schema", "structured_dataset"):
        return str(getattr(scalar, kind).uri)
    if kind == "union":
        return literal_text(scalar.union.value)
    if kind == "none_type":
        return ""
    if kind == "binary" and scalar.binary.tag == "msgpack":
        value = msgpack.unpackb(scalar.binary.value)
        return value if isinstance(value, str) else json.dumps(value)
    raise TaskError(f"a value of kind {kind} cannot be written into a command; read it from the inputs file")


def _primitive_text(primitive: literals_pb2.Primitive) -> str:
    kind = primitive.WhichOneof("value")
    if kind == "datetime":
        return str(primitive.datetime.ToJsonString())
    if kind == "duration":
        return str(primitive.duration.ToJsonString())
    if kind == "boolean":
        return "true" if primitive.boolean else "false"
    return str(getattr(primitive, kind)) if kind else ""
