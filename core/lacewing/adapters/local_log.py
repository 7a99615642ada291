"""The logs of this machine's pods: files that outlive their pods.

A log is asked for by the names of its pod, never by a path, and nothing outside of the pods' folder is read.
"""

import asyncio
import re
from pathlib import Path

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


class LocalLogs:
    """Logs under the folder `root` of a LocalCluster."""

    def __init__(self, root: Path) -> None:
        self._pods = root / "pods"

    def path(self, namespace: str, name: str) -> Path | None:
        """Where the log of a pod is, or None if these are no names of a pod or it has none."""
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
            return None
        path = self._pods / namespace / name / "log.txt"
        return path if path.is_file() else None

    async def size(self, namespace: str, name: str) -> int | None:
        """How many bytes the log has by now, or None if there is no log."""
        path = self.path(namespace, name)
        return path.stat().st_size if path else None

    async def read(self, namespace: str, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`; fewer if the log ends earlier."""
        path = self.path(namespace, name)
        return await asyncio.to_thread(_read, path, start, stop) if path else b""


def _read(path: Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(max(0, stop - start))
