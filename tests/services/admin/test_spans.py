"""Spans of executions whose nodes hold others: where time goes, and how deep that is told."""

from typing import Any

from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import compiler_pb2
from flyteidl.core.metrics_pb2 import Span
from lacewing.services.admin.spans import Story, execution_span


def timed(message: Any, created: int, updated: int, started: int = 0, ended: int = 0) -> Any:
    message.closure.created_at.seconds, message.closure.updated_at.seconds = created, updated
    if started:
        message.closure.started_at.seconds = started
    if ended:
        message.closure.duration.seconds = ended - started
    return message


def node(node_id: str, created: int, updated: int, started: int = 0, ended: int = 0, **metadata: Any) -> Any:
    found = node_execution_pb2.NodeExecution()
    found.id.node_id = node_id
    found.metadata.spec_node_id = metadata.pop("spec", node_id)
    for name, value in metadata.items():
        setattr(found.metadata, name, value)
    return timed(found, created, updated, started, ended)


def attempt(created: int, updated: int, started: int = 0, ended: int = 0) -> Any:
    return timed(task_execution_pb2.TaskExecution(), created, updated, started, ended)


def story(nodes: dict[str, list[Any]], **more: Any) -> Story:
    closure = compiler_pb2.CompiledWorkflowClosure()
    add_workflow(closure.primary, "main")
    target = next(one for one in closure.primary.template.nodes if one.id == "n0")
    target.workflow_node.sub_workflow_ref.name = "inner"
    add_workflow(closure.sub_workflows.add(), "inner")
    gate = closure.primary.template.nodes.add(id="g0")
    gate.gate_node.sleep.duration.seconds = 1
    execution = timed(execution_pb2.Execution(), 0, 100)
    attempts = more.pop("attempts", {})
    return Story(execution, closure, {"": [node("start-node", 1, 2)], **nodes}, attempts, **more)


def add_workflow(workflow: Any, name: str) -> None:
    workflow.template.id.name = name
    workflow.template.nodes.add(id="n0")
    workflow.connections.upstream["n0"].ids.append("start-node")
    workflow.connections.upstream["end-node"].ids.append("n0")


def told(span: Span) -> list[str]:
    """A span's parts as `name begin-end`; entities by what they are."""
    return [
        f"{one.operation_id or one.WhichOneof('id')} {one.start_time.seconds}-{one.end_time.seconds}"
        for one in span.spans
    ]


def test_a_retried_task_has_a_reset_between_its_attempts():
    attempts = {"n0": [attempt(12, 20, 13, 19), attempt(25, 30)]}
    whole = execution_span(story({"": [node("start-node", 1, 2), node("n0", 10, 40)]}, attempts=attempts), -1)
    assert told(whole) == ["WORKFLOW_SETUP 0-2", "node_id 10-40", "WORKFLOW_TEARDOWN 40-100"]
    (_, n0, _) = whole.spans
    assert told(n0) == [
        "NODE_TRANSITION 2-10", "NODE_SETUP 10-12", "task_id 12-20", "NODE_RESET 20-25", "task_id 25-30",
        "NODE_TEARDOWN 30-40",
    ]  # fmt: skip
    assert told(n0.spans[2]) == ["TASK_SETUP 12-13", "TASK_RUNTIME 13-19", "TASK_TEARDOWN 19-20"]
    assert told(n0.spans[4]) == ["TASK_SETUP 25-30"]


def test_a_sub_workflow_holds_the_spans_of_its_nodes():
    inner = [node("n0-0-start-node", 11, 12, spec="start-node"), node("n0-0-n0", 15, 20, spec="n0")]
    nodes = {"": [node("start-node", 1, 2), node("n0", 10, 40, is_parent_node=True)], "n0": inner}
    n0 = execution_span(story(nodes), -1).spans[1]
    assert told(n0)[1:] == ["NODE_SETUP 10-12", "node_id 15-20", "NODE_TEARDOWN 20-40"]
    assert told(n0.spans[2]) == ["NODE_TRANSITION 12-15", "NODE_SETUP 15-20"]


def test_a_dynamic_node_has_its_task_first_and_then_its_nodes():
    inner = [node("n1-0-start-node", 21, 22, spec="start-node"), node("n1-0-dn0", 25, 30, spec="dn0")]
    nodes = {"": [node("n1", 10, 40, is_parent_node=True, is_dynamic=True)], "n1": inner}
    (_, n1) = execution_span(story(nodes, attempts={"n1": [attempt(12, 20)]}), -1).spans
    assert told(n1) == [
        "NODE_SETUP 10-12", "task_id 12-20", "NODE_RESET 20-22", "node_id 25-30", "NODE_TEARDOWN 30-40",
    ]  # fmt: skip


def test_a_child_execution_is_told_whole_and_a_gate_idles_and_an_array_says_nothing():
    nodes = {"": [node("l0", 10, 120), node("g0", 10, 30, 12, 28), node("a0", 10, 20, is_array=True)]}
    children = {"l0": story({})}
    (_, launched, gate, array) = execution_span(story(nodes, children=children), -1).spans
    assert told(launched) == ["workflow_id 0-100", "NODE_TEARDOWN 100-120"]
    assert told(launched.spans[0]) == ["WORKFLOW_SETUP 0-2"]
    assert told(gate) == ["NODE_SETUP 10-12", "NODE_IDLE 12-28", "NODE_TEARDOWN 28-30"]
    assert told(array) == []


def test_no_more_levels_are_told_than_asked_for():
    whole = story({"": [node("n0", 10, 40)]}, attempts={"n0": [attempt(12, 20)]})
    assert told(execution_span(whole, 0)) == []
    assert told(execution_span(whole, 1).spans[1]) == []
    assert told(execution_span(whole, 2).spans[1].spans[1]) == []
    assert told(execution_span(whole, 3).spans[1].spans[1]) == ["TASK_SETUP 12-20"]
