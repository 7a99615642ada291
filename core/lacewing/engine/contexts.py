"""What a backend may see of an attempt, made from the run's order and the node. Pure."""

from collections.abc import Mapping

from flyteidl.core import literals_pb2

from lacewing.engine import layout
from lacewing.model.graph import Graph, Node
from lacewing.model.ids import RunKey, generated_name, shard_key
from lacewing.model.run import SYSTEM_RETRIES, RunSpec
from lacewing.model.task import TaskContext
from lacewing.pods import label_value

EXECUTION_LABEL = "execution-id"
NODE_LABEL = "node-id"
ELEMENT_LABEL = "array-index"
_INDEX = "FLYTE_K8S_ARRAY_INDEX"
_NO_INPUTS = literals_pb2.LiteralMap()


def task_context(
    graph: Graph,
    spec: RunSpec,
    node: Node,
    attempt: int,
    inputs: literals_pb2.LiteralMap = _NO_INPUTS,
    element: int = -1,
    failures: tuple[str, ...] = (),
    system_failures: int = 0,
) -> TaskContext:
    """The context of one attempt, at an element of an array if one is named.

    Observing and aborting need no inputs, nor how often the system failed before.
    """
    assert node.task is not None
    uid, output, marks = node.id, layout.output_prefix(spec, node, attempt), {}
    if element >= 0:
        uid = layout.element_uid(node, element)
        output = layout.element_prefix(spec, node, element, attempt)
        marks = {ELEMENT_LABEL: str(element)}
    key, name = spec.key, generated_name(spec.key.name, uid, attempt)
    target = node.target
    raw = layout.raw_output_prefix(spec, uid, attempt)
    previous = layout.checkpoint_prefix(spec, uid, attempt - 1) if attempt else ""
    overrides = target.task_node.overrides if target.task_node.HasField("overrides") else None
    workflow = graph.id
    cheap = interruptible(graph, spec, node, system_failures)
    return TaskContext(
        key=key,
        node_id=node.id,
        spec_node_id=node.spec_id,
        attempt=attempt,
        name=name,
        namespace=spec.namespace,
        template=node.task,
        input_uri=layout.input_uri(spec, node),
        output_prefix=output,
        raw_output_prefix=raw,
        checkpoint_prefix=f"{raw}/_flytecheckpoints",
        previous_checkpoint_prefix=previous,
        inputs=inputs,
        overrides=overrides,
        workflow=f"{workflow.project}:{workflow.domain}:{workflow.name}",
        envs={**spec.envs, **_index_envs(element)},
        labels=_labels(graph, spec, node, interruptible=cheap) | marks,
        annotations=spec.annotations,
        service_account=spec.service_account,
        interruptible=cheap,
        default_resources=spec.default_resources,
        resource_limits=spec.resource_limits,
        failures=failures,
    )


def interruptible(graph: Graph, spec: RunSpec, node: Node, system_failures: int = 0) -> bool:
    """Whether a node may run where it can be interrupted: it says so itself, or its run, or its workflow.

    The last attempt that the system pays for never may.
    """
    if system_failures >= SYSTEM_RETRIES:
        return False
    if node.interruptible is not None:
        return node.interruptible
    return graph.scope_of(node).interruptible if spec.interruptible is None else spec.interruptible


def _labels(graph: Graph, spec: RunSpec, node: Node, *, interruptible: bool) -> dict[str, str]:
    """Whose object it is; those of the user cannot take our names."""
    assert node.task is not None
    key = spec.key
    return {
        **spec.labels,
        EXECUTION_LABEL: key.name,
        "project": key.project,
        "domain": key.domain,
        "workflow-name": label_value(graph.id.name),
        "task-name": label_value(node.task.id.name),
        "shard-key": shard_key(key.name),
        NODE_LABEL: node.id,
        "interruptible": str(interruptible).lower(),
    }


def element_hint(node_id: str, element: int) -> str:
    """How a pass is told that something happened to an element of an array."""
    return f"{node_id}#{element}"


def owner(labels: Mapping[str, str]) -> tuple[RunKey, str]:
    """The run that an object with these labels belongs to, and the hint for its pass."""
    key = RunKey(labels["project"], labels["domain"], labels[EXECUTION_LABEL])
    node_id = labels[NODE_LABEL]
    return key, element_hint(node_id, int(labels[ELEMENT_LABEL])) if ELEMENT_LABEL in labels else node_id


def _index_envs(element: int) -> dict[str, str]:
    """What flytekit's map tasks read: the second variable holds the name of the first."""
    if element < 0:
        return {}
    return {_INDEX: str(element), "BATCH_JOB_ARRAY_INDEX_VAR_NAME": _INDEX}
