"""The inputs of an execution: what was given, checked, with defaults and fixed inputs. Pure."""

from flyteidl.core import interface_pb2, literals_pb2

from lacewing.compiler.types import castable, literal_type, type_text
from lacewing.errors import InvalidArgument


def merge_inputs(
    given: literals_pb2.LiteralMap,
    expected: interface_pb2.ParameterMap,
    fixed: literals_pb2.LiteralMap,
) -> literals_pb2.LiteralMap:
    """What was given, with defaults and fixed inputs; raises InvalidArgument by the input's name."""
    merged = literals_pb2.LiteralMap()
    for name, parameter in expected.parameters.items():
        if name in given.literals:
            found = literal_type(given.literals[name])
            if not castable(found, parameter.var.type):
                raise InvalidArgument(
                    f"invalid {name} input wrong type. Expected {type_text(parameter.var.type)},"
                    f" but got {type_text(found)}"
                )
            merged.literals[name].CopyFrom(given.literals[name])
        elif parameter.HasField("default"):
            merged.literals[name].CopyFrom(parameter.default)
        elif parameter.required:
            raise InvalidArgument(f"expected_inputs {name} missing")
    for name in given.literals:
        if name not in expected.parameters:
            raise InvalidArgument(f"invalid input {name}")
    for name, literal in fixed.literals.items():
        merged.literals[name].CopyFrom(literal)
    return merged
