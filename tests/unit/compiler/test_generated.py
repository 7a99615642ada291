"""Workflows made at random of every kind of node compile; broken in one place, the error names that place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from drafts import (
    BOOLEAN,
    FLOAT,
    INTEGER,
    STRING,
    Draft,
    Ref,
    bind,
    compare,
    dataclass_of,
    give,
    listed,
    mapped,
)
from flyteidl.core import workflow_pb2
from flyteidl.core.types_pb2 import LiteralType
from hypothesis import given, settings
from hypothesis import strategies as st
from lacewing.compiler.problems import CompileError
from lacewing.compiler.requirements import every_node, requirements

POINT = dataclass_of(x=INTEGER, tags=listed(STRING))
CONSTANTS: list[tuple[LiteralType, Any]] = [
    (INTEGER, 1),
    (FLOAT, 0.5),
    (STRING, "text"),
    (BOOLEAN, True),
    (listed(INTEGER), [1, 2]),
    (mapped(STRING), {"key": "text"}),
]
TYPES = [*(kind for kind, _ in CONSTANTS), POINT, listed(listed(FLOAT))]
Change = Callable[[], object]


@dataclass
class Break:
    """One way to break the workflow, and what must be told of it."""

    code: str
    node_id: str
    change: Change


@dataclass
class Writer:
    """Writes a workflow node by node; each may read all that came before."""

    pick: Random
    draft: Draft = field(default_factory=Draft)
    readable: list[tuple[Ref, LiteralType]] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    tasks: int = 0

    def write(self, size: int) -> None:
        for at, kind in enumerate(TYPES):
            self.draft.template.interface.inputs.variables[f"in{at}"].type.CopyFrom(kind)
            self.readable.append((Ref("", f"in{at}"), kind))
        kinds = (
            self.task,
            self.sub,
            self.plan,
            self.branch,
            self.approval,
            self.signal,
            self.sleep,
            self.array,
        )
        for at in range(size):
            node = self.draft.node(f"n{at}")
            outputs = self.pick.choice(kinds)(node, node.id)
            self.readable += [(Ref(node.id, name), kind) for name, kind in outputs.items()]
            if self.pick.random() < 0.3:
                node.upstream_node_ids.append(f"n{self.pick.randrange(at)}" if at else "start-node")
            self.broken(
                "NodeReferenceNotFound", node.id, lambda node=node: node.upstream_node_ids.append("gone")
            )
        failing = self.draft.template.failure_node
        failing.id = "fn0"
        self.task(failing, "fn0", only_inputs=True)
        source, kind = self.pick.choice(self.readable)
        self.draft.template.interface.outputs.variables["out"].type.CopyFrom(kind)
        bind(self.draft.template.outputs.add(var="out").binding, source)
        self.broken("ParameterNotBound", "end-node", lambda: self.draft.template.outputs.pop())

    def broken(self, code: str, node_id: str, change: Change) -> None:
        self.breaks.append(Break(code, node_id, change))

    def declare(
        self, types: list[LiteralType], outputs: list[LiteralType]
    ) -> tuple[str, dict[str, LiteralType]]:
        """A new task of these types."""
        name = f"task{self.tasks}"
        self.tasks += 1
        given = {f"o{at}": kind for at, kind in enumerate(outputs)}
        self.draft.task(name, given, **{f"a{at}": kind for at, kind in enumerate(types)})
        return name, given

    def source(self, kind: LiteralType, readable: list[tuple[Ref, LiteralType]]) -> Any:
        """Something of that type: another node's output, a part of one, or a constant."""
        found: list[Any] = [ref for ref, other in readable if other == kind]
        found += [value for other, value in CONSTANTS if other == kind]
        for ref, other in readable:
            if other == POINT and kind == INTEGER:
                found.append(Ref(ref.node, ref.var, ("x",)))
            if other == POINT and kind == STRING:
                found.append(Ref(ref.node, ref.var, ("tags", 0)))
            if other == listed(kind):
                found.append(Ref(ref.node, f"[0].{ref.var}"))
            if kind == listed(other):
                found.append([ref, ref])
        return self.pick.choice(found)

    def fill(
        self, node: workflow_pb2.Node, place: str, types: list[LiteralType], readable: Any = None
    ) -> None:
        """Give the node what it asks for, and note how that breaks."""
        for at, kind in enumerate(types):
            give(node, **{f"a{at}": self.source(kind, readable or self.readable)})
        self.broken("VariableNameNotFound", place, lambda: give(node, unknown=1))
        if types:
            var = f"a{self.pick.randrange(len(types))}"
            kind = types[int(var[1:])]
            wrong = next(value for other, value in CONSTANTS if other != kind)
            code = "MismatchingTypes" if not isinstance(wrong, (list, dict)) else "MismatchingBindings"
            self.broken(code, place, lambda: give(node, **{var: wrong}))
            self.broken("NodeReferenceNotFound", place, lambda: give(node, **{var: Ref("gone")}))
            self.broken("SyntaxError", place, lambda: give(node, **{var: Ref("", "a b")}))
            self.broken("ParameterNotBound", place, lambda: node.inputs.pop())
            self.broken("ParameterBoundMoreThanOnce", place, lambda: node.inputs.append(node.inputs[0]))

    def some(self, least: int, most: int) -> list[LiteralType]:
        return [self.pick.choice(TYPES) for _ in range(self.pick.randint(least, most))]

    def task(
        self, node: workflow_pb2.Node, place: str, only_inputs: bool = False, outputs: Any = None
    ) -> dict[str, LiteralType]:
        types = self.some(0, 3)
        name, given = self.declare(types, self.some(0, 2) if outputs is None else outputs)
        self.draft.run(node, name)
        self.fill(node, place, types, self.readable[: len(TYPES)] if only_inputs else None)
        reference = node.task_node.reference_id
        self.broken("TaskReferenceNotFound", place, lambda: setattr(reference, "version", "gone"))
        return given

    def sub(self, node: workflow_pb2.Node, place: str, outputs: Any = None) -> dict[str, LiteralType]:
        types = self.some(0, 2)
        name, given = self.declare(types, self.some(1, 2) if outputs is None else outputs)
        self.draft.sub(f"sub_{name}", name)
        node.workflow_node.sub_workflow_ref.CopyFrom(self.draft.subs[f"sub_{name}"].id)
        self.fill(node, place, types)
        reference = node.workflow_node.sub_workflow_ref
        self.broken("WorkflowReferenceNotFound", place, lambda: setattr(reference, "version", "gone"))
        return given

    def plan(self, node: workflow_pb2.Node, place: str, outputs: Any = None) -> dict[str, LiteralType]:
        types = self.some(1, 2)
        name, given = self.declare(types, self.some(0, 2) if outputs is None else outputs)
        self.draft.plan(f"plan_{name}", name)
        node.workflow_node.launchplan_ref.CopyFrom(self.draft.plans[f"plan_{name}"].id)
        self.fill(node, place, types)
        reference = node.workflow_node.launchplan_ref
        self.broken("WorkflowReferenceNotFound", place, lambda: setattr(reference, "version", "gone"))
        return given

    def branch(self, node: workflow_pb2.Node, place: str, outputs: Any = None) -> dict[str, LiteralType]:
        """Two or three arms that give the same, one of which may be a branch again."""
        outputs = self.some(0, 2) if outputs is None else outputs
        kind, value = self.pick.choice(CONSTANTS[:3])
        give(node, left=self.source(kind, self.readable), spare=self.source(POINT, self.readable))
        compare(node, "left", value)
        choice = node.branch_node.if_else
        condition = choice.case.condition
        arms = [choice.case.then_node]
        if self.pick.random() < 0.5:
            choice.other.add().condition.CopyFrom(condition)
            arms.append(choice.other[0].then_node)
        if self.pick.random() < 0.5:
            arms.append(choice.else_node)
        else:
            choice.error.failed_node_id, choice.error.message = "", "nothing fits"
        for at, arm in enumerate(arms):
            arm.id = f"n{at}"
            deep = place.count("-") < 2
            make = self.pick.choice((self.task, self.sub, self.plan, *((self.branch,) if deep else ())))
            make(arm, f"{place}-n{at}", outputs=outputs)
        self.broken("BranchNodeHasNoCondition", place, lambda: choice.case.ClearField("condition"))
        self.broken(
            "BranchNodeHasNoDefault",
            place,
            lambda: [choice.ClearField(one) for one in ("else_node", "error")],
        )
        operand = condition.comparison.left_value
        self.broken("VariableNameNotFound", place, lambda: setattr(operand, "var", "unknown"))
        wrong = condition.comparison.right_value
        self.broken("MismatchingTypes", place, lambda: setattr(wrong.primitive, "boolean", True))
        return {f"o{at}": kind for at, kind in enumerate(outputs)}

    def approval(self, node: workflow_pb2.Node, place: str) -> dict[str, LiteralType]:
        source, kind = self.pick.choice(self.readable)
        give(node, seen=source).gate_node.approve.signal_id = place
        self.broken("NodeReferenceNotFound", place, lambda: give(node, seen=Ref("gone")))
        self.broken("NoConditionFound", place, lambda: node.gate_node.ClearField("approve"))
        return {"seen": kind}

    def signal(self, node: workflow_pb2.Node, place: str) -> dict[str, LiteralType]:
        kind = self.pick.choice(TYPES)
        node.gate_node.signal.signal_id, node.gate_node.signal.output_variable_name = place, "o0"
        node.gate_node.signal.type.CopyFrom(kind)
        self.broken("ValueRequired", place, lambda: node.gate_node.signal.ClearField("type"))
        return {"o0": kind}

    def sleep(self, node: workflow_pb2.Node, place: str) -> dict[str, LiteralType]:
        node.gate_node.sleep.duration.seconds = 1
        self.broken("NoConditionFound", place, lambda: node.gate_node.ClearField("sleep"))
        return {}

    def array(self, node: workflow_pb2.Node, place: str) -> dict[str, LiteralType]:
        """Over a task or a launch plan, one input of which is mapped over."""
        name, given = self.declare([INTEGER, STRING], self.some(0, 1))
        inner = node.array_node.node
        if self.pick.random() < 0.5:
            self.draft.run(inner, name)
            node.array_node.is_original_sub_node_interface.value = True
        else:
            self.draft.plan(f"plan_{name}", name)
            inner.workflow_node.launchplan_ref.CopyFrom(self.draft.plans[f"plan_{name}"].id)
        node.array_node.bound_inputs.append("a1")
        self.fill(node, place, [listed(INTEGER), STRING])
        self.broken("WorkflowBuildError", place, lambda: inner.gate_node.sleep.SetInParent())
        return {key: listed(kind) for key, kind in given.items()}


