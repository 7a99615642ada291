"""Metadata in a SQL database: one writer that groups commits, readers beside it.

SQLAlchemy's Core is called synchronously on threads of our own: its asyncio layer is what limits SQLite, not
the store. Writers hand a function to `Database.write`; all that wait together share one transaction, each in
a savepoint of its own, so that one failure undoes only itself.
"""

import asyncio
import concurrent.futures
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.exc import OperationalError

from lacewing.errors import ConfigError, TransientError

T = TypeVar("T")
metadata = MetaData()
_GROUP = 256
_WAL_TRIES, _WAL_SECONDS = 100, 0.05


def open_engine(url: str) -> Engine:
    """A SQLAlchemy engine with SQLite in WAL mode and explicit transactions."""
    if not url.startswith("sqlite:///"):
        raise ConfigError(f"store.url {url!r} is not supported; use sqlite:///PATH")
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        _use_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "cache_size=-16000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql("BEGIN" if options.get("reader") else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: Any) -> None:
    """Have a write-ahead log. SQLite does not wait for others while it changes to one, so we do."""
    for _ in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            time.sleep(_WAL_SECONDS)
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")


def _not_now(error: OperationalError) -> TransientError:
    """A full disk, a lock that is held for long, a file that may not be written: none need stay so."""
    first, at = error, error.__context__
    while at is not None:
        first, at = at if isinstance(at, OperationalError) else first, at.__context__
    return TransientError(f"the database cannot be used: {first.orig}", delay=2.0)


class _Write:
    """One function that waits for the next commit, and the caller that waits for it."""

    def __init__(self, function: Callable[[Connection], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.function, self.loop = function, loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, connection: Connection) -> None:
        """Do it in a savepoint; what it raises is kept for the caller."""
        try:
            with connection.begin_nested():
                self.result = self.function(connection)
        except OperationalError:
            # SQLite may have undone the whole transaction with it: nobody's writes are sure any more.
            raise
        except Exception as error:
            self.error = error

    def settle(self) -> None:
        """Answer the caller in its own loop."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            error = self.error
            self.future.set_exception(_not_now(error) if isinstance(error, OperationalError) else error)
        else:
            self.future.set_result(self.result)


class Database:
    """A database that is read and written by plain functions of a connection.

    `write(f)` runs `f(connection)` inside the next commit and answers its result once it is durable.
    `read(f)` runs it on a reader thread. What `f` raises reaches the caller; its own writes are undone.
    """

    def __init__(self, engine: Engine, readers: int = 2) -> None:
        self.engine = engine
        self._readers = concurrent.futures.ThreadPoolExecutor(readers, "lacewing-read")
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_loop, name="lacewing-write", daemon=True)
        self._writer.start()

    async def read(self, function: Callable[[Connection], T]) -> T:
        """The result of `function` in a read transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, function)

    def _read(self, function: Callable[[Connection], T]) -> T:
        try:
            with self.engine.connect().execution_options(reader=True) as connection:
                return function(connection)
        except OperationalError as error:
            raise _not_now(error) from error

    async def write(self, function: Callable[[Connection], T]) -> T:
        """The result of `function`, once its writes are committed."""
        write = _Write(function, asyncio.get_running_loop())
        self._writes.put(write)
        result: T = await write.future
        return result

    def close(self) -> None:
        """Finish what was handed in, then close every connection."""
        self._writes.put(None)
        self._writer.join()
        self._readers.shutdown()
        self.engine.dispose()

    def _write_loop(self) -> None:
        while (first := self._writes.get()) is not None:
            group = [first]
            while len(group) < _GROUP and not self._writes.empty():
                more = self._writes.get()
                if more is None:
                    self._writes.put(None)
                    break
                group.append(more)
            self._commit(group)

    def _commit(self, group: list[_Write]) -> None:
        try:
            with self.engine.begin() as connection:
                for write in group:
                    write.run(connection)
        except Exception as error:
            for write in group:
                write.error = error
        for write in group:
            write.settle()
