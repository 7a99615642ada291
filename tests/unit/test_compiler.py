"""The compiler: what it makes of flytekit's own templates, and what it says of broken ones."""

import typing
from datetime import timedelta
from typing import Any

import pytest
from flyteidl.core import compiler_pb2, literals_pb2, types_pb2, workflow_pb2
from flytekit import task, workflow
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.models.task import TaskSpec
from flytekit.tools.translator import get_serializable
from hypothesis import given, settings
from hypothesis import strategies as st
from lacewing.compiler.build import compile_task, compile_workflow, required_tasks
from lacewing.compiler.problems import CompileError
from lacewing.compiler.types import castable, literal_type
from lacewing.errors import InvalidArgument
from lacewing.model.graph import NodeKind, build_graph


@task
def add(a: int, b: int = 10) -> int:
    return a + b


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def maybe(a: typing.Optional[int] = None) -> typing.Union[int, str]:  # noqa: UP007, UP045
    return a or "none"


@workflow
def chain(x: int = 1) -> int:
    first = add(a=x)
    second = add(a=first, b=5).with_overrides(retries=2, timeout=timedelta(seconds=7))
    return total(xs=[first, second, 3])


@workflow
def order_only(x: int = 1) -> typing.Union[int, str]:  # noqa: UP007
    first = add(a=x)
    last = maybe()
    first >> last
    return last


def serialized(entity: Any) -> tuple[workflow_pb2.WorkflowTemplate, list[compiler_pb2.CompiledTask]]:
    image = Image("default", "example.org/image", "1")
    options = SerializationSettings(ImageConfig(image, [image]), "flytesnacks", "development", "v1")
    found: dict[Any, Any] = {}
    spec = get_serializable(found, options, entity)
    tasks = [compile_task(one.to_flyte_idl().template) for one in found.values() if isinstance(one, TaskSpec)]
    return spec.to_flyte_idl().template, tasks


def codes(
    template: workflow_pb2.WorkflowTemplate, tasks: list[compiler_pb2.CompiledTask]
) -> list[tuple[str, str]]:
    with pytest.raises(CompileError) as caught:
        compile_workflow(template, tasks)
    return [(problem.code, problem.node_id) for problem in caught.value.problems]


def test_a_chain_gets_its_boundaries_and_edges():
    template, tasks = serialized(chain)
    closure = compile_workflow(template, tasks)
    assert [node.id for node in closure.primary.template.nodes] == [
        "start-node",
        "end-node",
        "n0",
        "n1",
        "n2",
    ]
    upstream = {k: list(v.ids) for k, v in closure.primary.connections.upstream.items()}
    assert upstream == {"n0": ["start-node"], "n1": ["n0"], "n2": ["n0", "n1"], "end-node": ["n2"]}
    assert not closure.primary.template.nodes[2].upstream_node_ids, "the start node is never named there"
    graph = build_graph(closure)
    assert graph.node("end-node").kind is NodeKind.END
    assert (graph.node("n1").max_attempts, graph.node("n1").timeout_seconds) == (3, 7.0)
    assert compile_workflow(template, tasks).SerializeToString(
        deterministic=True
    ) == closure.SerializeToString(deterministic=True)


def test_an_order_without_data_is_an_edge_too():
    closure = compile_workflow(*serialized(order_only))
    assert list(closure.primary.connections.upstream["n1"].ids) == ["n0"]


def test_an_unknown_variable_is_told_in_the_words_that_flyte_uses():
    template, tasks = serialized(chain)
    template.nodes[0].inputs[0].binding.promise.var = "nope"
    with pytest.raises(CompileError) as caught:
        compile_workflow(template, tasks)
    assert caught.value.message == (
        "Collected Errors: 2\n"
        "\tError 0: Code: ParameterNotBound, Node Id: n0, Description: Parameter not bound [a].\n"
        "\tError 1: Code: VariableNameNotFound, Node Id: start-node,"
        " Description: Variable [nope] not found on node [start-node].\n"
    )


def test_every_problem_is_named_with_its_node():
    template, tasks = serialized(chain)
    template.nodes[1].inputs.add(var="z")
    template.nodes[2].task_node.reference_id.name = "gone"
    found = codes(template, tasks)
    assert ("VariableNameNotFound", "n1") in found
    assert ("TaskReferenceNotFound", "n2") in found


