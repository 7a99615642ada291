"""A keyed, coalescing queue: a key is worked on by one worker at a time, and never waits twice.

What is added while a key is worked on makes it wait again, once, with all the hints that came meanwhile.
"""

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

K = TypeVar("K")


class KeyedQueue(Generic[K]):
    """`add` any number of times; `get` a key with its hints; `done` when the work on it is over."""

    def __init__(self) -> None:
        self._hints: dict[K, set[str]] = {}
        self._working: set[K] = set()
        self._order: asyncio.Queue[K] = asyncio.Queue()

    def add(self, key: K, hints: Iterable[str] = ()) -> None:
        """Have the key worked on. A hint says what about it changed."""
        if key not in self._hints:
            self._hints[key] = set()
            if key not in self._working:
                self._order.put_nowait(key)
        self._hints[key].update(hints)

    async def get(self) -> tuple[K, set[str]]:
        """The key that has waited longest, and its hints."""
        key = await self._order.get()
        self._working.add(key)
        return key, self._hints.pop(key)

    def done(self, key: K) -> None:
        """The work on the key is over; it waits again if something was added meanwhile."""
        self._working.discard(key)
        if key in self._hints:
            self._order.put_nowait(key)

    def __len__(self) -> int:
        return self._order.qsize() + len(self._working)
