"""What is left of the machine, and what a pod asks of it. Pure."""

from dataclasses import dataclass, field

from lacewing.adapters.local_pod import Need


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


def _short(need: Need, have: Need) -> str:
    if need.slots > have.slots:
        return "slots"
    if need.cpus > have.cpus + 1e-9:
        return "cpu"
    return "memory" if need.memory_bytes > have.memory_bytes else ""
