"""GetExecution held until there is news, so that who polls slowly still learns of the end at once.

flytekit asks, sleeps 30 seconds and asks again: each answer that is not the end costs it the sleep. So a
caller that polls slowly, or flytekit while its pace is unknown, is answered at the end. A quick one is
answered at any event, and held no longer than it paused itself. A connection's pace is kept from one run to
the next. A first call is never held, nor is any for longer than its own deadline allows. Waiting holds no
thread.
"""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_pb2

from lacewing.adapters.events import News
from lacewing.model.ids import RunKey
from lacewing.services.rpc import Call

Phase = core_pb2.WorkflowExecution.Phase
Read = Callable[[], Awaitable[execution_pb2.Execution]]
_TERMINAL = frozenset((Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.TIMED_OUT))
_SLOW_SECONDS = 10.0
_AT_ONCE_SECONDS = 1.0
_MARGIN_SECONDS = 5.0
_MOST = 2048


class Pace(Enum):
    """How often a caller asks; the value is the most seconds for which such a caller is held."""

    SLOW = math.inf
    UNKNOWN = 25.0
    QUICK = 10.0


@dataclass(eq=False)
class _Follower:
    """One caller that asks for one run again and again."""

    key: RunKey
    calls: int = 0
    answered_at: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, ended: bool) -> None:
        """Something of the run was written."""
        self.changed.set()
        if ended:
            self.ended.set()


class Holding:
    """Holds calls for at most `seconds`. `close` lets all of them go."""

    def __init__(self, news: News, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._news, self._seconds, self._clock = news, seconds, clock
        self._followers: OrderedDict[tuple[str, RunKey], _Follower] = OrderedDict()
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    async def answer(self, key: RunKey, call: Call, read: Read) -> execution_pb2.Execution:
        """What `read` gives: now if it is news to the caller, else when there is news or the time is up."""
        follower = self._follower(key, call.peer)
        pace, seconds = self._terms(follower, call)
        unheard = pace is Pace.QUICK and follower.changed.is_set()
        follower.changed.clear()
        found = await read()
        if seconds > 0 and not unheard and not _is_over(found):
            wake = follower.changed if pace is Pace.QUICK else follower.ended
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), seconds)
            follower.changed.clear()
            found = await read()
        follower.calls += 1
        follower.answered_at = self._clock()
        if _is_over(found):
            self._forget(call.peer, key)
        return found

    def close(self) -> None:
        """Let every held call go, and hold no more."""
        self._seconds = 0.0
        for follower in self._followers.values():
            follower.hear(ended=True)

    def _terms(self, follower: _Follower, call: Call) -> tuple[Pace, float]:
        """The caller's pace, and for how long to hold this call."""
        if not follower.calls:
            return Pace.UNKNOWN, 0.0
        pause = self._clock() - follower.answered_at
        if call.is_flytekit and follower.calls == 1:
            # Its `wait` looks again at once. Who took longer is a person, or a script that sleeps.
            at_once = pause < _AT_ONCE_SECONDS
            pace = self._paces.get(call.peer, Pace.UNKNOWN) if at_once else Pace.QUICK
        else:
            pace = Pace.SLOW if pause >= _SLOW_SECONDS else Pace.QUICK
            self._remember(call.peer, pace)
        seconds = min(self._seconds, pace.value, pause if pace is Pace.QUICK else math.inf)
        left = math.inf if call.seconds_left is None else call.seconds_left - _MARGIN_SECONDS
        return pace, min(seconds, left)

    def _remember(self, peer: str, pace: Pace) -> None:
        self._paces[peer] = pace
        self._paces.move_to_end(peer)
        if len(self._paces) > _MOST:
            self._paces.popitem(last=False)

    def _follower(self, key: RunKey, peer: str) -> _Follower:
        follower = self._followers.get((peer, key))
        if follower is None:
            follower = self._followers[peer, key] = _Follower(key)
            self._news.subscribe(key, follower.hear)
            if len(self._followers) > _MOST:
                self._forget(*next(iter(self._followers)))
        self._followers.move_to_end((peer, key))
        return follower

    def _forget(self, peer: str, key: RunKey) -> None:
        follower = self._followers.pop((peer, key), None)
        if follower is not None:
            self._news.unsubscribe(key, follower.hear)


def _is_over(execution: execution_pb2.Execution) -> bool:
    return execution.closure.phase in _TERMINAL
