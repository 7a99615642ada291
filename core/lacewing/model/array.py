"""The state of an array node: one character for each element, and more only for those that need it."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import immutables

from lacewing.model.phases import TaskPhase
from lacewing.model.task import Handle


class ElementPhase(StrEnum):
    """Where an element is. The letters are stored: never change them."""

    WAITING = "."
    ACTIVE = "r"
    SUCCEEDED = "s"
    FAILED = "f"
    ABORTED = "a"
    HIT = "h"
    """Succeeded: its outputs were in the cache."""
    KEPT = "k"
    """Succeeded: its outputs are in the cache now."""
    UNKEPT = "u"
    """Succeeded: its outputs could not be put into the cache."""


DONE = frozenset((ElementPhase.SUCCEEDED, ElementPhase.HIT, ElementPhase.KEPT, ElementPhase.UNKEPT))
"""The phases of elements that have outputs."""


class Element(NamedTuple):
    """What is known of an element that is at work, or took more than one attempt."""

    attempt: int = 0
    system_failures: int = 0
    handle: Handle | None = None
    attempt_at: datetime | None = None
    task_phase: TaskPhase = TaskPhase.QUEUED
    failures: tuple[str, ...] = ()
    """What each attempt before this one died of: codes, oldest first."""


class ArrayRun(NamedTuple):
    """An array at work. A change copies one short string, so that 5,000 elements cost little more than 10."""

    phases: str = ""
    """An ElementPhase for each element."""
    elements: immutables.Map[int, Element] = immutables.Map()
    next_index: int = 0
    """The first element that was never launched."""
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    errors: tuple[str, ...] = ()
    """What the first few failed elements said."""
    untold: tuple[int, ...] = ()
    """The elements that changed since the last event."""
    links: tuple[tuple[int, str, str], ...] = ()
    """What their links are: element, name, address."""

    @property
    def size(self) -> int:
        """How many elements there are."""
        return len(self.phases)

    def element(self, index: int) -> Element:
        """What is known of an element."""
        return self.elements.get(index, Element())

    def active(self) -> list[int]:
        """The elements at work, in order."""
        return [at for at, phase in enumerate(self.phases) if phase == ElementPhase.ACTIVE]

    def enter(self, index: int, phase: ElementPhase) -> "ArrayRun":
        """This state with the element in `phase`; the counts follow."""
        before = self.phases[index]
        phases = f"{self.phases[:index]}{phase.value}{self.phases[index + 1 :]}"
        return self._replace(
            phases=phases,
            running=self.running + (phase == ElementPhase.ACTIVE) - (before == ElementPhase.ACTIVE),
            succeeded=self.succeeded + (phase in DONE),
            failed=self.failed + (phase == ElementPhase.FAILED),
        )
