"""What happened (stimuli) and what to do (instructions): the words between `advance` and the world."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from lacewing.model.events import Event
from lacewing.model.run import Run, RunError
from lacewing.model.task import Handle, Observation


@dataclass(frozen=True, slots=True)
class Begin:
    """The run was picked up for the first time and its inputs are written."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A backend took the attempt."""

    node_id: str
    attempt: int
    handle: Handle


@dataclass(frozen=True, slots=True)
class Delayed:
    """The attempt could not be launched now; try again after `delay` seconds."""

    node_id: str
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """A backend answered what the attempt is doing; `error` is what the task itself wrote."""

    node_id: str
    attempt: int
    observation: Observation
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """The end node's inputs, the run's outputs, are written."""

    node_id: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The moment asked for in `Timer` has come."""

    node_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class AbortRequested:
    """Somebody wants the run to end."""

    cause: str


@dataclass(frozen=True, slots=True)
class RunBroken:
    """The run cannot go on at all, as when its closure cannot be read."""

    error: RunError


Stimulus: TypeAlias = (
    Begin | Launched | Delayed | Observed | Gathered | TimerFired | AbortRequested | RunBroken
)


@dataclass(frozen=True, slots=True)
class Launch:
    """Resolve the node's inputs and hand the attempt to its backend."""

    node_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Abort:
    """End the attempt and remove what it holds."""

    node_id: str
    attempt: int
    handle: Handle


@dataclass(frozen=True, slots=True)
class Gather:
    """Resolve the end node's bindings and write the run's outputs."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the world."""

    event: Event


Instruction: TypeAlias = Launch | Abort | Gather | Emit


@dataclass(frozen=True, slots=True)
class Timer:
    """Come back with `TimerFired` at that time."""

    at: datetime
    node_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one decision: the new state, what to do in this order, and when to come back."""

    run: Run
    instructions: tuple[Instruction, ...]
    timers: tuple[Timer, ...] = ()
