"""Tasks of type `echo`: their outputs are their inputs, and nothing has to run for that. Pure."""

from flyteidl.core import literals_pb2, tasks_pb2

TASK_TYPE = "echo"


def echoed(task: tasks_pb2.TaskTemplate, inputs: literals_pb2.LiteralMap) -> literals_pb2.LiteralMap:
    """The inputs under the names of the outputs: the same ones, or in their order."""
    names = sorted(task.interface.outputs.variables)
    sources = names if set(names) <= set(inputs.literals) else sorted(inputs.literals)
    return literals_pb2.LiteralMap(
        literals={name: inputs.literals[source] for name, source in zip(names, sources, strict=False)}
    )
