"""One port before two real servers, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lacewing.demo.splice import serve_spliced
from lacewing.errors import ConfigError


async def telling(path: Path, word: bytes) -> asyncio.Server:
    """A server that says its word, then what it hears."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word)
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_unix_server(answer, str(path))


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[tuple[Path, Path]]:
    paths = tmp_path / "grpc", tmp_path / "http"
    servers = [await telling(path, path.name.encode()) for path in paths]
    yield paths
    for server in servers:
        server.close()


async def test_the_first_bytes_say_who_answers(behind: tuple[Path, Path]):
    async with serve_spliced("127.0.0.1", 0, *behind) as front:
        port = front.sockets[0].getsockname()[1]
        for first, word in ((b"PRI * HTTP/2.0", b"grpc"), (b"GET / HTTP/1.1", b"http")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(first)
            assert await reader.readexactly(len(word + first)) == word + first
            writer.close()
            await writer.wait_closed()


async def test_nothing_is_left_when_it_ends_before_its_clients(behind: tuple[Path, Path]):
    async with serve_spliced("127.0.0.1", 0, *behind) as front:
        port = front.sockets[0].getsockname()[1]
        silent = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET")
        assert await reader.readexactly(7) == b"httpGET"
    assert not [task for task in asyncio.all_tasks() if "serve_spliced" in repr(task.get_coro())]
    assert await reader.read() == b""
    assert await silent[0].read() == b""
    for one in (writer, silent[1]):
        one.close()
        await one.wait_closed()


async def test_a_taken_port_is_named(behind: tuple[Path, Path]):
    async with serve_spliced("127.0.0.1", 0, *behind) as front:
        port = front.sockets[0].getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} of 127\.0\.0\.1 is taken"):
            async with serve_spliced("127.0.0.1", port, *behind):
                raise AssertionError("two listen on one port")
