"""Which nodes a terminal has room for, and how one reads as a line."""

from lacewing.demo.display import fitting, line
from lacewing.services.console.page import Bar, Phase, Row, Span


def row(node_id: str, phase: str, attempts: int = 1, seconds: float | None = 2.0) -> Row:
    span = Span(None, None, None, seconds)
    return Row(node_id, 0, "wf.work", Phase(phase), span, attempts, [], Bar(0, 0, 1), "")


def test_a_node_reads_as_a_line():
    assert line(row("n0", "SUCCEEDED")) == "n0  wf.work  Succeeded  2.0 s"
    assert line(row("n0", "FAILED", attempts=3)) == "n0  wf.work  Failed  attempt 3  2.0 s"
    assert line(row("n0", "RUNNING")) == "n0  wf.work  Running"
    assert line(row("n0", "SKIPPED", attempts=0, seconds=None)) == "n0  wf.work  Skipped"


def test_nodes_that_run_are_shown_first_and_then_the_latest():
    rows = [row(f"n{at}", "RUNNING" if at in (1, 4) else "SUCCEEDED") for at in range(10)]
    assert [one.node_id for one in fitting(rows, 4)] == ["n1", "n4", "n8", "n9"]
    assert fitting(rows, 10) == rows
