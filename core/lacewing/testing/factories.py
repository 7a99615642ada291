"""Small workflows, graphs and task contexts for tests, without a client."""

from collections.abc import Mapping, Sequence
from typing import Any

from flyteidl.core import compiler_pb2, tasks_pb2, types_pb2, workflow_pb2

from lacewing.model.graph import Graph, build_graph
from lacewing.model.ids import END_NODE, START_NODE, RunKey
from lacewing.model.task import TaskContext

_INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)


def make_template(name: str = "work", task_type: str = "mock", **container: Any) -> tasks_pb2.TaskTemplate:
    """A task with one integer output `o0`; `container` are fields of core.Container."""
    template = tasks_pb2.TaskTemplate(type=task_type)
    template.id.resource_type, template.id.project, template.id.domain = 1, "flytesnacks", "development"
    template.id.name, template.id.version = name, "v1"
    template.interface.outputs.variables["o0"].type.CopyFrom(_INTEGER)
    if container:
        template.container.CopyFrom(tasks_pb2.Container(**container))
    return template


def make_task(task_type: str = "python-task", attempt: int = 0, **container: Any) -> TaskContext:
    """The context of one attempt of a task with a container, as the engine would make it."""
    container.setdefault("image", "example.org/image:1")
    name = f"a1b2c3-n0-{attempt}"
    return TaskContext(
        key=RunKey("flytesnacks", "development", "a1b2c3"),
        node_id="n0",
        spec_node_id="n0",
        attempt=attempt,
        name=name,
        namespace="flytesnacks-development",
        template=make_template("example.work", task_type, **container),
        input_uri="/data/a1b2c3/n0/data/inputs.pb",
        output_prefix=f"/data/a1b2c3/n0/data/{attempt}",
        raw_output_prefix=f"/raw/ab/{name}",
        checkpoint_prefix=f"/raw/ab/{name}/_flytecheckpoints",
        workflow="flytesnacks:development:example.wf",
        labels={"execution-id": "a1b2c3", "node-id": "n0"},
    )


def make_workflow(
    edges: Mapping[str, Sequence[str]],
    *,
    fail_late: bool = False,
    retries: int = 0,
    timeout_seconds: int = 0,
    metadata: tasks_pb2.TaskMetadata | None = None,
) -> compiler_pb2.CompiledWorkflowClosure:
    """A compiled workflow of mock tasks: `edges` says for each node which nodes it comes after.

    `metadata` is that of its task, as that its outputs are cached.
    """
    closure = compiler_pb2.CompiledWorkflowClosure()
    template = closure.primary.template
    template.id.project, template.id.domain, template.id.name = "flytesnacks", "development", "wf"
    template.metadata.on_failure = int(fail_late)
    task = make_template()
    if metadata is not None:
        task.metadata.CopyFrom(metadata)
    closure.tasks.add().template.CopyFrom(task)
    template.nodes.add(id=START_NODE)
    end = template.nodes.add(id=END_NODE)
    upstream = closure.primary.connections.upstream
    for node_id, before in edges.items():
        node = template.nodes.add(id=node_id)
        node.task_node.reference_id.CopyFrom(task.id)
        node.metadata.retries.retries = retries
        node.metadata.timeout.seconds = timeout_seconds
        upstream[node_id].ids.extend(before or [START_NODE])
        _bind(node, before)
    last = sorted(set(edges) - {other for before in edges.values() for other in before})
    upstream[END_NODE].ids.extend(last or [START_NODE])
    _bind(end, last)
    return closure


def _bind(node: workflow_pb2.Node, before: Sequence[str]) -> None:
    for other in before:
        binding = node.inputs.add(var=f"from_{other}")
        binding.binding.promise.node_id, binding.binding.promise.var = other, "o0"


def make_graph(edges: Mapping[str, Sequence[str]], **options: Any) -> Graph:
    """The graph of `make_workflow`."""
    return build_graph(make_workflow(edges, **options))
