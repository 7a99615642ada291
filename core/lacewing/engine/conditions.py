"""Which arm of a branch runs. Pure. Rules: propeller.md, section 2.8."""

from collections.abc import Mapping
from typing import Any

from flyteidl.core import condition_pb2, literals_pb2, workflow_pb2

from lacewing.errors import TaskError

Operator = condition_pb2.ComparisonExpression
_ORDERED = {"integer", "float_value", "datetime", "duration", "string_value"}


def choose(branch: workflow_pb2.BranchNode, inputs: literals_pb2.LiteralMap) -> str:
    """The template id of the node to run: of the first case that holds, else of the default.

    Raises TaskError: UserProvidedError with the workflow's own words where no case holds and the default is
    an error; MalformedBranchUserError for what cannot be compared.
    """
    block = branch.if_else
    for case in [block.case, *block.other]:
        if _holds(case.condition, inputs.literals):
            return str(case.then_node.id)
    if block.HasField("else_node"):
        return str(block.else_node.id)
    raise TaskError(block.error.message, code="UserProvidedError")


def _holds(expression: condition_pb2.BooleanExpression, inputs: Mapping[str, literals_pb2.Literal]) -> bool:
    if expression.WhichOneof("expr") == "comparison":
        return _compare(expression.comparison, inputs)
    both = expression.conjunction
    left = _holds(both.left_expression, inputs)
    if both.operator == condition_pb2.ConjunctionExpression.AND:
        return left and _holds(both.right_expression, inputs)
    return left or _holds(both.right_expression, inputs)


def _compare(
    comparison: condition_pb2.ComparisonExpression, inputs: Mapping[str, literals_pb2.Literal]
) -> bool:
    left_kind, left = _value(comparison.left_value, inputs)
    right_kind, right = _value(comparison.right_value, inputs)
    operator = comparison.operator
    if operator in (Operator.EQ, Operator.NEQ):
        # Nothing equals None but None.
        same = left_kind == right_kind and left == right
        if left_kind != right_kind and "none" not in (left_kind, right_kind):
            raise _malformed(f"a {left_kind} is compared with a {right_kind}")
        return bool(same is (operator == Operator.EQ))
    if left_kind != right_kind or left_kind not in _ORDERED:
        raise _malformed(f"a {left_kind} and a {right_kind} have no order")
    if operator in (Operator.GT, Operator.LTE):
        return bool(left > right) is (operator == Operator.GT)
    return bool(left < right) is (operator == Operator.LT)


def _value(operand: condition_pb2.Operand, inputs: Mapping[str, literals_pb2.Literal]) -> tuple[str, Any]:
    kind = operand.WhichOneof("val")
    if kind == "primitive":
        return _primitive(operand.primitive)
    if kind == "scalar":
        return _scalar(operand.scalar)
    if operand.var not in inputs:
        raise _malformed(f"input {operand.var!r} is not there")
    literal = inputs[operand.var]
    if literal.WhichOneof("value") != "scalar":
        raise _malformed(f"input {operand.var!r} is no scalar")
    return _scalar(literal.scalar)


def _scalar(scalar: literals_pb2.Scalar) -> tuple[str, Any]:
    kind = scalar.WhichOneof("value")
    if kind == "union" and scalar.union.value.WhichOneof("value") == "scalar":
        return _scalar(scalar.union.value.scalar)
    if kind == "primitive":
        return _primitive(scalar.primitive)
    if kind == "none_type":
        return "none", None
    raise _malformed(f"a {kind} cannot be compared")


def _primitive(primitive: literals_pb2.Primitive) -> tuple[str, Any]:
    kind = primitive.WhichOneof("value") or "none"
    if kind == "datetime":
        return kind, primitive.datetime.ToNanoseconds()
    if kind == "duration":
        return kind, primitive.duration.ToSeconds()
    return kind, getattr(primitive, kind, None)


def _malformed(why: str) -> TaskError:
    return TaskError(f"the condition cannot be looked at: {why}", code="MalformedBranchUserError")
