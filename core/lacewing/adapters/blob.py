"""Small files on this machine. URIs are bare absolute paths: flytekit breaks on `file://` paths.

A write goes to a neighbour first and is renamed into place, so a reader sees all of it or nothing.
"""

import asyncio
import contextlib
import os
import uuid
from pathlib import Path

from lacewing.errors import TaskError, TransientError

_INLINE = 1 << 20


class LocalBlobStore:
    """A BlobStore of plain files. Small ones are read and written in place, large ones on a thread."""

    async def read(self, uri: str) -> bytes:
        """The whole file; FileNotFoundError if it is not there."""
        path = local_path(uri)
        try:
            if path.stat().st_size < _INLINE:
                return path.read_bytes()
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise TransientError(f"cannot read {uri}: {error.strerror}") from error

    async def write(self, uri: str, data: bytes) -> None:
        """Store the file, and the folders above it."""
        if len(data) < _INLINE:
            _write(local_path(uri), data)
        else:
            await asyncio.to_thread(_write, local_path(uri), data)

    async def size(self, uri: str) -> int | None:
        """How many bytes, or None."""
        try:
            return local_path(uri).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None


def local_path(uri: str) -> Path:
    """The path that a bare or a `file://` URI names. Any other scheme is a TaskError."""
    path = uri.removeprefix("file://")
    if not path.startswith("/"):
        raise TaskError(f"{uri!r} is no file of this machine; the store here holds absolute paths")
    return Path(path)


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise TransientError(f"cannot write {path}: {error.strerror}", delay=5.0) from error
