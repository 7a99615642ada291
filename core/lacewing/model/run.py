"""All the persisted state of a run. Frozen data: it changes only through `engine.advance`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import immutables

from lacewing.model.array import ArrayRun
from lacewing.model.graph import Node
from lacewing.model.ids import RunKey
from lacewing.model.phases import ErrorKind, NodePhase, RunPhase, TaskPhase
from lacewing.model.task import Handle


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a node or a run failed, in the words that clients show."""

    code: str
    message: str
    kind: ErrorKind = ErrorKind.USER
    at: datetime | None = None
    """When the task wrote it, if it said so."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What was asked for: written once, when the execution is created, and never changed."""

    key: RunKey
    closure_uri: str
    """The compiled workflow, a serialized core.CompiledWorkflowClosure."""
    inputs_uri: str
    """The merged inputs, a serialized core.LiteralMap."""
    output_root: str
    """The metadata prefix of this run, as in propeller.md, section 3.1; no slash at its end."""
    raw_output_root: str
    namespace: str
    max_parallelism: int = 0
    """Task nodes that may be active at once; 0 is no limit."""
    element_parallelism: int = 0
    """Elements of an array that may be at work at once where it sets no limit itself; 0 is no limit."""
    interruptible: bool | None = None
    overwrite_cache: bool = False
    envs: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    recovers: str = ""
    """The key of the run that this one recovers."""
    workflow: str = ""
    """The workflow's name."""
    default_resources: Mapping[str, str] = field(default_factory=dict)
    resource_limits: Mapping[str, str] = field(default_factory=dict)


class NodeRun(NamedTuple):
    """One node of a run. A node that is not in `Run.nodes` still waits for its upstreams.

    It and the events are named tuples: they are made and changed several times for each node, and a frozen
    dataclass costs five times as much to change.
    """

    phase: NodePhase = NodePhase.WAITING
    attempt: int = 0
    system_failures: int = 0
    handle: Handle | None = None
    task_phase: TaskPhase = TaskPhase.QUEUED
    phase_version: int = 0
    reason: str = ""
    queued_at: datetime | None = None
    started_at: datetime | None = None
    """When this attempt began to run."""
    attempt_at: datetime | None = None
    """When this attempt was launched."""
    error: RunError | None = None
    array: ArrayRun | None = None
    failures: tuple[str, ...] = ()
    """What each attempt before this one died of: codes, oldest first."""
    past: str = ""
    """What is left of the node in the run that this one recovers: a checkpoint, a child execution."""


class Run(NamedTuple):
    """One execution. Maps are persistent: a change costs what changed, not the size of the graph."""

    key: RunKey
    phase: RunPhase = RunPhase.READY
    nodes: immutables.Map[str, NodeRun] = immutables.Map()
    open_upstreams: immutables.Map[str, int] = immutables.Map()
    """How many upstreams of a node are still open; absent means all of them."""
    ready: immutables.Map[int, str] = immutables.Map()
    """The nodes that wait for a free place, by the number at which they came."""
    ready_head: int = 0
    ready_tail: int = 0
    active: immutables.Map[int, str] = immutables.Map()
    """The nodes that something is under way for, by their place in the graph."""
    busy: int = 0
    """How many of the active nodes take a place of the run's parallelism."""
    error: RunError | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    abort_cause: str = ""
    touched: frozenset[str] = frozenset()
    """The nodes that changed since the last save: what a store has to write."""


SYSTEM_RETRIES = 3
"""How many attempts at a node the system pays for, beside those that the user asked for."""
GROWN = "grown"
"""Key of a dynamic task's handle once its nodes run: where their compiled workflow is."""
CHILD = "execution"
"""Key of a launch plan node's handle: the key of the execution that it started, as text."""
ARM = "arm"
"""Key of a branch's handle while the outputs of its arm are taken over: the arm's id."""


def engaged(node: Node, state: NodeRun) -> bool:
    """Whether something is under way for the node itself: a backend's work, or an effect to be repeated.

    A holder whose nodes run is not: its nodes are.
    """
    if state.phase is NodePhase.QUEUED or state.phase is NodePhase.READY:
        return True
    if state.phase is not NodePhase.RUNNING:
        return False
    if node.kind.holder:
        return state.handle is not None
    return state.handle is None or GROWN not in state.handle


def succeeded(state: NodeRun | None) -> bool:
    """Whether the node is done, and well."""
    return state is not None and state.phase is NodePhase.SUCCEEDED
