"""What the engine tells the world: one event per transition, in the words of the engine.

They are translated into flyteidl messages in one place only, `adapters/events.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias

from flyteidl.core import compiler_pb2, identifier_pb2

from lacewing.model.cache import CacheNote, CacheStatus
from lacewing.model.ids import RunKey
from lacewing.model.phases import NodePhase, RunPhase, TaskPhase
from lacewing.model.run import RunError
from lacewing.model.task import Link


class GrownWorkflow(NamedTuple):
    """The workflow that an attempt of a dynamic task made."""

    closure: compiler_pb2.CompiledWorkflowClosure
    spec_uri: str
    """Where the task wrote its core.DynamicJobSpec."""


@dataclass(frozen=True, slots=True)
class ElementState:
    """How one element of an array is doing."""

    index: int
    name: str
    attempt: int
    phase: TaskPhase
    cache: CacheStatus = CacheStatus.DISABLED
    links: tuple[Link, ...] = ()


class RunEvent(NamedTuple):
    """A run entered `phase`."""

    key: RunKey
    phase: RunPhase
    at: datetime
    output_uri: str = ""
    error: RunError | None = None
    succeeding: bool = False
    """The end node is done and the outputs are about to be there: SUCCEEDING on the wire."""


class NodeEvent(NamedTuple):
    """A node entered `phase`."""

    key: RunKey
    node_id: str
    spec_node_id: str
    phase: NodePhase
    at: datetime
    name: str = ""
    input_uri: str = ""
    output_uri: str = ""
    deck_uri: str = ""
    checkpoint_uri: str = ""
    error: RunError | None = None
    parent_id: str = ""
    retry_group: str = ""
    """The attempt of the parent, as text."""
    is_parent: bool = False
    is_array: bool = False
    is_dynamic: bool = False
    in_dynamic_chain: bool = False
    child: RunKey | None = None
    """The execution that a launch plan node started."""
    grown: GrownWorkflow | None = None
    """What a dynamic task made."""
    cache: CacheNote | None = None
    """What caching did for it."""


class TaskEvent(NamedTuple):
    """An attempt of a task entered `phase`, or its reason changed (`version` grows)."""

    key: RunKey
    node_id: str
    task_id: identifier_pb2.Identifier
    attempt: int
    phase: TaskPhase
    version: int
    at: datetime
    task_type: str = ""
    generated_name: str = ""
    plugin: str = ""
    reason: str = ""
    input_uri: str = ""
    output_uri: str = ""
    error: RunError | None = None
    links: tuple[Link, ...] = ()
    interruptible: bool = False
    elements: tuple[ElementState, ...] = ()
    """Of an array: those that changed, or all at the end."""
    reported_at: datetime | None = None


Event: TypeAlias = RunEvent | NodeEvent | TaskEvent
