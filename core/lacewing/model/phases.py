"""The phases of runs, nodes and task attempts. Data only; who may follow whom is decided in `engine`."""

from enum import IntEnum


class RunPhase(IntEnum):
    """Where a run is. The values are stored: never renumber them."""

    READY = 0
    RUNNING = 1
    FAILING = 2
    SUCCEEDED = 3
    FAILED = 4
    ABORTED = 5

    @property
    def terminal(self) -> bool:
        """No stimulus changes the run any more."""
        return self >= RunPhase.SUCCEEDED


class NodePhase(IntEnum):
    """Where a node is. The values are stored: never renumber them."""

    WAITING = 0
    """An upstream node is not done yet."""
    READY = 1
    """Its turn has come; it is looked up in the catalog, or in the run that this one recovers.

    Nobody was told of it yet.
    """
    QUEUED = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5
    TIMED_OUT = 6
    SKIPPED = 7
    ABORTED = 8
    RECOVERED = 9
    """Told of a node that was taken over from the run that this one recovers. It has SUCCEEDED here."""

    @property
    def terminal(self) -> bool:
        """No stimulus changes the node any more."""
        return self >= NodePhase.SUCCEEDED

    @property
    def active(self) -> bool:
        """A backend may hold something for it."""
        return NodePhase.QUEUED <= self <= NodePhase.RUNNING


class TaskPhase(IntEnum):
    """What a backend saw of one attempt."""

    WAITING_FOR_RESOURCES = 0
    QUEUED = 1
    INITIALIZING = 2
    RUNNING = 3
    SUCCEEDED = 4
    RETRYABLE = 5
    PERMANENT = 6
    ABORTED = 7

    @property
    def terminal(self) -> bool:
        """The attempt is over."""
        return self >= TaskPhase.SUCCEEDED


class ErrorKind(IntEnum):
    """Whose fault a failure is; the values are those of core.ExecutionError.ErrorKind."""

    UNKNOWN = 0
    USER = 1
    SYSTEM = 2
