"""The engine's events as flyteidl messages: the one translation. Rules: propeller.md, sections 8.2 to 8.4."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from flyteidl.core import execution_pb2, identifier_pb2
from flyteidl.event import event_pb2

from lacewing.model.cache import DATASET_PREFIX, CacheNote
from lacewing.model.events import Event, NodeEvent, RunEvent, TaskEvent
from lacewing.model.ids import RunKey
from lacewing.model.phases import NodePhase, RunPhase, TaskPhase
from lacewing.model.run import RunError

Message: TypeAlias = (
    event_pb2.WorkflowExecutionEvent | event_pb2.NodeExecutionEvent | event_pb2.TaskExecutionEvent
)
PRODUCER = "propeller"
_RUN = {
    RunPhase.READY: "QUEUED",
    RunPhase.RUNNING: "RUNNING",
    RunPhase.FAILING: "FAILING",
    RunPhase.SUCCEEDED: "SUCCEEDED",
    RunPhase.FAILED: "FAILED",
    RunPhase.ABORTED: "ABORTED",
}
_TASK = {TaskPhase.RETRYABLE: "FAILED", TaskPhase.PERMANENT: "FAILED"}


def to_proto(event: Event) -> Message:
    """The event as clients and other servers know it."""
    if isinstance(event, RunEvent):
        return _run(event)
    return _node(event) if isinstance(event, NodeEvent) else _task(event)


def _run(event: RunEvent) -> Message:
    name = "SUCCEEDING" if event.succeeding else _RUN[event.phase]
    message = event_pb2.WorkflowExecutionEvent(
        producer_id=PRODUCER, phase=execution_pb2.WorkflowExecution.Phase.Value(name)
    )
    _key(message.execution_id, event.key)
    _at(message.occurred_at, event.at)
    _result(message, event.output_uri, event.error)
    return message


def _node(event: NodeEvent) -> Message:
    name = "UNDEFINED" if event.phase < NodePhase.QUEUED else event.phase.name
    if event.grown is not None:
        name = "DYNAMIC_RUNNING"
    message = event_pb2.NodeExecutionEvent(
        producer_id=PRODUCER,
        phase=execution_pb2.NodeExecution.Phase.Value(name),
        event_version=1,
        spec_node_id=event.spec_node_id,
        node_name=event.name,
        deck_uri=event.deck_uri,
        retry_group=event.retry_group,
        is_parent=event.is_parent or event.grown is not None,
        is_array=event.is_array,
        is_dynamic=event.is_dynamic,
        is_in_dynamic_chain=event.in_dynamic_chain,
    )
    if event.parent_id:
        message.parent_node_metadata.node_id = event.parent_id
    if event.child is not None:
        _key(message.workflow_node_metadata.execution_id, event.child)
    if event.input_uri:
        message.input_uri = event.input_uri
    message.id.node_id = event.node_id
    _key(message.id.execution_id, event.key)
    _at(message.occurred_at, event.at)
    _at(message.reported_at, event.at)
    if event.checkpoint_uri:
        message.task_node_metadata.checkpoint_uri = event.checkpoint_uri
    if event.grown is not None:
        dynamic = message.task_node_metadata.dynamic_workflow
        dynamic.id.CopyFrom(event.grown.closure.primary.template.id)
        dynamic.compiled_workflow.CopyFrom(event.grown.closure)
        dynamic.dynamic_job_spec_uri = event.grown.spec_uri
    if event.cache is not None:
        _cache(message, event.cache)
    _result(message, event.output_uri, event.error)
    return message


def _cache(message: event_pb2.NodeExecutionEvent, note: CacheNote) -> None:
    told, key = message.task_node_metadata, note.key
    told.cache_status = int(note.status)
    dataset = told.catalog_key.dataset_id
    dataset.resource_type = identifier_pb2.DATASET
    dataset.project, dataset.domain, dataset.name, dataset.version = key[:4]
    told.catalog_key.artifact_tag.name = key.tag
    told.catalog_key.artifact_tag.artifact_id = note.artifact_id
    if note.source is None:
        return
    source = told.catalog_key.source_task_execution
    source.retry_attempt = note.source.attempt
    source.node_execution_id.node_id = note.source.node_id
    _key(source.node_execution_id.execution_id, note.source.run)
    task = source.task_id
    task.resource_type = identifier_pb2.TASK
    task.project, task.domain, task.version = key.project, key.domain, note.source.task_version
    task.name = key.name.removeprefix(DATASET_PREFIX)


def _task(event: TaskEvent) -> Message:
    name = _TASK.get(event.phase, event.phase.name)
    message = event_pb2.TaskExecutionEvent(
        producer_id=PRODUCER,
        phase=execution_pb2.TaskExecution.Phase.Value(name),
        phase_version=event.version,
        task_id=event.task_id,
        retry_attempt=event.attempt,
        task_type=event.task_type,
        event_version=1,
        input_uri=event.input_uri,
    )
    message.parent_node_execution_id.node_id = event.node_id
    _key(message.parent_node_execution_id.execution_id, event.key)
    _at(message.occurred_at, event.at)
    _at(message.reported_at, event.reported_at or event.at)
    message.metadata.generated_name = event.generated_name
    for one in event.elements:
        # Names tell the element, since Flyte's console shows the links of all in one list.
        resource = message.metadata.external_resources.add(
            external_id=one.name,
            index=one.index,
            retry_attempt=one.attempt,
            phase=execution_pb2.TaskExecution.Phase.Value(_TASK.get(one.phase, one.phase.name)),
            cache_status=int(one.cache),
        )
        for link in one.links:
            resource.logs.add(uri=link.uri, name=f"{link.name}-{one.index}")
    message.metadata.plugin_identifier = event.plugin
    if event.interruptible:
        message.metadata.instance_class = event_pb2.TaskExecutionMetadata.INTERRUPTIBLE
    if event.reason:
        reason = message.reasons.add(reason=event.reason)
        _at(reason.occurred_at, event.at)
    for link in event.links:
        message.logs.add(uri=link.uri, name=link.name)
    _result(message, event.output_uri, event.error)
    return message


def _key(target: Any, key: RunKey) -> None:
    target.project, target.domain, target.name = key.project, key.domain, key.name


def _at(target: Any, at: datetime) -> None:
    target.FromDatetime(at.astimezone(UTC))


def _result(message: Any, output_uri: str, error: RunError | None) -> None:
    if output_uri:
        message.output_uri = output_uri
    if error is not None:
        message.error.code, message.error.message = error.code, error.message
        message.error.kind = int(error.kind)
        if error.at is not None:
            _at(message.error.timestamp, error.at)


class News:
    """Tells whoever asked when something of a run was written. Lives in one process, keeps nothing."""

    def __init__(self) -> None:
        self._listeners: dict[RunKey, list[Callable[[bool], None]]] = {}

    def subscribe(self, key: RunKey, listener: Callable[[bool], None]) -> None:
        """Have `listener(ended)` called after each write about the run, once however often it came."""
        listeners = self._listeners.setdefault(key, [])
        if listener not in listeners:
            listeners.append(listener)

    def unsubscribe(self, key: RunKey, listener: Callable[[bool], None]) -> None:
        """Stop calling it."""
        left = [one for one in self._listeners.pop(key, ()) if one != listener]
        if left:
            self._listeners[key] = left

    def tell(self, key: RunKey, *, ended: bool = False) -> None:
        """Something of the run was written; `ended` if that was its end."""
        for listener in tuple(self._listeners.get(key, ())):
            listener(ended)


class TableEvents:
    """An EventSink that hands a batch of messages to whoever writes them down, and then tells the news."""

    def __init__(
        self, ingest: Callable[[Sequence[Message]], Awaitable[None]], news: News | None = None
    ) -> None:
        self._ingest, self._news = ingest, news or News()

    async def send(self, events: Sequence[Event]) -> None:
        """Record the events, in order."""
        await self._ingest([to_proto(event) for event in events])
        ended = {event.key for event in events if isinstance(event, RunEvent) and event.phase.terminal}
        for key in {event.key for event in events}:
            self._news.tell(key, ended=key in ended)
