"""What a node reads: its bindings over the outputs of the nodes before it, stored where it looks for them."""

from collections.abc import Iterable
from dataclasses import dataclass

from flyteidl.core import literals_pb2, types_pb2

from lacewing.engine import bindings, layout
from lacewing.engine.files import RunFiles
from lacewing.model.graph import Graph, Node
from lacewing.model.run import Run, RunError, RunSpec

ERROR_INPUT = "err"
"""The input of a failure node that takes the error, if it has one of this name."""


@dataclass(frozen=True)
class NodeInputs:
    """Resolves the inputs of nodes and stores them."""

    files: RunFiles

    async def resolve(self, graph: Graph, spec: RunSpec, run: Run, node: Node) -> literals_pb2.LiteralMap:
        """The node's inputs. Raises TaskError for a binding that cannot be resolved."""
        ids = graph.scope_of(node).ids
        outputs = {}
        for name, parts in node.reads:
            other = graph.nodes[ids[name]]
            attempt = run.nodes[other.id].attempt if other.id in run.nodes else 0
            literals = await self.files.read(layout.output_uri(spec, other, attempt))
            found = _aliased(other, literals)
            outputs[name] = await self.loaded(found, parts) if parts else found
        inputs = bindings.resolve(node.message.inputs, outputs)
        if graph.scope_of(node).failure == node.index and ERROR_INPUT in inputs.literals:
            inputs.literals[ERROR_INPUT].CopyFrom(_error_literal(node, scope_error(graph, run, node)))
        await self.files.write(layout.input_uri(spec, node), inputs)
        return inputs

    async def loaded(
        self, literals: literals_pb2.LiteralMap, names: Iterable[str]
    ) -> literals_pb2.LiteralMap:
        """The literals, with those of these names read in that are kept in files of their own."""
        known = literals.literals
        away = [one for one in names if one in known and known[one].HasField("offloaded_metadata")]
        if not away:
            return literals
        whole = literals_pb2.LiteralMap()
        whole.CopyFrom(literals)
        for name in away:
            found = await self.files.read_literal(literals.literals[name].offloaded_metadata.uri)
            whole.literals[name].CopyFrom(found)
        return whole


def scope_error(graph: Graph, run: Run, node: Node) -> RunError | None:
    """The error that the node's scope failed with."""
    holder = graph.holder_of(node.scope)
    return run.error if holder is None else run.nodes[holder.id].error


def _aliased(node: Node, literals: literals_pb2.LiteralMap) -> literals_pb2.LiteralMap:
    """The node's outputs, also under the names that its aliases give them."""
    if not node.message.output_aliases:
        return literals
    renamed = literals_pb2.LiteralMap()
    renamed.CopyFrom(literals)
    for alias in node.message.output_aliases:
        if alias.var in literals.literals:
            renamed.literals[alias.alias].CopyFrom(literals.literals[alias.var])
    return renamed


def _error_literal(node: Node, error: RunError | None) -> literals_pb2.Literal:
    """The error as flytekit's FlyteError. Flyte names the failure node itself as the one that failed."""
    literal = literals_pb2.Literal()
    union = literal.scalar.union
    union.type.simple = types_pb2.ERROR
    union.type.structure.tag = "FlyteError"
    union.value.scalar.error.failed_node_id = node.spec_id
    union.value.scalar.error.message = error.message if error is not None else ""
    return literal
