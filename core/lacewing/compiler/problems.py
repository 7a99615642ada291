"""What is wrong with a workflow: every problem with its code and the node it is about, told all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from lacewing.errors import InvalidArgument


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem. `code` is one of propeller.md, section 1.8."""

    code: str
    node_id: str
    description: str


class CompileError(InvalidArgument):
    """A workflow that does not compile. Every problem is in `problems`, and in the message."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        lines = [
            f"\tError {at}: Code: {problem.code}, Node Id: {problem.node_id}, "
            f"Description: {problem.description}\n"
            for at, problem in enumerate(self.problems)
        ]
        super().__init__(f"Collected Errors: {len(lines)}\n" + "".join(lines))


class Problems(list[Problem]):
    """Problems as they are found."""

    def add(self, code: str, node_id: str, description: str) -> None:
        """Note one."""
        self.append(Problem(code, node_id, description))
