"""Where the demo's own log lines go. A line that cannot be written is lost: a full disk must stop no run."""

import contextlib
import sys
from typing import Any, TextIO


class _Forgiving:
    """A text file whose writes never raise."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """As the file does, or nothing."""
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """As the file does, or nothing."""
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()


def keep_journal() -> None:
    """From now on, what this process says is written if it can be."""
    sys.stdout, sys.stderr = _Forgiving(sys.stdout), _Forgiving(sys.stderr)
