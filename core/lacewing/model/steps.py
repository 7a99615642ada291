"""What happened (stimuli) and what to do (instructions): the words between `advance` and the world."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from flyteidl.core import literals_pb2

from lacewing.model.cache import CacheNote
from lacewing.model.events import Event, GrownWorkflow
from lacewing.model.ids import RunKey
from lacewing.model.run import Run, RunError
from lacewing.model.task import Handle, Observation


@dataclass(frozen=True, slots=True)
class Begin:
    """The run was picked up for the first time and its inputs are written."""


@dataclass(frozen=True, slots=True)
class Sized:
    """The inputs of an array are resolved; it has so many elements."""

    node_id: str
    size: int
    attempt: int = 0
    element: int = -1


@dataclass(frozen=True, slots=True)
class Launched:
    """A backend took the attempt, of an array's element if `element` is its index."""

    node_id: str
    attempt: int
    handle: Handle
    element: int = -1
    look: bool = False
    """Nobody will tell of it: look at once."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """The attempt could not be launched now; try again after `delay` seconds."""

    node_id: str
    attempt: int
    delay: float
    reason: str
    element: int = -1


@dataclass(frozen=True, slots=True)
class Observed:
    """A backend answered what the attempt is doing; `error` is what the task itself wrote."""

    node_id: str
    attempt: int
    observation: Observation
    error: RunError | None = None
    dynamic: bool = False
    """The task wrote nodes to run instead of outputs."""
    deck: bool = False
    """The task left a deck."""
    element: int = -1


@dataclass(frozen=True, slots=True)
class Opened:
    """The inputs of a sub-workflow are where its nodes look for them."""

    node_id: str
    attempt: int = 0
    element: int = -1


@dataclass(frozen=True, slots=True)
class Decided:
    """A branch's conditions were looked at; `arm` is the id of the node to run."""

    node_id: str
    arm: str
    attempt: int = 0
    element: int = -1


@dataclass(frozen=True, slots=True)
class Grown:
    """A dynamic task's nodes are known and part of the graph."""

    node_id: str
    attempt: int
    workflow: GrownWorkflow
    uri: str
    """Where its compiled closure is."""
    element: int = -1


@dataclass(frozen=True, slots=True)
class Past:
    """What became of a node in the run that this one recovers."""

    done: bool = False
    """It succeeded, or was itself recovered."""
    inputs: literals_pb2.LiteralMap | None = None
    outputs: literals_pb2.LiteralMap | None = None
    deck_uri: str = ""
    child: RunKey | None = None
    left: str = ""
    """Where its checkpoint is, or the key of the child execution that did not succeed."""
    nodes_uri: str = ""
    """Where a dynamic task wrote nodes of which not all succeeded."""
    grown_attempt: int = -1
    """The attempt that wrote them."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """The node was looked for in the run that this one recovers; what was found there is in place here."""

    node_id: str
    past: Past | None
    attempt: int = 0
    element: int = -1


@dataclass(frozen=True, slots=True)
class Gathered:
    """The outputs of an end node, or of a branch's arm, are written where others read them."""

    node_id: str
    attempt: int = 0
    element: int = -1


@dataclass(frozen=True, slots=True)
class Found:
    """The catalog has the outputs, and they are where the attempt would have written them."""

    node_id: str
    attempt: int
    note: CacheNote
    element: int = -1


@dataclass(frozen=True, slots=True)
class Missed:
    """The outputs are to be computed; where a cache is serialised, by us."""

    node_id: str
    attempt: int
    element: int = -1


@dataclass(frozen=True, slots=True)
class Kept:
    """The catalog was given the outputs; the note says whether it took them."""

    node_id: str
    attempt: int
    note: CacheNote
    element: int = -1
    deck: bool = False
    """The task left a deck."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The moment asked for in `Timer` has come."""

    node_id: str
    attempt: int
    element: int = -1


@dataclass(frozen=True, slots=True)
class AbortRequested:
    """Somebody wants the run to end."""

    cause: str


@dataclass(frozen=True, slots=True)
class RunBroken:
    """The run cannot go on at all, as when its closure cannot be read."""

    error: RunError


CacheAnswer: TypeAlias = Found | Missed | Kept
NodeStimulus: TypeAlias = (
    Recalled
    | Opened
    | Decided
    | Grown
    | Sized
    | Launched
    | Delayed
    | Observed
    | Gathered
    | TimerFired
    | CacheAnswer
)
Stimulus: TypeAlias = Begin | AbortRequested | RunBroken | NodeStimulus


@dataclass(frozen=True, slots=True)
class Launch:
    """Resolve the node's inputs and hand the attempt to its backend, or that of one element of an array."""

    node_id: str
    attempt: int
    element: int = -1


@dataclass(frozen=True, slots=True)
class Lookup:
    """Resolve a cached task's inputs, and ask the catalog before anything is launched."""

    node_id: str
    attempt: int
    element: int = -1


@dataclass(frozen=True, slots=True)
class Keep:
    """Give the catalog what the attempt wrote."""

    node_id: str
    attempt: int
    element: int = -1


@dataclass(frozen=True, slots=True)
class Extend:
    """Say that we still compute what others wait for. Nothing is answered."""

    node_id: str
    attempt: int
    element: int = -1


@dataclass(frozen=True, slots=True)
class Abort:
    """End the attempt and remove what it holds."""

    node_id: str
    attempt: int
    handle: Handle
    element: int = -1


@dataclass(frozen=True, slots=True)
class Recall:
    """Look for the node in the run that this one recovers."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Open:
    """Resolve a sub-workflow's inputs and write them for its nodes."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Decide:
    """Resolve a branch's inputs and look which arm is to run."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Grow:
    """Compile what a dynamic task wrote, and make it part of the graph."""

    node_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Gather:
    """Write the outputs of an end node's workflow, or take over those of a branch's arm."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the world."""

    event: Event


Instruction: TypeAlias = (
    Recall | Launch | Lookup | Keep | Extend | Abort | Open | Decide | Grow | Gather | Emit
)


@dataclass(frozen=True, slots=True)
class Timer:
    """Come back with `TimerFired` at that time."""

    at: datetime
    node_id: str
    attempt: int
    element: int = -1


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one decision: the new state, what to do in this order, and when to come back."""

    run: Run
    instructions: tuple[Instruction, ...]
    timers: tuple[Timer, ...] = ()