def test_a_wrong_type_and_a_second_binding_are_refused():
    template, tasks = serialized(chain)
    template.nodes[1].inputs[1].binding.scalar.primitive.string_value = "five"
    template.nodes[0].inputs.add().CopyFrom(template.nodes[0].inputs[0])
    found = codes(template, tasks)
    assert ("MismatchingTypes", "n1") in found
    assert ("ParameterBoundMoreThanOnce", "n0") in found


def test_a_cycle_and_a_node_of_its_own_are_refused():
    template, tasks = serialized(chain)
    template.nodes[0].upstream_node_ids.append("n1")
    assert codes(template, tasks) == [("CycleDetected", "n0")]
    template.nodes[0].inputs[0].binding.promise.node_id = "n0"
    template.nodes[0].inputs[0].binding.promise.var = "o0"
    assert ("UnreachableNodes", "start-node") in codes(template, tasks)


def test_a_node_without_a_target_is_refused():
    template, tasks = serialized(chain)
    template.nodes[0].ClearField("task_node")
    assert ("ValueRequired", "n0") in codes(template, tasks)


def test_a_quantity_that_is_none_is_refused_by_name():
    _, tasks = serialized(chain)
    broken = tasks[0].template
    broken.container.resources.requests.add(name=1, value="lots")
    with pytest.raises(InvalidArgument, match="CPU request failed for value lots"):
        compile_task(broken)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_workflow_broken_in_one_place_is_refused_at_that_place(data):
    _, tasks = serialized(chain)
    task_id = next(one.template.id for one in tasks if one.template.id.name.endswith("add"))
    template = workflow_pb2.WorkflowTemplate()
    size = data.draw(st.integers(1, 8))
    for at in range(size):
        node = template.nodes.add(id=f"n{at}")
        node.task_node.reference_id.CopyFrom(task_id)
        a, b = node.inputs.add(var="a"), node.inputs.add(var="b")
        if at and data.draw(st.booleans()):
            a.binding.promise.node_id, a.binding.promise.var = f"n{data.draw(st.integers(0, at - 1))}", "o0"
        else:
            a.binding.scalar.primitive.integer = at
        b.binding.scalar.primitive.integer = at
    assert len(compile_workflow(template, tasks).primary.template.nodes) == size + 2
    place = data.draw(st.integers(0, size - 1))
    template.nodes[place].inputs[1].binding.scalar.primitive.float_value = 0.5
    assert ("MismatchingTypes", f"n{place}") in codes(template, tasks)


def simple(kind: int) -> types_pb2.LiteralType:
    return types_pb2.LiteralType(simple=kind)  # type: ignore[arg-type]


def union(*variants: types_pb2.LiteralType) -> types_pb2.LiteralType:
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))


INTEGER, STRING, FLOAT = simple(types_pb2.INTEGER), simple(types_pb2.STRING), simple(types_pb2.FLOAT)


def test_types_flow_as_flyte_lets_them():
    enum = types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=["a"]))
    empty = types_pb2.LiteralType(collection_type=simple(types_pb2.NONE))
    integers = types_pb2.LiteralType(collection_type=INTEGER)
    assert not castable(INTEGER, FLOAT)
    assert castable(enum, STRING)
    assert castable(STRING, enum)
    assert castable(empty, integers)
    assert castable(INTEGER, union(INTEGER, STRING))
    assert not castable(INTEGER, union(INTEGER, INTEGER))
    assert castable(union(INTEGER, STRING), union(STRING, INTEGER, FLOAT))
    assert not castable(union(INTEGER, STRING), INTEGER)


def test_a_literals_type_is_inferred():
    one, word = literals_pb2.Literal(), literals_pb2.Literal()
    one.scalar.primitive.integer = 1
    word.scalar.primitive.string_value = "x"
    mixed = literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=[one, word]))
    assert literal_type(one) == INTEGER
    assert len(literal_type(mixed).collection_type.union_type.variants) == 2
    none = literals_pb2.Literal(collection=literals_pb2.LiteralCollection())
    lists = literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=[mixed, none]))
    assert literal_type(lists).collection_type == literal_type(mixed)
    with pytest.raises(InvalidArgument):
        literal_type(literals_pb2.Literal())


def test_the_tasks_of_a_workflow_are_each_named_once():
    template, _ = serialized(chain)
    assert [one.name.rsplit(".", 1)[-1] for one in required_tasks(template)] == ["add", "total"]
