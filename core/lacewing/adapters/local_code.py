"""Code that tasks of this machine bring along from an object store: fetched once, for all that run it.

What cannot be fetched is left to the task, which then says itself what it lacks.
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import structlog

from lacewing.adapters.blob import LocalBlobStore
from lacewing.errors import LacewingError
from lacewing.ports import BlobStore

log = structlog.get_logger(__name__)
_COMMAND, _OPTION = "pyflyte-fast-execute", "--additional-distribution"


class LocalCode:
    """Files of distributions in `folder`, by their URIs."""

    def __init__(self, folder: Path, blobs: BlobStore | None) -> None:
        self._folder, self._blobs, self._files = folder, blobs, LocalBlobStore()
        self._fetching: dict[Path, asyncio.Task[None]] = {}

    async def fetch(self, command: Sequence[str]) -> str:
        """The path of the distribution that a command names, if it is in an object store."""
        uri = distribution(command)
        if self._blobs is None or "://" not in uri or uri.startswith("file://"):
            return ""
        path = self._folder / f"{hashlib.sha256(uri.encode()).hexdigest()[:24]}.tar.gz"
        try:
            if path.exists():
                os.utime(path)
            else:
                await self._once(self._blobs, uri, path)
        except (OSError, LacewingError) as error:
            log.warning("the code of a task cannot be fetched beforehand", uri=uri, reason=str(error))
            return ""
        return str(path)

    async def _once(self, blobs: BlobStore, uri: str, path: Path) -> None:
        if path not in self._fetching:
            self._fetching[path] = asyncio.ensure_future(self._fetch(blobs, uri, path))
        await asyncio.shield(self._fetching[path])

    async def _fetch(self, blobs: BlobStore, uri: str, path: Path) -> None:
        try:
            await self._files.write(str(path), await blobs.read(uri))
        finally:
            del self._fetching[path]


def distribution(command: Sequence[str]) -> str:
    """The distribution that a command of flytekit's unpacks before it runs, or nothing."""
    if not command or command[0] != _COMMAND or _OPTION not in command[:-1]:
        return ""
    return command[list(command).index(_OPTION) + 1]
