"""The real time."""

from datetime import UTC, datetime


class SystemClock:
    """A Clock that asks the operating system."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)
