"""Does what `advance` decided, and answers with what came of it. Every effect may be repeated.

An error is turned into a stimulus here, so that one node's trouble never stops its siblings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from flyteidl.core import literals_pb2

from lacewing.engine import bindings, layout
from lacewing.engine.contexts import task_context
from lacewing.engine.files import RunFiles
from lacewing.errors import TaskError, TransientError
from lacewing.hooks.registry import Registry
from lacewing.model.graph import Graph, Node
from lacewing.model.phases import ErrorKind
from lacewing.model.run import Run, RunSpec
from lacewing.model.steps import (
    Abort,
    Delayed,
    Gather,
    Gathered,
    Instruction,
    Launch,
    Launched,
    Observed,
    Stimulus,
)
from lacewing.model.task import Observation
from lacewing.ports import Cluster

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Effects:
    """The engine's hands: backends by the registry, objects in the cluster, files through `files`."""

    registry: Registry
    cluster: Cluster
    files: RunFiles

    async def begin(self, spec: RunSpec) -> None:
        """Put the run's inputs where its nodes look for them."""
        await self.files.write(layout.run_input_uri(spec), await self.files.read(spec.inputs_uri))

    async def perform(
        self, graph: Graph, spec: RunSpec, run: Run, instructions: Sequence[Instruction]
    ) -> list[Stimulus]:
        """Carry out the instructions in order; events are not ours to send."""
        stimuli: list[Stimulus] = []
        for instruction in instructions:
            if isinstance(instruction, Launch):
                stimuli.append(await self._launch(graph, spec, run, instruction))
            elif isinstance(instruction, Gather):
                stimuli.append(await self._gather(graph, spec, run, instruction))
            elif isinstance(instruction, Abort):
                await self._abort(graph, spec, instruction)
        return stimuli

    async def _launch(self, graph: Graph, spec: RunSpec, run: Run, launch: Launch) -> Stimulus:
        node = graph.node(launch.node_id)
        assert node.task is not None
        try:
            inputs = await self._inputs(spec, run, node)
            context = task_context(graph, spec, node, launch.attempt, inputs)
            backend = self.registry.backend(node.task.type)
            handle = await backend.launch(self.cluster, context)
        except TransientError as error:
            return Delayed(node.id, launch.attempt, error.delay, error.message)
        except TaskError as error:
            seen = Observation.permanent(error.code, error.message, _kind(error))
            return Observed(node.id, launch.attempt, seen)
        except Exception as error:
            log.exception("launch failed", run=str(spec.key), node=node.id, task_type=node.task.type)
            return Observed(node.id, launch.attempt, bug(error))
        return Launched(node.id, launch.attempt, {"plugin": backend.name, **handle})

    async def _gather(self, graph: Graph, spec: RunSpec, run: Run, gather: Gather) -> Stimulus:
        node = graph.node(gather.node_id)
        try:
            outputs = await self._inputs(spec, run, node)
            await self.files.write(layout.run_output_uri(spec), outputs)
        except TransientError as error:
            return Delayed(node.id, 0, error.delay, error.message)
        except TaskError as error:
            return Observed(node.id, 0, Observation.permanent(error.code, error.message, _kind(error)))
        return Gathered(node.id)

    async def _inputs(self, spec: RunSpec, run: Run, node: Node) -> literals_pb2.LiteralMap:
        outputs = {}
        for other in bindings.needed(node.message.inputs):
            attempt = run.nodes[other].attempt if other in run.nodes else 0
            outputs[other] = await self.files.read(layout.output_uri(spec, other, attempt))
        inputs = bindings.resolve(node.message.inputs, outputs)
        await self.files.write(layout.input_uri(spec, node.id), inputs)
        return inputs

    async def _abort(self, graph: Graph, spec: RunSpec, abort: Abort) -> None:
        node = graph.node(abort.node_id)
        assert node.task is not None
        context = task_context(graph, spec, node, abort.attempt)
        try:
            backend = self.registry.backend(node.task.type)
            await backend.abort(self.cluster, context, abort.handle)
        except TaskError as error:
            log.warning("nothing to abort", run=str(spec.key), node=node.id, reason=error.message)

    async def observe(self, graph: Graph, spec: RunSpec, run: Run, node_id: str) -> Observed | None:
        """What an active node's backend sees now; None while nothing is launched."""
        state, node = run.nodes[node_id], graph.node(node_id)
        if node.task is None or state.handle is None:
            return None
        context = task_context(graph, spec, node, state.attempt)
        try:
            backend = self.registry.backend(node.task.type)
            seen = await backend.observe(self.cluster, context, state.handle)
            error = None
            if seen.phase.name == "SUCCEEDED":
                names = sorted(node.task.interface.outputs.variables)
                judged, error = await self.files.judge(spec, node_id, state.attempt, names, seen)
                seen = replace(judged, links=seen.links, started_at=seen.started_at)
        except TransientError:
            raise
        except TaskError as failure:
            return Observed(node_id, state.attempt, Observation.permanent(failure.code, failure.message))
        except Exception as failure:
            log.exception("observe failed", run=str(spec.key), node=node_id, task_type=node.task.type)
            return Observed(node_id, state.attempt, bug(failure))
        return Observed(node_id, state.attempt, seen, error)


def bug(error: Exception) -> Observation:
    """An exception that no plugin may raise: its own fault, paid by the system's budget."""
    return Observation.retryable("PluginError", f"{type(error).__name__}: {error}", ErrorKind.SYSTEM)


def _kind(error: TaskError) -> ErrorKind:
    return ErrorKind.SYSTEM if error.code == "BindingResolutionFailure" else ErrorKind.USER
