"""One port for gRPC and HTTP: the first bytes of a connection tell which it is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from lacewing.errors import ConfigError

_CHUNK = 1 << 16
_FIRST_WORD_SECONDS = 20.0
_CLOSE_SECONDS = 1.0


@contextlib.asynccontextmanager
async def serve_spliced(
    host: str, port: int, grpc_socket: Path, http_socket: Path
) -> AsyncIterator[asyncio.Server]:
    """Listen, and pass each connection on, until the context ends. Raises ConfigError for a taken port."""
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        connections.add(own)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            first = await asyncio.wait_for(reader.readexactly(3), _FIRST_WORD_SECONDS)
            backend = grpc_socket if first == b"PRI" else http_socket
            await _splice(first, reader, writer, backend)
        await _close(writer)
        connections.discard(own)

    server = await _listen(accept, host, port)
    try:
        yield server
    finally:
        server.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections, timeout=_CLOSE_SECONDS)


async def _listen(
    accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str, port: int
) -> asyncio.Server:
    try:
        return await asyncio.start_server(accept, host, port, limit=_CHUNK)
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} is taken ({error.strerror}); stop what listens there, or choose --port"
        ) from error


async def _splice(
    first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, backend: Path
) -> None:
    inner_reader, inner_writer = await asyncio.open_unix_connection(
        sock=await _connect(backend), limit=_CHUNK
    )
    try:
        inner_writer.write(first)
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer), return_exceptions=True)
    finally:
        await _close(inner_writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _connect(backend: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.setblocking(False)
        # An address of its own, given by the kernel: it tells the server one client from another.
        found.bind("")
        await asyncio.get_running_loop().sock_connect(found, str(backend))
    except OSError:
        found.close()
        raise
    return found


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        # One that was reset has ended too: the other side must learn of it.
        with contextlib.suppress(OSError):
            writer.write_eof()
