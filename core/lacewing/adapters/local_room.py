"""What is left of the machine, and what a pod asks of it. Pure."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from lacewing.adapters.local_pod import Need


class Needing(Protocol):
    """Who waits for room."""

    need: Need


P = TypeVar("P", bound=Needing)


@dataclass(slots=True)
class Room:
    """The free slots, cores and bytes. Made with all that there is."""

    slots: int
    cpus: float
    memory_bytes: float
    total: Need = field(init=False)

    def __post_init__(self) -> None:
        self.total = Need(self.slots, self.cpus, self.memory_bytes)

    def lacks(self, need: Need) -> str:
        """What there is too little of now, or nothing."""
        return _short(need, Need(self.slots, self.cpus, self.memory_bytes))

    def never_has(self, need: Need) -> str:
        """What there would be too little of if nothing else ran, or nothing."""
        return _short(need, self.total)

    def take(self, need: Need, sign: int = 1) -> None:
        """Hold what a pod needs, or give it back."""
        self.slots -= sign * need.slots
        self.cpus -= sign * need.cpus
        self.memory_bytes -= sign * need.memory_bytes


class Line(Generic[P]):
    """Who waits for room, in the order of arrival. Nobody overtakes one who waits for the same things."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._waiting: deque[P] = deque()
        self._kinds: Counter[frozenset[str]] = Counter()

    def add(self, one: P) -> None:
        """Wait at the end."""
        self._waiting.append(one)
        self._kinds[_uses(one.need)] += 1

    def remove(self, one: P) -> None:
        """Wait no longer; harmless for one who does not."""
        if one in self._waiting:
            self._waiting.remove(one)
            self._left(one)

    def next(self) -> Iterator[P]:
        """Those who fit now, each with its room taken. Looks no further than it must."""
        blocked: set[str] = set()
        passed: list[P] = []
        while self._waiting and not all(kind & blocked for kind in self._kinds):
            one = self._waiting.popleft()
            uses = _uses(one.need)
            if uses & blocked or self._room.lacks(one.need):
                blocked |= uses
                passed.append(one)
            else:
                self._room.take(one.need)
                self._left(one)
                yield one
        self._waiting.extendleft(reversed(passed))

    def _left(self, one: P) -> None:
        kind = _uses(one.need)
        self._kinds[kind] -= 1
        if not self._kinds[kind]:
            del self._kinds[kind]


def _uses(need: Need) -> frozenset[str]:
    used = {"slots": need.slots, "cpu": need.cpus, "memory": need.memory_bytes}
    return frozenset(name for name, amount in used.items() if amount)


def _short(need: Need, have: Need) -> str:
    if need.slots > have.slots:
        return "slots"
    if need.cpus > have.cpus + 1e-9:
        return "cpu"
    return "memory" if need.memory_bytes > have.memory_bytes else ""
