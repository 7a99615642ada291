"""What became of a node of an earlier execution, for the run that recovers it: propeller.md, section 7.4."""

from flyteidl.admin.node_execution_pb2 import NodeExecution, NodeExecutionClosure
from flyteidl.core import execution_pb2, literals_pb2

from lacewing.model.ids import RunKey
from lacewing.model.steps import Past
from lacewing.ports import BlobStore

_DONE = ("SUCCEEDED", "RECOVERED")


async def past_of(blobs: BlobStore, node: NodeExecution) -> Past | None:
    """What a recovering run takes over of the node; None if it runs as if it had never been."""
    closure = node.closure
    phase = execution_pb2.NodeExecution.Phase.Name(closure.phase)
    if phase == "SKIPPED":
        return None
    child = _child(closure)
    if phase in _DONE:
        inputs = await _read(blobs, node.input_uri)
        outputs = closure.output_data if closure.HasField("output_data") else None
        if outputs is None and closure.output_uri:
            outputs = await _read(blobs, closure.output_uri)
            if outputs is None:
                return None
        return Past(True, inputs, outputs, closure.deck_uri, child)
    if closure.dynamic_job_spec_uri:
        uri = closure.dynamic_job_spec_uri
        return Past(inputs=await _read(blobs, node.input_uri), nodes_uri=uri, grown_attempt=_attempt(uri))
    if child is not None:
        return Past(left=str(child))
    return Past(left=closure.task_node_metadata.checkpoint_uri)


def _child(closure: NodeExecutionClosure) -> RunKey | None:
    if not closure.HasField("workflow_node_metadata"):
        return None
    identifier = closure.workflow_node_metadata.executionId
    return RunKey(identifier.project, identifier.domain, identifier.name)


def _attempt(uri: str) -> int:
    """The attempt by its directory; -1 if the address is none of an engine's."""
    number = uri.rsplit("/", 2)[-2]
    return int(number) if number.isdigit() else -1


async def _read(blobs: BlobStore, uri: str) -> literals_pb2.LiteralMap | None:
    """The literals; None if they are not there any more."""
    try:
        return literals_pb2.LiteralMap.FromString(await blobs.read(uri)) if uri else None
    except FileNotFoundError:
        return None
