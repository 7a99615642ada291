"""Does what `advance` decided, and answers with what came of it. Every effect may be repeated.

An error is turned into a stimulus here, so that one node's trouble never stops its siblings.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import structlog
from flyteidl.core import literals_pb2

from lacewing.backends.remote import RemoteBackend
from lacewing.engine import arrays, echo, layout
from lacewing.engine.caching import Caching
from lacewing.engine.conditions import choose
from lacewing.engine.contexts import task_context
from lacewing.engine.files import RunFiles
from lacewing.engine.inputs import NodeInputs
from lacewing.engine.outside import Outside
from lacewing.errors import TaskError, TransientError
from lacewing.hooks.registry import Registry
from lacewing.model.array import ArrayRun
from lacewing.model.events import GrownWorkflow
from lacewing.model.graph import Graph, Node, NodeKind
from lacewing.model.ids import START_NODE, RunKey, node_uid
from lacewing.model.phases import ErrorKind, TaskPhase
from lacewing.model.run import ARM, NodeRun, Run, RunSpec
from lacewing.model.steps import (
    Abort,
    Decide,
    Decided,
    Delayed,
    Emit,
    Extend,
    Gather,
    Gathered,
    Grow,
    Grown,
    Instruction,
    Keep,
    Launch,
    Launched,
    Lookup,
    Observed,
    Open,
    Opened,
    Recall,
    Recalled,
    Sized,
    Stimulus,
)
from lacewing.model.task import Handle, Observation
from lacewing.ports import Catalog, Cluster, DynamicCompiler

log = structlog.get_logger(__name__)
_EMPTY = literals_pb2.LiteralMap()


class Scene:
    """The run that a pass is about: what every effect needs to know."""

    def __init__(self, graph: Graph, spec: RunSpec, run: Run) -> None:
        self.graph, self.spec, self.run = graph, spec, run

    def state(self, node: Node) -> NodeRun:
        """What is known of a node at work."""
        return self.run.nodes[node.id]

    def failures(self, node: Node, element: int) -> tuple[str, ...]:
        """What earlier attempts at the node, or at its element, died of."""
        state = self.state(node)
        return state.failures if state.array is None else state.array.element(element).failures


@dataclass(frozen=True)
class Effects:
    """The engine's hands: backends by the registry, objects in the cluster, files through `files`."""

    registry: Registry
    cluster: Cluster
    files: RunFiles
    outside: Outside
    compiler: DynamicCompiler
    catalog: Catalog
    console_url: str = ""

    @cached_property
    def inputs(self) -> NodeInputs:
        """Resolves what nodes read."""
        return NodeInputs(self.files)

    @cached_property
    def caching(self) -> Caching:
        """Asks the catalog."""
        return Caching(self.files, self.catalog)

    async def begin(self, spec: RunSpec) -> None:
        """Put the run's inputs where its nodes look for them."""
        await self.files.write(layout.run_input_uri(spec), await self.files.read(spec.inputs_uri))

    async def perform(
        self, graph: Graph, spec: RunSpec, run: Run, instructions: Sequence[Instruction]
    ) -> list[Stimulus]:
        """Carry out the instructions in order; events are not ours to send."""
        scene, stimuli = Scene(graph, spec, run), []
        for instruction in instructions:
            if isinstance(instruction, Emit):
                continue
            node = graph.node(instruction.node_id)
            if isinstance(instruction, Abort):
                await self._abort(scene, node, instruction)
            elif isinstance(instruction, Extend):
                await self.caching.extend(spec, node, instruction.element)
            else:
                stimuli.append(await self._answer(scene, node, instruction))
        return stimuli

    async def _answer(self, scene: Scene, node: Node, instruction: Instruction) -> Stimulus:
        attempt, element = getattr(instruction, "attempt", 0), getattr(instruction, "element", -1)
        try:
            if isinstance(instruction, Launch):
                return await self._launch(scene, node, attempt, element)
            if isinstance(instruction, Lookup):
                if element < 0:
                    await self.inputs.resolve(scene.graph, scene.spec, scene.run, node)
                return await self.caching.lookup(scene.spec, node, attempt, element)
            if isinstance(instruction, Keep):
                kept = await self.caching.keep(scene.spec, node, attempt, element)
                return replace(kept, deck=element < 0 and await self._left_deck(scene, node, attempt))
            return await self._EFFECTS[type(instruction)](self, scene, node)
        except TransientError as error:
            return Delayed(node.id, attempt, error.delay, error.message, element)
        except TaskError as error:
            return Observed(node.id, attempt, _refused(error), element=element)
        except Exception as error:
            log.exception("effect failed", run=str(scene.spec.key), node=node.id, effect=type(instruction))
            return Observed(node.id, attempt, bug(error), element=element)

    async def _launch(self, scene: Scene, node: Node, attempt: int, element: int) -> Stimulus:
        looked_up = node.cache is not None and node.kind is NodeKind.TASK
        if element >= 0 or looked_up:
            inputs = await self.files.read(layout.input_uri(scene.spec, node))
            if node.task is None:
                inputs = await self.inputs.loaded(inputs, inputs.literals)
        else:
            inputs = await self.inputs.resolve(scene.graph, scene.spec, scene.run, node)
            if node.kind is NodeKind.ARRAY:
                inputs = await self.inputs.loaded(inputs, inputs.literals)
                return Sized(node.id, arrays.size(node, inputs))
        if node.task is None:
            past = scene.state(node).past
            handle = await self.outside.launch(scene.spec, node, attempt, inputs, element, past)
            return Launched(node.id, attempt, handle, element, look=True)
        if node.task.type == echo.TASK_TYPE:
            return await self._echo(scene, node, attempt, inputs, element)
        backend = self.registry.backend(node.task.type)
        remote = isinstance(backend, RemoteBackend)
        if remote and element >= 0:
            # A pod picks its element itself; what is no pod is given it.
            inputs = arrays.element_inputs(node, inputs, element)
        context = task_context(
            scene.graph,
            scene.spec,
            node,
            attempt,
            inputs,
            element,
            scene.failures(node, element),
            _system_failures(scene, node, element),
        )
        if attempt == 0 and scene.state(node).past:
            context = replace(context, previous_checkpoint_prefix=scene.state(node).past)
        if self.console_url:
            context = replace(context, console_url=self.console_url)
        if context.wants_template:
            await self.files.write_template(context.template_uri, context.template)
        handle = await backend.launch(self.cluster, context)
        return Launched(node.id, attempt, {"plugin": backend.name, **handle}, element, look=remote)

    async def _echo(
        self, scene: Scene, node: Node, attempt: int, inputs: literals_pb2.LiteralMap, element: int
    ) -> Stimulus:
        assert node.task is not None
        prefix = layout.output_prefix(scene.spec, node, attempt)
        if element >= 0:
            inputs = arrays.element_inputs(node, inputs, element)
            prefix = layout.element_prefix(scene.spec, node, element, attempt)
        await self.files.write(f"{prefix}/outputs.pb", echo.echoed(node.task, inputs))
        return Observed(node.id, attempt, Observation.succeeded(), element=element)

    async def _left_deck(self, scene: Scene, node: Node, attempt: int) -> bool:
        assert node.task is not None
        return await self.files.left_deck(node.task, layout.output_prefix(scene.spec, node, attempt))

    async def _recall(self, scene: Scene, node: Node) -> Stimulus:
        """What is taken over is put where this run's nodes look for it."""
        past = await self.outside.children.recall(RunKey.parse(scene.spec.recovers), node.id)
        if past is None:
            return Recalled(node.id, None)
        if past.inputs is not None:
            await self.files.write(layout.input_uri(scene.spec, node), past.inputs)
        if past.outputs is not None:
            await self.files.write(layout.output_uri(scene.spec, node, 0), past.outputs)
        if past.grown_attempt >= 0:
            prefix = layout.output_prefix(scene.spec, node, past.grown_attempt)
            await self.files.copy_nodes(past.nodes_uri, prefix)
        return Recalled(node.id, past)

    async def _open(self, scene: Scene, node: Node) -> Stimulus:
        inputs = await self.inputs.resolve(scene.graph, scene.spec, scene.run, node)
        start = scene.graph.start_of(scene.graph.inner[node.index])
        await self.files.write(layout.output_uri(scene.spec, start, 0), inputs)
        return Opened(node.id)

    async def _decide(self, scene: Scene, node: Node) -> Stimulus:
        inputs = await self.inputs.resolve(scene.graph, scene.spec, scene.run, node)
        arm = choose(node.message.branch_node, inputs)
        return Decided(node.id, node_uid(node.id, 0, arm))

    async def _gather(self, scene: Scene, node: Node) -> Stimulus:
        """Of an end node: what its workflow answers. Of a branch: what its arm wrote."""
        target = layout.output_uri(scene.spec, node, 0)
        if node.kind is NodeKind.BRANCH:
            arm = scene.graph.node((scene.state(node).handle or {})[ARM])
            source = layout.output_uri(scene.spec, arm, scene.state(arm).attempt)
            await self.files.copy(source, target)
            return Gathered(node.id)
        if node.kind is NodeKind.ARRAY:
            await self.files.write(
                target, await arrays.collect(self.files, scene.spec, node, scene.state(node))
            )
            return Gathered(node.id)
        outputs = await self.inputs.resolve(scene.graph, scene.spec, scene.run, node)
        holder = scene.graph.holder_of(node.scope)
        if holder is not None:
            target = layout.output_uri(scene.spec, holder, scene.state(holder).attempt)
        await self.files.write(target, outputs)
        return Gathered(node.id)

    async def _grow(self, scene: Scene, node: Node) -> Stimulus:
        assert node.task is not None
        attempt = scene.state(node).attempt
        prefix = layout.output_prefix(scene.spec, node, attempt)
        uri = f"{prefix}/dynamic_compiled.pb"
        made = await self.files.read_nodes(prefix)
        closure = await self.compiler.compile(scene.spec.key, node.task, node.id, made)
        await self.files.write_closure(uri, closure)
        await self.files.write(f"{prefix}/{START_NODE}/0/outputs.pb", _EMPTY)
        return Grown(node.id, attempt, GrownWorkflow(closure, f"{prefix}/futures.pb"), uri)

    async def _abort(self, scene: Scene, node: Node, abort: Abort) -> None:
        if node.task is None:
            await self.outside.abort(scene.spec, node, abort.handle)
            return
        context = task_context(scene.graph, scene.spec, node, abort.attempt, element=abort.element)
        try:
            backend = self.registry.backend(node.task.type)
            await backend.abort(self.cluster, context, abort.handle)
        except TaskError as error:
            log.warning("nothing to abort", run=str(scene.spec.key), node=node.id, reason=error.message)

    async def observe(
        self, graph: Graph, spec: RunSpec, run: Run, node_id: str, element: int = -1
    ) -> list[Observed]:
        """What an active node's work is like now; nothing while nothing is launched, or nothing is known.

        Of an array the element that is named, else every one at work.
        """
        scene, node, state = Scene(graph, spec, run), graph.node(node_id), run.nodes[node_id]
        if state.array is not None:
            return await self._observe_elements(scene, node, state.array, element)
        if state.handle is None or node.kind.holder or state.task_phase is TaskPhase.SUCCEEDED:
            return []
        return await self._look(scene, node, state.attempt, state.handle, -1)

    async def _observe_elements(
        self, scene: Scene, node: Node, array: ArrayRun, element: int
    ) -> list[Observed]:
        seen = []
        for at in array.active() if element < 0 else [element]:
            one = array.element(at)
            if one.handle is not None:
                seen += await self._look(scene, node, one.attempt, one.handle, at)
        return seen

    async def _look(
        self, scene: Scene, node: Node, attempt: int, handle: Handle, element: int
    ) -> list[Observed]:
        try:
            if node.task is not None:
                return [await self._observe_task(scene, node, attempt, handle, element)]
            seen = await self.outside.observe(scene.spec, node, attempt, handle, element)
            return [Observed(node.id, attempt, seen, element=element)] if seen is not None else []
        except TransientError as error:
            # The others of the run are looked at all the same.
            unseen = replace(Observation.waiting(error.message), look_again_seconds=max(error.delay, 1.0))
            return [Observed(node.id, attempt, unseen, element=element)]
        except TaskError as failure:
            return [Observed(node.id, attempt, _refused(failure), element=element)]
        except Exception as failure:
            log.exception("observe failed", run=str(scene.spec.key), node=node.id)
            return [Observed(node.id, attempt, bug(failure), element=element)]

    async def _observe_task(
        self, scene: Scene, node: Node, attempt: int, handle: Handle, element: int
    ) -> Observed:
        assert node.task is not None
        context = task_context(scene.graph, scene.spec, node, attempt, element=element)
        seen = await self.registry.backend(node.task.type).observe(self.cluster, context, handle)
        deck = seen.phase.terminal and element < 0 and await self._left_deck(scene, node, attempt)
        if seen.phase is not TaskPhase.SUCCEEDED:
            return Observed(node.id, attempt, seen, element=element, deck=deck)
        if element < 0 and await self.files.wrote_nodes(context.output_prefix):
            return Observed(node.id, attempt, seen, dynamic=True, deck=deck)
        if seen.outputs is not None:
            await self.files.write(f"{context.output_prefix}/outputs.pb", seen.outputs)
        judged, error = await self.files.judge(context.output_prefix, node.outputs, seen)
        if judged is not seen:
            judged = replace(judged, links=seen.links, started_at=seen.started_at)
        return Observed(node.id, attempt, judged, error, element=element, deck=deck)

    _EFFECTS: ClassVar[dict[type, Callable[["Effects", Scene, Node], Awaitable[Stimulus]]]] = {
        Recall: _recall, Grow: _grow, Open: _open, Decide: _decide, Gather: _gather
    }  # fmt: skip


def _system_failures(scene: Scene, node: Node, element: int) -> int:
    state = scene.state(node)
    if element < 0 or state.array is None:
        return state.system_failures
    return state.array.element(element).system_failures


def bug(error: Exception) -> Observation:
    """An exception that no plugin may raise: its own fault, paid by the system's budget."""
    return Observation.retryable("PluginError", f"{type(error).__name__}: {error}", ErrorKind.SYSTEM)


def _refused(error: TaskError) -> Observation:
    kind = ErrorKind.SYSTEM if error.code == "BindingResolutionFailure" else ErrorKind.USER
    return Observation.permanent(error.code, error.message, kind)
