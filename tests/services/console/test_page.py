"""Times, bars and phases, without a server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flyteidl.admin import execution_pb2, node_execution_pb2
from lacewing.services.console.page import Bar, Found, Phase, duration_text, row_of, run_of

START = datetime(2024, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(phase: int, **times: float) -> execution_pb2.Execution:
    return _with_times(execution_pb2.Execution(closure={"phase": phase}), times)


def node(phase: int, **times: float) -> Found:
    return Found(_with_times(node_execution_pb2.NodeExecution(closure={"phase": phase}), times))


def _with_times(message: Any, times: dict[str, float]) -> Any:
    for name, seconds in times.items():
        if name == "duration":
            message.closure.duration.FromTimedelta(timedelta(seconds=seconds))
        else:
            getattr(message.closure, name).FromDatetime(at(seconds))
    return message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (-1, "0 ms"),
        (0.34, "340 ms"),
        (4.25, "4.2 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_is_said_in_words(seconds: float, text: str):
    assert duration_text(seconds) == text


def test_what_runs_lasts_until_now_and_what_is_over_does_not():
    alive = run_of(run(2, created_at=0, started_at=1), at(11))
    over = run_of(run(4, created_at=0, started_at=1, duration=3), at(11))
    assert (alive.span.duration, alive.span.ended) == ("10.0 s", None)
    assert (over.span.duration, over.span.ended) == ("3.0 s", at(4))


@pytest.mark.parametrize(
    ("found", "bar"),
    [
        (node(3, created_at=2, started_at=4, duration=4), Bar(200, 400, 400)),
        (node(2, created_at=0, started_at=5), Bar(0, 500, 500)),
        (node(1, created_at=9), Bar(900, 900, 100)),
        (node(3, created_at=10, started_at=10, duration=0), Bar(996, 996, 4)),
        (node(7, created_at=5, updated_at=5), Bar(500, 500, 4)),
    ],
)
def test_a_bar_lies_where_the_node_ran(found: Found, bar: Bar):
    whole = run_of(run(2, created_at=0, started_at=0), at(10))
    assert row_of(found, whole, at(10)).bar == bar


def test_every_phase_has_a_tone_and_words():
    assert (Phase("UNDEFINED").label, Phase("UNDEFINED").over) == ("Not started", False)
    assert (Phase("TIMED_OUT").label, Phase("TIMED_OUT").tone, Phase("TIMED_OUT").over) == (
        "Timed out",
        "bad",
        True,
    )
    assert (Phase("RUNNING").tone, Phase("RECOVERED").tone, Phase("QUEUED").tone) == ("busy", "good", "still")
