"""Workflows of every kind of node, nested at random, with attempts that go as they please."""

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from drafts import INTEGER, NONE, Ref, bind, compare, give, identifier, launch_plan_inputs, listed, union
from flyteidl.core import compiler_pb2, identifier_pb2, tasks_pb2, workflow_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from lacewing.compiler.build import compile_workflow
from lacewing.compiler.nodes import LaunchPlanInterface
from lacewing.model.phases import NodePhase, RunPhase
from lacewing.model.run import RunError
from lacewing.ports import ChildEnd
from lacewing.testing import Plan
from language import keep_promises
from world import Crash, World, crashing, distinct, literals

DEPTH, SIZE = 3, 4
OUTCOMES = ["success"] * 12 + ["user", "system", "delay", "permanent", "silent"]


def task(name: str, **inputs: Any) -> tasks_pb2.TaskTemplate:
    """A task that gives one integer."""
    template = tasks_pb2.TaskTemplate(type="mock", id=identifier(name, identifier_pb2.TASK))
    template.metadata.retries.retries = 1
    for var, kind in inputs.items():
        template.interface.inputs.variables[var].type.CopyFrom(kind)
    template.interface.outputs.variables["o0"].type.CopyFrom(INTEGER)
    return template


@dataclass
class Nest:
    """Workflows while they are made up, with what dynamic tasks will yield."""

    pick: Random
    names: int = 0
    subs: list[workflow_pb2.WorkflowTemplate] = field(default_factory=list)
    tasks: dict[str, tasks_pb2.TaskTemplate] = field(default_factory=dict)
    yields: dict[str, compiler_pb2.CompiledWorkflowClosure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tasks = {"inc": task("inc", a=INTEGER), "total": task("total", xs=listed(union(INTEGER, NONE)))}
        plan = identifier("plan", identifier_pb2.LAUNCH_PLAN)
        inc = self.tasks["inc"]
        self.plan = LaunchPlanInterface(plan, launch_plan_inputs(inc, ()), inc.interface.outputs)

    def closure(self, depth: int, inputs: bool = True) -> compiler_pb2.CompiledWorkflowClosure:
        template = self.workflow(depth, inputs)
        tasks = [compiler_pb2.CompiledTask(template=one) for one in self.tasks.values()]
        return compile_workflow(template, tasks, self.subs, [self.plan])

    def name(self, stem: str) -> str:
        self.names += 1
        return f"{stem}{self.names}"

    def workflow(self, depth: int, inputs: bool = True) -> workflow_pb2.WorkflowTemplate:
        template = workflow_pb2.WorkflowTemplate()
        template.id.CopyFrom(identifier(self.name("wf"), identifier_pb2.WORKFLOW))
        template.metadata.on_failure = int(self.pick.random() < 0.3)
        if inputs:
            template.interface.inputs.variables["a"].type.CopyFrom(INTEGER)
        template.interface.outputs.variables["o0"].type.CopyFrom(INTEGER)
        readable: list[Any] = [Ref("", "a")] if inputs else [1]
        for at in range(self.pick.randint(1, SIZE)):
            readable.append(self.add(template, f"n{at}", readable, depth))
        if self.pick.random() < 0.3:
            template.failure_node.id = "fn0"
            self.run(template.failure_node, "inc", a=readable[0])
        bind(template.outputs.add(var="o0").binding, readable[-1])
        return template

    def add(self, template: Any, node_id: str, readable: list[Any], depth: int) -> Any:
        """One more node, or two; what others may read of it."""
        node = template.nodes.add(id=node_id)
        kind = self.pick.choice(["task", "array", "gate", "branch", "held", "held"])
        if kind == "array":
            self.run(node.array_node.node, "inc")
            node.array_node.is_original_sub_node_interface.value = True
            if self.pick.random() < 0.5:
                node.array_node.min_success_ratio = 0.5
            node.array_node.parallelism = self.pick.randint(0, 2)
            give(node, a=[self.pick.choice(readable) for _ in range(3)])
            return self.run(template.nodes.add(id=f"{node_id}t"), "total", xs=Ref(node_id))
        if kind == "gate":
            node.gate_node.sleep.duration.seconds = 2
            self.run(after := template.nodes.add(id=f"{node_id}t"), "inc", a=self.pick.choice(readable))
            after.upstream_node_ids.append(node_id)
            return Ref(after.id)
        if kind == "branch":
            compare(give(node, which=self.pick.choice(readable)), "which", self.pick.randint(0, 1))
            choice = node.branch_node.if_else
            for at, arm in enumerate((choice.case.then_node, choice.else_node)):
                arm.id = f"n{at}"
                self.one(arm, readable, depth - 1)
        else:
            self.one(node, readable, depth if kind == "held" else 0)
        return Ref(node_id)

    def one(self, node: workflow_pb2.Node, readable: list[Any], depth: int) -> None:
        """Make a node run a task, or something that holds others."""
        kind = self.pick.choice(["task", "plan", "sub", "dynamic"]) if depth > 0 else "task"
        given = self.pick.choice(readable)
        if kind == "task":
            self.run(node, "inc", a=given)
        elif kind == "plan":
            node.workflow_node.launchplan_ref.CopyFrom(self.plan.id)
            give(node, a=given)
        elif kind == "sub":
            sub = self.workflow(depth - 1)
            self.subs.append(sub)
            node.workflow_node.sub_workflow_ref.CopyFrom(sub.id)
            give(node, a=given)
        else:
            name = self.name("dynamic")
            inner = Nest(self.pick, self.names, yields=self.yields)
            self.yields[name] = inner.closure(depth - 1, inputs=False)
            self.names = inner.names
            self.tasks[name] = task(name, a=INTEGER)
            self.run(node, name, a=given)

    def run(self, node: workflow_pb2.Node, name: str, **values: Any) -> Ref:
        node.task_node.reference_id.CopyFrom(self.tasks[name].id)
        give(node, **values)
        return Ref(node.id)


def made(seed: int, calm: bool) -> World:
    """A world for the workflow of that seed; a calm one has no failures."""
    nest = Nest(Random(seed))
    closure = nest.closure(DEPTH)

    def plan(attempt: Any) -> Plan:
        pick = Random(f"{seed}:{attempt.name}")
        outcome = "success" if calm else pick.choice(OUTCOMES)
        if outcome == "success" and attempt.template.id.name in nest.yields:
            outcome = "nodes"
        return Plan(outcome, pick.randrange(3))

    world = World(closure, plan, inputs={"a": 1}, max_parallelism=seed % 4)
    world.dynamics.closures = nest.yields
    end = RunPhase.SUCCEEDED if calm or seed % 5 else RunPhase.FAILED
    error = RunError("Bad", "in the child") if end is RunPhase.FAILED else None
    world.children.ends["plan"] = ChildEnd(end, literals(o0=1), error)
    return world


def told(world: World) -> set[tuple[object, ...]]:
    """What was told of the run and its nodes. What is seen of an attempt depends on when one looks."""
    return {one for one in distinct(world) if one[0] != "task"}


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9), st.integers(-1, 12))
def test_any_nest_of_nodes_keeps_the_promises(seed: int, abort_after: int):
    world = made(seed, calm=False)
    run = asyncio.run(world.play(abort_after=abort_after))
    keep_promises(world)
    ended = run.nodes.get("end-node")
    assert (run.phase is RunPhase.SUCCEEDED) == (ended is not None and ended.phase is NodePhase.SUCCEEDED)
    assert (run.error is None) == (run.phase is RunPhase.SUCCEEDED)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(2, 120), min_size=1, max_size=3))
def test_crashes_change_nothing_of_any_nest(seed: int, crashes: list[int]):
    calm, world = made(seed, calm=True), made(seed, calm=True)
    asyncio.run(calm.play())
    assert calm.run.phase is RunPhase.SUCCEEDED
    for at in crashes:
        crashing(world, at)
        try:
            asyncio.run(world.play())
        except Crash:
            continue
    asyncio.run(world.play())
    keep_promises(calm)
    assert world.run.phase is RunPhase.SUCCEEDED
    assert sorted(world.backend.launches) == sorted(calm.backend.launches)
    assert told(world) == told(calm)
    assert world.blobs.blobs == calm.blobs.blobs
