"""What the engine tells the world: one event per transition, in the words of the engine.

They are translated into flyteidl messages in one place only, `adapters/events.py`.
"""

from datetime import datetime
from typing import NamedTuple, TypeAlias

from flyteidl.core import identifier_pb2

from lacewing.model.ids import RunKey
from lacewing.model.phases import NodePhase, RunPhase, TaskPhase
from lacewing.model.run import RunError
from lacewing.model.task import Link


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
    reported_at: datetime | None = None


Event: TypeAlias = RunEvent | NodeEvent | TaskEvent
