"""An execution followed over gRPC, as any client could: what changes is asked for, and little else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import admin_pb2_grpc
from grpc import aio

from lacewing.errors import NotFound, Unavailable
from lacewing.services.console.page import Found, RunPage, run_of, run_page
from lacewing.services.console.reader import Reader
from lacewing.services.rpc import OPTIONS

_POLL_SECONDS = 0.15
_SHARE = 4
"""The least ratio of waiting to reading, so that watching a large run does not slow it down."""
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Seen:
    """An execution and its nodes at one moment."""

    execution: execution_pb2.Execution
    found: list[Found]
    hidden: bool
    data: Any = field(default_factory=execution_pb2.WorkflowExecutionGetDataResponse)

    def page(self) -> RunPage:
        """What there is to show, with durations up to now."""
        return run_page(self.execution, self.data, self.found, datetime.now(UTC), hidden=self.hidden)


class Remote:
    """The RPCs of a server elsewhere, in the form that a server's own objects have."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub: Any = admin_pb2_grpc.AdminServiceStub(channel)

    def __getattr__(self, name: str) -> Callable[[Any, Any], Coroutine[Any, Any, Any]]:
        method = getattr(self._stub, name)

        async def rpc(request: Any, call: Any) -> Any:
            try:
                return await method(request, timeout=_ANSWER_SECONDS, wait_for_ready=True)
            except aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    raise NotFound(error.details() or "") from error
                raise Unavailable(f"the demo does not answer: {error.details()}") from error

        return rpc


async def follow(address: str, identifier: identifier_pb2.WorkflowExecutionIdentifier) -> AsyncIterator[Seen]:
    """The execution as it changes; the last one is over and has its data. Raises RequestError."""
    async with aio.insecure_channel(address, OPTIONS) as channel:
        reader, found = Reader(Remote(channel)), list[Found]()
        while True:
            # The server may hold this answer until there is news.
            request = execution_pb2.WorkflowExecutionGetRequest(id=identifier)
            execution = await reader.ask("GetExecution", request)
            begun = time.monotonic()
            found, hidden = await reader.nodes(identifier, known=found)
            took = time.monotonic() - begun
            if run_of(execution, datetime.now(UTC)).phase.over:
                break
            yield Seen(execution, found, hidden)
            await asyncio.sleep(max(_POLL_SECONDS, _SHARE * took))
        execution, data = await reader.execution(identifier)
        yield Seen(execution, found, hidden, data)


async def look(address: str, identifier: identifier_pb2.WorkflowExecutionIdentifier) -> Seen:
    """The execution and its nodes as they are now. Raises RequestError."""
    async with aio.insecure_channel(address, OPTIONS) as channel:
        reader = Reader(Remote(channel))
        execution, data = await reader.execution(identifier)
        found, hidden = await reader.nodes(identifier)
        return Seen(execution, found, hidden, data)
