"""GetExecution that is held, over gRPC: who waits for what, and what lets a caller go."""

import asyncio
import time
from typing import Any

import pytest
from flyteidl.admin import event_pb2 as admin_event_pb2
from flyteidl.admin import execution_pb2, version_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.service import admin_pb2_grpc
from google.protobuf.json_format import ParseDict
from lacewing.services import db

RUN = {"project": "flytesnacks", "domain": "development", "name": "run"}
FLYTEKIT = (("accept", "application/grpc"),)
Phase = core_pb2.WorkflowExecution.Phase
NOW = "2024-01-01T00:00:00Z"


@pytest.fixture
def hold_seconds() -> float:
    return 600.0


class Watch:
    """A clock that tests can set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> Watch:
    return Watch()


class Caller:
    """A client on the served channel that asks for one execution."""

    def __init__(self, served: Any, metadata: Any = ()) -> None:
        self.admin = admin_pb2_grpc.AdminServiceStub(served.channel)
        self.metadata = metadata

    def ask(self, name: str = "run", **options: Any) -> asyncio.Task[execution_pb2.Execution]:
        request = execution_pb2.WorkflowExecutionGetRequest(id=RUN | {"name": name})

        async def call() -> execution_pb2.Execution:
            return await self.admin.GetExecution(request, metadata=self.metadata, **options)

        return asyncio.ensure_future(call())

    async def held(self, name: str = "run") -> asyncio.Task[execution_pb2.Execution]:
        """A call that is on its way and unanswered after others came and went."""
        call = self.ask(name)
        for _ in range(5):
            await self.admin.GetVersion(version_pb2.GetVersionRequest())
        assert not call.done()
        return call

    async def tell(self, phase: str) -> None:
        event = {"execution_id": RUN, "phase": phase, "occurred_at": NOW}
        await self.admin.CreateWorkflowEvent(
            ParseDict({"event": event}, admin_event_pb2.WorkflowExecutionEventRequest())
        )

    async def tell_node(self, phase: str, name: str = "run") -> None:
        event = {
            "id": {"execution_id": RUN | {"name": name}, "node_id": "n0"},
            "phase": phase,
            "occurred_at": NOW,
        }
        await self.admin.CreateNodeEvent(
            ParseDict({"event": event}, admin_event_pb2.NodeExecutionEventRequest())
        )


@pytest.fixture
async def run(served: Any) -> Any:
    """Two stored executions, `run` and `next`, and the server that has them."""
    closure = execution_pb2.ExecutionClosure()
    closure.created_at.FromSeconds(1)
    rows = []
    for name in ("run", "next"):
        row: dict[str, Any] = {f"execution_{part}": value for part, value in (RUN | {"name": name}).items()}
        rows.append(row | {"phase": "UNDEFINED", "closure": closure.SerializeToString(), "spec": b""})
    await served.database.write(lambda c: c.execute(db.executions.insert(), rows))
    return served


async def test_flytekit_is_answered_at_the_end_and_not_before(run: Any):
    caller = Caller(run, FLYTEKIT)
    await caller.ask()
    await caller.tell("RUNNING")
    call = await caller.held()
    await caller.tell_node("RUNNING")
    await caller.admin.GetVersion(version_pb2.GetVersionRequest())
    assert not call.done()
    await caller.tell("SUCCEEDED")
    assert (await call).closure.phase == Phase.SUCCEEDED
    assert (await caller.ask()).closure.phase == Phase.SUCCEEDED


async def test_a_caller_that_polls_quickly_sees_each_change(run: Any, clock: Watch):
    caller = Caller(run)
    await caller.ask()
    clock.ahead += 9
    call = await caller.held()
    await caller.tell_node("RUNNING")
    assert (await call).closure.phase == Phase.UNDEFINED
    await caller.tell("RUNNING")
    assert (await caller.ask()).closure.phase == Phase.RUNNING, "what came between two calls is news"
    clock.ahead += 9
    call = await caller.held()
    await caller.admin.TerminateExecution(execution_pb2.ExecutionTerminateRequest(id=RUN, cause="x"))
    assert (await call).closure.phase == Phase.ABORTING


async def test_a_caller_that_does_not_pause_is_not_held(run: Any):
    caller = Caller(run)
    for _ in range(20):
        await caller.ask()


async def test_a_caller_that_polls_slowly_is_answered_at_the_end(run: Any, clock: Watch):
    caller = Caller(run)
    await caller.ask()
    clock.ahead += 30
    call = await caller.held()
    await caller.tell_node("RUNNING")
    await caller.admin.GetVersion(version_pb2.GetVersionRequest())
    assert not call.done()
    await caller.tell("SUCCEEDED")
    assert (await call).closure.phase == Phase.SUCCEEDED


async def test_the_pace_of_flytekit_shows_at_its_third_look_and_is_kept(run: Any, clock: Watch):
    caller = Caller(run, FLYTEKIT)
    await caller.ask()
    await caller.ask(timeout=5)  # shorter than the margin that is kept to a deadline
    clock.ahead += 9
    call = await caller.held()
    await caller.tell_node("RUNNING")
    await call
    await caller.ask("next")
    await caller.ask("next")


async def test_flytekit_in_the_hands_of_a_person_is_answered_at_events(run: Any, clock: Watch):
    caller = Caller(run, FLYTEKIT)
    await caller.ask()
    clock.ahead += 9
    call = await caller.held()
    await caller.tell_node("RUNNING")
    await call


async def test_a_call_is_never_held_beyond_its_deadline(run: Any):
    caller = Caller(run, FLYTEKIT)
    await caller.ask()
    assert (await caller.ask(timeout=5.2)).closure.phase == Phase.UNDEFINED


async def test_a_caller_that_gives_up_leaves_the_others_waiting(run: Any):
    one, other = Caller(run, FLYTEKIT), Caller(run, FLYTEKIT)
    await one.ask()
    gone, waits = await one.held(), await other.held()
    gone.cancel()
    await other.tell("FAILED")
    assert (await waits).closure.phase == Phase.FAILED
    assert gone.cancelled() or (await asyncio.gather(gone, return_exceptions=True))


async def test_shutdown_answers_whoever_waits(run: Any):
    caller = Caller(run, FLYTEKIT)
    await caller.ask()
    call = await caller.held()
    run.holding.close()
    assert (await call).closure.phase == Phase.UNDEFINED
    await caller.ask()


async def test_http_is_never_held(run: Any):
    path = "/api/v1/executions/flytesnacks/development/run"
    for _ in range(3):
        assert (await run.http.get(path)).status_code == 200
