"""Where the time of an execution went: spans of the workflow, its nodes and their attempts. Pure.

Rules: contract "admin", section 8.3. What is between two spans of a level has a name of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyteidl.admin import execution_pb2, task_execution_pb2
from flyteidl.admin.node_execution_pb2 import NodeExecution
from flyteidl.core import compiler_pb2, workflow_pb2
from flyteidl.core.metrics_pb2 import Span
from google.protobuf.timestamp_pb2 import Timestamp

from lacewing.model.ids import END_NODE, START_NODE

_TASK = ("TASK_SETUP", "TASK_RUNTIME", "TASK_TEARDOWN")
_GATE = ("NODE_SETUP", "NODE_IDLE", "NODE_TEARDOWN")


@dataclass(frozen=True)
class Story:
    """An execution with its nodes and attempts, oldest first, and the executions that its nodes started."""

    execution: execution_pb2.Execution
    closure: compiler_pb2.CompiledWorkflowClosure
    nodes: Mapping[str, Sequence[NodeExecution]]
    """By the id of their parent node; the top level is under the empty id."""
    attempts: Mapping[str, Sequence[task_execution_pb2.TaskExecution]]
    """By the id of their node."""
    children: Mapping[str, "Story"] = field(default_factory=dict)
    """By the id of the node that started them."""


@dataclass(frozen=True)
class _Part:
    """Something that a node did: from, until, and its spans."""

    begin: Timestamp
    end: Timestamp
    spans: Sequence[Span]


def execution_span(story: Story, depth: int) -> Span:
    """The span of an execution, with `depth` levels below it; negative is all of them."""
    closure = story.execution.closure
    span = Span(start_time=closure.created_at, end_time=closure.updated_at, workflow_id=story.execution.id)
    if not depth:
        return span
    workflow = story.closure.primary
    level = _by_spec_id(story.nodes.get("", ()))
    start = level.get(START_NODE)
    setup_end = closure.updated_at if start is None else start.closure.updated_at
    span.spans.extend(_operation("WORKFLOW_SETUP", closure.created_at, setup_end))
    span.spans.extend(_level(story, level, workflow, depth - 1))
    last = _latest(level, workflow, END_NODE)
    if last is not None:
        span.spans.extend(_operation("WORKFLOW_TEARDOWN", last.closure.updated_at, closure.updated_at))
    return span


def _level(
    story: Story,
    level: Mapping[str, NodeExecution],
    workflow: compiler_pb2.CompiledWorkflow | None,
    depth: int,
) -> list[Span]:
    templates = {} if workflow is None else {node.id: node for node in workflow.template.nodes}
    found = []
    for spec_id, node in level.items():
        if spec_id in (START_NODE, END_NODE):
            continue
        closure = node.closure
        span = Span(start_time=closure.created_at, end_time=closure.updated_at, node_id=node.id)
        before = _latest(level, workflow, spec_id)
        if before is not None:
            span.spans.extend(_operation("NODE_TRANSITION", before.closure.updated_at, closure.created_at))
        if depth:
            span.spans.extend(_inside(story, node, templates.get(spec_id), depth - 1))
        found.append(span)
    return found


def _inside(story: Story, node: NodeExecution, template: workflow_pb2.Node | None, depth: int) -> list[Span]:
    if node.metadata.is_array:
        return []
    if template is not None and template.WhichOneof("target") == "gate_node":
        return _stages(node.closure, _GATE)
    parts = [_attempt(one, depth) for one in story.attempts.get(node.id.node_id, ())]
    parts += _made(story, node, template, depth)
    if not parts:
        return _operation("NODE_SETUP", node.closure.created_at, node.closure.updated_at)
    found = _operation("NODE_SETUP", node.closure.created_at, parts[0].begin)
    for number, part in enumerate(parts):
        if number:
            found += _operation("NODE_RESET", parts[number - 1].end, part.begin)
        found += part.spans
    return found + _operation("NODE_TEARDOWN", parts[-1].end, node.closure.updated_at)


def _attempt(attempt: task_execution_pb2.TaskExecution, depth: int) -> _Part:
    closure = attempt.closure
    span = Span(start_time=closure.created_at, end_time=closure.updated_at, task_id=attempt.id)
    if depth:
        span.spans.extend(_stages(closure, _TASK))
    return _Part(closure.created_at, closure.updated_at, [span])


def _made(story: Story, node: NodeExecution, template: workflow_pb2.Node | None, depth: int) -> list[_Part]:
    """The nodes inside a node, or the execution that it started."""
    child = story.children.get(node.id.node_id)
    if child is not None:
        closure = child.execution.closure
        return [_Part(closure.created_at, closure.updated_at, [execution_span(child, depth)])]
    level = _by_spec_id(story.nodes.get(node.id.node_id, ()))
    if not level:
        return []
    workflow = _inner_workflow(story, template)
    start = level.get(START_NODE)
    begin = next(iter(level.values())).closure.created_at if start is None else start.closure.updated_at
    last = _latest(level, workflow, END_NODE) or max(level.values(), key=_updated)
    return [_Part(begin, last.closure.updated_at, _level(story, level, workflow, depth))]


def _inner_workflow(story: Story, template: workflow_pb2.Node | None) -> compiler_pb2.CompiledWorkflow | None:
    if template is None or template.WhichOneof("target") != "workflow_node":
        return None
    wanted = template.workflow_node.sub_workflow_ref
    return next((one for one in story.closure.sub_workflows if one.template.id == wanted), None)


def _by_spec_id(nodes: Sequence[NodeExecution]) -> dict[str, NodeExecution]:
    return {node.metadata.spec_node_id or node.id.node_id: node for node in nodes}


def _latest(
    level: Mapping[str, NodeExecution], workflow: compiler_pb2.CompiledWorkflow | None, node_id: str
) -> NodeExecution | None:
    """Of the nodes that this one waits for, the one that ended last."""
    upstream = workflow.connections.upstream if workflow is not None else {}
    before = [level[one] for one in upstream[node_id].ids if one in level] if node_id in upstream else []
    return max(before, key=_updated, default=None)


def _updated(node: NodeExecution) -> tuple[int, int]:
    return _order(node.closure.updated_at)


def _order(at: Timestamp) -> tuple[int, int]:
    return at.seconds, at.nanos


def _stages(closure: Any, names: tuple[str, str, str]) -> list[Span]:
    """What happened before the start, while it ran, and after."""
    setup, runtime, teardown = names
    if not closure.HasField("started_at"):
        return _operation(setup, closure.created_at, closure.updated_at)
    found = _operation(setup, closure.created_at, closure.started_at)
    if not closure.HasField("duration"):
        return found + _operation(runtime, closure.started_at, closure.updated_at)
    nanos = closure.started_at.ToNanoseconds() + closure.duration.ToNanoseconds()
    end = Timestamp(seconds=nanos // 10**9, nanos=nanos % 10**9)
    found += _operation(runtime, closure.started_at, end)
    return found + _operation(teardown, end, closure.updated_at)


def _operation(name: str, begin: Timestamp, end: Timestamp) -> list[Span]:
    """A span without an entity of its own; none where it would end before it began."""
    if _order(end) < _order(begin):
        return []
    return [Span(start_time=begin, end_time=end, operation_id=name)]
