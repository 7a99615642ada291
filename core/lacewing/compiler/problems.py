"""What is wrong with a workflow: every problem with its code and the node it is about, told all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lacewing.errors import InvalidArgument

Code = Literal[
    "AmbiguousBindingUnionValue",
    "BranchNodeHasNoCondition",
    "BranchNodeHasNoDefault",
    "BranchNodeIdNotFound",
    "CycleDetected",
    "DuplicateAlias",
    "DuplicateId",
    "FieldNotFound",
    "IllegalEnumValue",
    "IncompatibleBindingUnionValue",
    "InconsistentTypes",
    "InvalidLiteralType",
    "InvalidValue",
    "MismatchingBindings",
    "MismatchingInterfaces",
    "MismatchingTypes",
    "NoConditionFound",
    "NoEntryNodeFound",
    "NoNodesFound",
    "NodeReferenceNotFound",
    "ParameterBoundMoreThanOnce",
    "ParameterNotBound",
    "SyntaxError",
    "TaskReferenceNotFound",
    "UnreachableNodes",
    "UnrecognizedValue",
    "ValueCollision",
    "ValueRequired",
    "VariableNameNotFound",
    "WorkflowBuildError",
    "WorkflowReferenceNotFound",
]
"""Every code of propeller.md, section 1.8."""
_MESSAGE_LENGTH = 4_000
"""gRPC carries a message in its trailers, which clients take up to 8 KiB of."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem, at a node."""

    code: Code
    node_id: str
    description: str


class CompileError(InvalidArgument):
    """A workflow that does not compile. Every problem is in `problems`, and in the message up to a length."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        text = f"Collected Errors: {len(self.problems)}\n"
        for at, problem in enumerate(self.problems):
            if len(text) > _MESSAGE_LENGTH:
                text += f"\tand {len(self.problems) - at} more\n"
                break
            text += (
                f"\tError {at}: Code: {problem.code}, Node Id: {problem.node_id}, "
                f"Description: {problem.description}\n"
            )
        super().__init__(text)


class Problems(list[Problem]):
    """Problems as they are found."""

    def add(self, code: Code, node_id: str, description: str) -> None:
        """Note one."""
        self.append(Problem(code, node_id, description))

    def need(self, node_id: str, what: str) -> None:
        """Note that something is missing."""
        self.add("ValueRequired", node_id, f"Value required [{what}].")
