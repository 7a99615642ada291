"""Seconds to compile a closure of 1,000 nodes with all checks: tasks, branches, gates and arrays."""

import json
import random
import statistics
import time

from flyteidl.core import compiler_pb2, tasks_pb2, types_pb2, workflow_pb2
from lacewing.compiler.build import compile_workflow

SIZE = 1_000
ROUNDS = 20
INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)
ADD = tasks_pb2.TaskTemplate(type="python-task")
ADD.id.resource_type, ADD.id.name, ADD.id.version = 1, "add", "v1"
ADD.interface.outputs.variables["o0"].type.CopyFrom(INTEGER)
for name in ("a", "b", "c"):
    ADD.interface.inputs.variables[name].type.CopyFrom(INTEGER)


def fill(node: workflow_pb2.Node, sources: list[str]) -> None:
    """A task that adds what the sources give."""
    node.task_node.reference_id.CopyFrom(ADD.id)
    for var, source in zip("abc", sources, strict=True):
        bind(node, var, source)


def bind(node: workflow_pb2.Node, var: str, source: str) -> None:
    promise = node.inputs.add(var=var).binding.promise
    promise.node_id, promise.var = source, "o0"


def branch(node: workflow_pb2.Node, sources: list[str]) -> None:
    """One of two tasks, by what the first source gives."""
    bind(node, "which", sources[0])
    choice = node.branch_node.if_else
    choice.case.condition.comparison.left_value.var = "which"
    choice.case.condition.comparison.right_value.primitive.integer = 3
    for at, arm in enumerate((choice.case.then_node, choice.else_node)):
        arm.id = f"n{at}"
        fill(arm, sources)


def approval(node: workflow_pb2.Node, sources: list[str]) -> None:
    """Gives on what the first source gives."""
    node.gate_node.approve.signal_id = node.id
    bind(node, "o0", sources[0])


def array(node: workflow_pb2.Node, sources: list[str]) -> None:
    """Adds to each of a list. Nobody reads it."""
    node.array_node.node.task_node.reference_id.CopyFrom(ADD.id)
    node.array_node.is_original_sub_node_interface.value = True
    node.array_node.bound_inputs.extend("bc")
    items = node.inputs.add(var="a").binding.collection
    for source in sources:
        promise = items.bindings.add().promise
        promise.node_id, promise.var = source, "o0"
    bind(node, "b", sources[0])
    bind(node, "c", sources[1])


KINDS = {7: branch, 8: approval, 9: array}


def workflow(size: int) -> workflow_pb2.WorkflowTemplate:
    """Each node reads three of the 200 before it."""
    pick = random.Random(7)
    template = workflow_pb2.WorkflowTemplate()
    template.interface.inputs.variables["o0"].type.CopyFrom(INTEGER)
    readable = [""]
    for at in range(size):
        node = template.nodes.add(id=f"n{at}")
        node.metadata.name = f"node {at}"
        make = KINDS.get(at % 10, fill)
        make(node, pick.choices(readable[-200:], k=3))
        if make is not array:
            readable.append(node.id)
    return template


def main() -> None:
    template, tasks = workflow(SIZE), [compiler_pb2.CompiledTask(template=ADD)]
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        compile_workflow(template, tasks)
        times.append(time.perf_counter() - began)
    figure = {"bench": "compiler", "nodes": SIZE, "seconds": round(statistics.median(times), 4)}
    print(json.dumps(figure | {"slowest": round(max(times), 4)}))


if __name__ == "__main__":
    main()
