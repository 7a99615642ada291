"""GetExecution held until there is news, so that who polls slowly still learns of the end at once.

flytekit asks, sleeps 30 seconds and asks again: each answer that is not the end costs it the sleep. So a
caller that polls slowly, or flytekit while its pace is unknown, is answered at the end; a quick one at any
event. A first call is never held, nor is any call for longer than its own deadline allows. Waiting holds no
thread.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_pb2

from lacewing.adapters.events import News
from lacewing.model.ids import RunKey
from lacewing.services.rpc import Call

Phase = core_pb2.WorkflowExecution.Phase
Read = Callable[[], Awaitable[execution_pb2.Execution]]
_TERMINAL = frozenset((Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.TIMED_OUT))
_SLOW_SECONDS = 10.0
_QUICK_HOLD_SECONDS = 10.0
_MARGIN_SECONDS = 5.0
_MOST_FOLLOWERS = 2048


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

    def is_patient(self, call: Call) -> bool:
        """Whether the end is all that this caller can use. Its pace shows from the third call on."""
        if self.calls < 2 and call.is_flytekit:
            return True
        return time.monotonic() - self.answered_at >= _SLOW_SECONDS


class Holding:
    """Holds calls for at most `seconds`. `close` lets all of them go."""

    def __init__(self, news: News, seconds: float) -> None:
        self._news, self._seconds = news, seconds
        self._followers: OrderedDict[tuple[str, RunKey], _Follower] = OrderedDict()

    async def answer(self, key: RunKey, call: Call, read: Read) -> execution_pb2.Execution:
        """What `read` gives: now if it is news to the caller, else when there is news or the time is up."""
        follower = self._follower(key, call.peer)
        patient, unheard = follower.is_patient(call), follower.changed.is_set()
        follower.changed.clear()
        found = await read()
        seconds = self._bound(call, patient)
        if follower.calls and seconds > 0 and (patient or not unheard) and not _is_over(found):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for((follower.ended if patient else follower.changed).wait(), seconds)
            follower.changed.clear()
            found = await read()
        follower.calls += 1
        follower.answered_at = time.monotonic()
        if _is_over(found):
            self._forget(call.peer, key)
        return found

    def close(self) -> None:
        """Let every held call go, and hold no more."""
        self._seconds = 0.0
        for follower in self._followers.values():
            follower.hear(ended=True)

    def _bound(self, call: Call, patient: bool) -> float:
        seconds = self._seconds if patient else min(self._seconds, _QUICK_HOLD_SECONDS)
        return seconds if call.seconds_left is None else min(seconds, call.seconds_left - _MARGIN_SECONDS)

    def _follower(self, key: RunKey, peer: str) -> _Follower:
        follower = self._followers.get((peer, key))
        if follower is None:
            follower = self._followers[peer, key] = _Follower(key)
            self._news.subscribe(key, follower.hear)
            if len(self._followers) > _MOST_FOLLOWERS:
                self._forget(*next(iter(self._followers)))
        self._followers.move_to_end((peer, key))
        return follower

    def _forget(self, peer: str, key: RunKey) -> None:
        follower = self._followers.pop((peer, key), None)
        if follower is not None:
            self._news.unsubscribe(key, follower.hear)


def _is_over(execution: execution_pb2.Execution) -> bool:
    return execution.closure.phase in _TERMINAL
