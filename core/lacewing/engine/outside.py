"""Work that other services do for a run: child executions and signals. All but tasks launch here."""

from dataclasses import dataclass

from flyteidl.core import literals_pb2, types_pb2

from lacewing.engine import arrays, layout
from lacewing.engine.contexts import element_hint
from lacewing.engine.files import RunFiles
from lacewing.errors import TaskError
from lacewing.model.graph import Node, NodeKind
from lacewing.model.ids import RunKey, child_execution_name
from lacewing.model.phases import RunPhase
from lacewing.model.run import CHILD, RunSpec
from lacewing.model.task import Handle, Observation
from lacewing.ports import ChildEnd, ChildOrder, Children, Signals


@dataclass(frozen=True)
class Outside:
    """Launches, looks at and ends what launch plan nodes and gates wait for."""

    files: RunFiles
    children: Children
    signals: Signals

    async def launch(
        self,
        spec: RunSpec,
        node: Node,
        attempt: int,
        inputs: literals_pb2.LiteralMap,
        element: int,
        past: str = "",
    ) -> Handle:
        """Start the child execution, of an array for one element; a gate has nothing to start.

        `past` is the key of the child execution to be recovered, if there is one.
        """
        if node.kind is not NodeKind.GATE:
            uid = node.id if element < 0 else layout.element_uid(node, element)
            if element >= 0:
                inputs = arrays.element_inputs(node, inputs, element)
            name = child_execution_name(spec.key.name, uid, attempt)
            child = RunKey(spec.key.project, spec.key.domain, name)
            hint = _hint(node, element)
            order = ChildOrder(child, node.launch_plan, inputs, spec, node.id, hint, past)
            await self.children.start(order)
            return {CHILD: str(child)}
        return {}

    async def observe(
        self, spec: RunSpec, node: Node, attempt: int, handle: Handle, element: int
    ) -> Observation | None:
        """What came of it; None while it goes on."""
        prefix = layout.output_prefix(spec, node, attempt)
        if element >= 0:
            prefix = layout.element_prefix(spec, node, element, attempt)
        if node.kind is NodeKind.GATE:
            return await self._signal(spec, node, f"{prefix}/outputs.pb")
        end = await self.children.look(RunKey.parse(handle[CHILD]), spec.key, _hint(node, element))
        return await self._ended(end, f"{prefix}/outputs.pb") if end is not None else None

    async def abort(self, spec: RunSpec, node: Node, handle: Handle) -> None:
        """End the child execution; a gate holds nothing."""
        if node.kind is not NodeKind.GATE:
            cause = f"parent execution {spec.key} ended before its node {node.id}"
            await self.children.stop(RunKey.parse(handle[CHILD]), cause)

    async def _ended(self, end: ChildEnd, output: str) -> Observation:
        if end.phase is RunPhase.SUCCEEDED:
            await self.files.write(output, end.outputs)
            return Observation.succeeded()
        if end.phase is RunPhase.ABORTED or end.error is None:
            message = end.error.message if end.error is not None else ""
            return Observation.permanent(
                "RemoteChildWorkflowExecutionFailed", f"the child execution was aborted: {message}"
            )
        return Observation.permanent(end.error.code, end.error.message, end.error.kind)

    async def _signal(self, spec: RunSpec, node: Node, output: str) -> Observation | None:
        gate = node.message.gate_node
        if gate.WhichOneof("condition") == "signal":
            value = await self.signals.ask(spec.key, gate.signal.signal_id, gate.signal.type)
            if value is None:
                return None
            outputs = literals_pb2.LiteralMap(literals={gate.signal.output_variable_name: value})
            await self.files.write(output, outputs)
            return Observation.succeeded()
        if gate.WhichOneof("condition") != "approve":
            return None
        boolean = types_pb2.LiteralType(simple=types_pb2.BOOLEAN)
        value = await self.signals.ask(spec.key, gate.approve.signal_id, boolean)
        if value is None:
            return None
        if not value.scalar.primitive.boolean:
            raise TaskError(f"signal {gate.approve.signal_id!r} was refused", code="ReceivedRejectSignal")
        await self.files.copy(layout.input_uri(spec, node), output)
        return Observation.succeeded()


def _hint(node: Node, element: int) -> str:
    return node.id if element < 0 else element_hint(node.id, element)
