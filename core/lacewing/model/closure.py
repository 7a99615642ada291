"""Small questions to workflow messages that both the compiler and the graph have. Pure."""

from flyteidl.core import identifier_pb2, workflow_pb2

Key = tuple[str, str, str, str]


def identifier_key(identifier: identifier_pb2.Identifier) -> Key:
    """Project, domain, name, version."""
    return identifier.project, identifier.domain, identifier.name, identifier.version


def arms(branch: workflow_pb2.Node) -> list[workflow_pb2.Node]:
    """The nodes that a branch chooses from, in order, its else last; none for another kind of node."""
    if branch.WhichOneof("target") != "branch_node":
        return []
    choice = branch.branch_node.if_else
    found = [block.then_node for block in blocks(branch) if block.HasField("then_node")]
    return [*found, choice.else_node] if choice.HasField("else_node") else found


def blocks(branch: workflow_pb2.Node) -> list[workflow_pb2.IfBlock]:
    """The cases of a branch, in order."""
    choice = branch.branch_node.if_else
    return [choice.case, *choice.other] if choice.HasField("case") else list(choice.other)
