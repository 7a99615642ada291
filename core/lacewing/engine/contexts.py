"""What a backend may see of an attempt, made from the run's order and the node. Pure."""

from flyteidl.core import literals_pb2

from lacewing.engine import layout
from lacewing.model.graph import Graph, Node
from lacewing.model.ids import generated_name, shard_key
from lacewing.model.run import RunSpec
from lacewing.model.task import TaskContext

EXECUTION_LABEL = "execution-id"
NODE_LABEL = "node-id"
_NO_INPUTS = literals_pb2.LiteralMap()


def task_context(
    graph: Graph, spec: RunSpec, node: Node, attempt: int, inputs: literals_pb2.LiteralMap = _NO_INPUTS
) -> TaskContext:
    """The context of one attempt. Observing and aborting need no inputs."""
    assert node.task is not None
    key, name = spec.key, generated_name(spec.key.name, node.id, attempt)
    raw = layout.raw_output_prefix(spec, node.id, attempt)
    previous = layout.checkpoint_prefix(spec, node.id, attempt - 1) if attempt else ""
    overrides = node.message.task_node.overrides if node.message.task_node.HasField("overrides") else None
    workflow = graph.id
    cheap = interruptible(graph, spec, node)
    return TaskContext(
        key=key,
        node_id=node.id,
        spec_node_id=node.id,
        attempt=attempt,
        name=name,
        namespace=spec.namespace,
        template=node.task,
        input_uri=layout.input_uri(spec, node.id),
        output_prefix=layout.output_prefix(spec, node.id, attempt),
        raw_output_prefix=raw,
        checkpoint_prefix=f"{raw}/_flytecheckpoints",
        previous_checkpoint_prefix=previous,
        inputs=inputs,
        overrides=overrides,
        workflow=f"{workflow.project}:{workflow.domain}:{workflow.name}",
        envs=spec.envs,
        labels={
            **spec.labels,
            EXECUTION_LABEL: key.name,
            "project": key.project,
            "domain": key.domain,
            "shard-key": shard_key(key.name),
            NODE_LABEL: node.id,
            "interruptible": str(cheap).lower(),
        },
        annotations=spec.annotations,
        service_account=spec.service_account,
        interruptible=cheap,
        default_resources=spec.default_resources,
        resource_limits=spec.resource_limits,
    )


def interruptible(graph: Graph, spec: RunSpec, node: Node) -> bool:
    """Whether a node may run where it can be interrupted: it says so itself, or its run, or its workflow."""
    said = (node.interruptible, spec.interruptible, graph.interruptible)
    return next((value for value in said if value is not None), False)
