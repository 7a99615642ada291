"""Where the pages are. Clients print the address of an execution's page, so it must never move. Pure."""

from urllib.parse import quote

from flyteidl.core import identifier_pb2

ROOT = "/console"


def executions_path(project: str, domain: str) -> str:
    """The list of a project's and domain's executions."""
    return f"{ROOT}/projects/{_part(project)}/domains/{_part(domain)}/executions"


def execution_path(identifier: identifier_pb2.WorkflowExecutionIdentifier) -> str:
    """An execution's page, as `pyflyte run --remote` prints it."""
    return f"{executions_path(identifier.project, identifier.domain)}/{_part(identifier.name)}"


def node_path(identifier: identifier_pb2.NodeExecutionIdentifier) -> str:
    """The page of a node of an execution."""
    return f"{execution_path(identifier.execution_id)}/nodes/{_part(identifier.node_id)}"


def log_path(identifier: identifier_pb2.NodeExecutionIdentifier, attempt: int, element: int = -1) -> str:
    """The log of one attempt of a node, or of an array's element, as plain text."""
    path = f"{node_path(identifier)}/attempts/{attempt}/log"
    return path if element < 0 else f"{path}?element={element}"


def _part(text: str) -> str:
    return quote(text, safe="")
