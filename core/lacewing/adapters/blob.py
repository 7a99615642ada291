"""Small files on this machine. URIs are bare absolute paths: flytekit breaks on `file://` paths.

A write goes to a neighbour first and is renamed into place, so a reader sees all of it or nothing.
"""

import asyncio
import contextlib
import errno
import os
import uuid

from lacewing.errors import LacewingError, TaskError, TransientError

_INLINE = 1 << 20


class LocalBlobStore:
    """A BlobStore of plain files. Small ones are read and written in place, large ones on a thread."""

    async def read(self, uri: str) -> bytes:
        """The whole file; FileNotFoundError if it is not there."""
        path = local_path(uri)
        try:
            if os.stat(path).st_size < _INLINE:
                return _read(path)
            return await asyncio.to_thread(_read, path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refusal("read", uri, error) from error

    async def write(self, uri: str, data: bytes) -> None:
        """Store the file, and the folders above it."""
        if len(data) < _INLINE:
            _write(local_path(uri), data)
        else:
            await asyncio.to_thread(_write, local_path(uri), data)

    async def size(self, uri: str) -> int | None:
        """How many bytes, or None."""
        try:
            return os.stat(local_path(uri)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refusal("read", uri, error) from error


def local_path(uri: str) -> str:
    """The path that a bare or a `file://` URI names. Any other scheme, and a way back up, is a TaskError."""
    path = uri.removeprefix("file://")
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise TaskError(f"{uri!r} is no file of this machine; the store here holds absolute paths")
    return path


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _refusal(verb: str, path: object, error: OSError) -> LacewingError:
    """The error to raise: a name that no file can have never becomes one by waiting."""
    message = f"cannot {verb} {path}: {error.strerror}"
    if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ENOTDIR, errno.EISDIR):
        return TaskError(message, code="BadPath")
    return TransientError(message, delay=5.0)


def _write(path: str, data: bytes) -> None:
    folder = os.path.dirname(path)
    temporary = f"{folder}/.{uuid.uuid4().hex}"
    try:
        try:
            file = open(temporary, "wb")  # noqa: SIM115, the folder may have to be made first
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            file = open(temporary, "wb")  # noqa: SIM115
        with file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise _refusal("write", path, error) from error
