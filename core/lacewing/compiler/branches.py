"""What is particular to branches: the ids of their arms, their conditions and what they give. Pure.

Rules: propeller.md, section 1.3. A comparison with None compiles, which Flyte refuses.
"""

from collections.abc import Mapping
from typing import TypeAlias

from flyteidl.core import condition_pb2, literals_pb2, workflow_pb2
from flyteidl.core.types_pb2 import LiteralType

from lacewing.compiler.bindings import mismatch, not_found
from lacewing.compiler.problems import Problems
from lacewing.compiler.types import UNKNOWN, Types, castable, is_none, scalar_type
from lacewing.errors import InvalidArgument
from lacewing.model.closure import arms, blocks

_Comparison: TypeAlias = condition_pb2.ComparisonExpression


def name_arms(branch: workflow_pb2.Node, inner: dict[str, workflow_pb2.Node], problems: Problems) -> None:
    """Put the branch's id before its arms' ids, however deep, and add them to `inner`."""
    for arm in arms(branch):
        arm.id = f"{branch.id}-{arm.id}"
        if arm.id in inner:
            collision(branch.id, arm.id, problems)
        inner[arm.id] = arm
        name_arms(arm, inner, problems)


def collision(node_id: str, name: str, problems: Problems) -> None:
    """Note that two nodes have one id."""
    problems.add("ValueCollision", node_id, f"Id is expected to be unique. {name} already exists.")


def branch_outputs(gives: Mapping[str, Types | None], problems: Problems) -> Types | None:
    """What every arm gives under the same name. `gives` is told by arm; None of an arm that is broken."""
    found: dict[str, LiteralType] | None = None
    for arm_id, outputs in gives.items():
        if outputs is None:
            continue
        if found is None:
            found = dict(outputs)
            continue
        found = {name: kind for name, kind in found.items() if name in outputs}
        for name, kind in found.items():
            if kind != outputs[name]:
                problems.add("MismatchingTypes", arm_id, mismatch(name, outputs[name], kind))
    return found


def check_branch(branch: workflow_pb2.Node, bound: Types, problems: Problems) -> None:
    """Note what is wrong with the cases. `bound` are the types of what the branch node is given."""
    choice = branch.branch_node.if_else
    if not choice.HasField("case"):
        _no_condition(branch, problems)
    for block in blocks(branch):
        if not block.HasField("then_node"):
            problems.add("BranchNodeIdNotFound", branch.id, "BranchNode not assigned")
        if block.HasField("condition"):
            _check_expression(branch.id, block.condition, bound, problems)
        else:
            _no_condition(branch, problems)
    if choice.WhichOneof("default") is None:
        text = "Branch Node must have either the else case set or a default error."
        problems.add("BranchNodeHasNoDefault", branch.id, text)


def _no_condition(branch: workflow_pb2.Node, problems: Problems) -> None:
    text = "One of the branches on the node doesn't have a condition."
    problems.add("BranchNodeHasNoCondition", branch.id, text)


def _check_expression(
    node_id: str, expression: condition_pb2.BooleanExpression, bound: Types, problems: Problems
) -> None:
    if expression.HasField("comparison"):
        _check_comparison(node_id, expression.comparison, bound, problems)
    elif expression.HasField("conjunction"):
        for side in (expression.conjunction.left_expression, expression.conjunction.right_expression):
            _check_expression(node_id, side, bound, problems)
    else:
        problems.need(node_id, "Expr")


def _check_comparison(node_id: str, comparison: _Comparison, bound: Types, problems: Problems) -> None:
    left = _operand(node_id, "LeftValue", comparison.left_value, bound, problems)
    right = _operand(node_id, "RightValue", comparison.right_value, bound, problems)
    if left is None or right is None or UNKNOWN in (left, right):
        return
    if is_none(left) or is_none(right):
        if comparison.operator not in (_Comparison.EQ, _Comparison.NEQ):
            text = f"Invalid value [{_Comparison.Operator.Name(comparison.operator)}]: None has no order."
            problems.add("InvalidValue", node_id, text)
    elif not castable(left, right) and not castable(right, left):
        problems.add("MismatchingTypes", node_id, mismatch("RightValue", right, left))


def _operand(
    node_id: str, side: str, operand: condition_pb2.Operand, bound: Types, problems: Problems
) -> LiteralType | None:
    kind = operand.WhichOneof("val")
    if kind == "var" and operand.var:
        if operand.var in bound:
            return bound[operand.var]
        problems.add("VariableNameNotFound", node_id, not_found(operand.var, node_id))
        return None
    scalar = literals_pb2.Scalar(primitive=operand.primitive) if kind == "primitive" else operand.scalar
    try:
        return scalar_type(scalar)
    except InvalidArgument:
        problems.need(node_id, f"{side}.Val")
        return None
