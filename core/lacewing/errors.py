"""Every error of Lacewing, each with a code that a user may see.

    LacewingError
    ├── TaskError            the user's fault, permanent: the node fails
    ├── TransientError       try again after `delay` seconds: requeued with back-off
    ├── ConflictError        someone else saved first: this pass is thrown away and the key requeued
    ├── ConfigError          the configuration is wrong: the process exits at start
    └── RequestError         a client's request cannot be answered
        ├── InvalidArgument      FailedPrecondition
        ├── NotFound             ResourceExhausted
        ├── AlreadyExists        Unimplemented
        └── Unavailable

Anything else that comes out of a plugin is a bug of that plugin and counts as a system retry. Anything
else that comes out of a service is answered with INTERNAL, never with UNKNOWN: flytekit answers that with a
login.
"""

from collections.abc import Sequence

from google.protobuf.message import Message


class LacewingError(Exception):
    """The root. `code` is stable and short, `message` speaks to the reader."""

    code = "Internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class TaskError(LacewingError):
    """The task as written cannot run. Trying again would end the same."""

    code = "BadTaskSpecification"


class TransientError(LacewingError):
    """The world is not ready. `delay` is how many seconds to wait before the next try."""

    code = "Transient"

    def __init__(self, message: str, *, delay: float = 1.0, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.delay = delay


class ConflictError(LacewingError):
    """A save met a newer version. Drop what was decided and start from what is stored."""

    code = "Conflict"


class ConfigError(LacewingError):
    """The configuration cannot be used. Raised at start only."""

    code = "BadConfiguration"


class RequestError(LacewingError):
    """A request that cannot be answered. `details` travel in google.rpc.Status."""

    code = "INTERNAL"

    def __init__(self, message: str, *, details: Sequence[Message] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class InvalidArgument(RequestError):
    """The request itself is wrong."""

    code = "INVALID_ARGUMENT"


class NotFound(RequestError):
    """What the request names does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(RequestError):
    """What the request would make is there already."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(RequestError):
    """The thing exists but is in no state for this."""

    code = "FAILED_PRECONDITION"


class ResourceExhausted(RequestError):
    """Too large, or too many."""

    code = "RESOURCE_EXHAUSTED"


class Unimplemented(RequestError):
    """This server does not offer the call."""

    code = "UNIMPLEMENTED"


class Unavailable(RequestError):
    """Not now; the same call may succeed later."""

    code = "UNAVAILABLE"