RANDOMS = st.randoms(use_true_random=False)


@settings(max_examples=60, deadline=None)
@given(RANDOMS, st.integers(1, 12))
def test_a_workflow_of_any_kinds_of_nodes_compiles(pick: Random, size: int):
    writer = Writer(pick)
    writer.write(size)
    closure = writer.draft.compile()
    template = closure.primary.template
    assert [node.id for node in template.nodes] == [
        "start-node",
        "end-node",
        *(f"n{at}" for at in range(size)),
    ]
    upstream = {key: list(ids.ids) for key, ids in closure.primary.connections.upstream.items()}
    known = {node.id for node in every_node(template)}
    assert all(ids == sorted(set(ids)) and set(ids) <= known for ids in upstream.values())
    needed = requirements(writer.draft.template, writer.draft.subs.values())
    assert [one.template.id for one in closure.tasks] == list(needed.tasks)


@settings(max_examples=200, deadline=None)
@given(RANDOMS, st.integers(1, 8), st.data())
def test_a_workflow_that_is_broken_in_one_place_is_refused_at_that_place(
    pick: Random, size: int, data: st.DataObject
):
    writer = Writer(pick)
    writer.write(size)
    broken = data.draw(st.sampled_from(writer.breaks))
    broken.change()
    with pytest.raises(CompileError) as caught:
        writer.draft.compile()
    problems = caught.value.problems
    assert broken.code in {one.code for one in problems}, caught.value.message
    assert {one.node_id for one in problems} == {broken.node_id}, (broken.code, caught.value.message)
