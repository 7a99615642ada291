"""The lists that an array node reads and writes. Rules: propeller.md, section 5.2."""

import asyncio

from flyteidl.core import literals_pb2

from lacewing.engine import layout
from lacewing.engine.files import RunFiles
from lacewing.errors import TaskError
from lacewing.model.array import DONE
from lacewing.model.graph import Node
from lacewing.model.run import NodeRun, RunSpec

_BREATH = 64
_NONE = literals_pb2.Literal(scalar=literals_pb2.Scalar(none_type=literals_pb2.Void()))


def size(node: Node, inputs: literals_pb2.LiteralMap) -> int:
    """How many elements there are: the length that all lists have which are not bound as a whole.

    Raises TaskError, code InvalidArrayLength, where lengths differ or there is nothing to go over.
    """
    lengths = {
        name: len(literal.collection.literals)
        for name, literal in inputs.literals.items()
        if name not in node.message.array_node.bound_inputs and literal.HasField("collection")
    }
    if not lengths and set(inputs.literals) <= set(node.message.array_node.bound_inputs):
        return 1
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name}: {length}" for name, length in sorted(lengths.items())) or "no list at all"
        raise TaskError(
            f"the inputs of an array need lists of one length; got {told}", code="InvalidArrayLength"
        )
    return next(iter(lengths.values()))


def element_inputs(node: Node, inputs: literals_pb2.LiteralMap, element: int) -> literals_pb2.LiteralMap:
    """What one element reads, as a task or launch plan that is no array would."""
    single = literals_pb2.LiteralMap()
    for name, literal in inputs.literals.items():
        whole = name in node.message.array_node.bound_inputs or not literal.HasField("collection")
        single.literals[name].CopyFrom(literal if whole else literal.collection.literals[element])
    return single


async def collect(files: RunFiles, spec: RunSpec, node: Node, state: NodeRun) -> literals_pb2.LiteralMap:
    """One list for each output, with nothing where an element did not succeed."""
    assert state.array is not None
    wrote: list[literals_pb2.LiteralMap | None] = []
    for at, phase in enumerate(state.array.phases):
        if at % _BREATH == 0:
            await asyncio.sleep(0)
        if phase in DONE:
            prefix = layout.element_prefix(spec, node, at, state.array.element(at).attempt)
            wrote.append(await files.read(f"{prefix}/outputs.pb"))
        else:
            wrote.append(None)
    if node.task is not None:
        names = sorted(node.task.interface.outputs.variables)
    else:
        names = sorted({name for one in wrote if one is not None for name in one.literals})
    outputs = literals_pb2.LiteralMap()
    for name in names:
        found = [one.literals[name] if one is not None and name in one.literals else _NONE for one in wrote]
        outputs.literals[name].collection.SetInParent()
        outputs.literals[name].collection.literals.extend(found)
    return outputs
