"""`lacewing demo run` and `lacewing demo logs` as people see them: a table that moves, or plain lines.

The run itself is made by an unmodified `pyflyte run --remote`; this only watches, and says how it ended.
"""

import asyncio
import re
import subprocess
from collections.abc import Sequence

from flyteidl.core import identifier_pb2
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lacewing.adapters.local_log import LocalLogs
from lacewing.demo.follow import Seen, follow, look
from lacewing.errors import RequestError
from lacewing.services.console.page import Phase, Row, Span

_ADDRESS = re.compile(r"/console/projects/([^/\s]+)/domains/([^/\s]+)/executions/([a-z0-9-]+)")
_STYLES = {"good": "green", "bad": "red", "busy": "yellow", "still": "bright_black"}
_AROUND = 6
_INTERRUPTED = 130


def run_and_follow(command: Sequence[str], address: str, logs: LocalLogs, console: Console) -> int:
    """Run pyflyte's command and follow the execution it starts; 0 if that succeeded."""
    try:
        code, printed = _run(command, console)
        found = _ADDRESS.search(printed)
        if code or found is None:
            return code
        project, domain, name = found.groups()
        identifier = identifier_pb2.WorkflowExecutionIdentifier(project=project, domain=domain, name=name)
        seen = asyncio.run(_watch(address, identifier, console))
    except KeyboardInterrupt:
        console.print("No longer watched; an execution that has begun goes on.")
        return _INTERRUPTED
    except RequestError as error:
        console.print(Text(error.message, "red"), soft_wrap=True)
        return 1
    return _tell_end(seen, logs, console)


def _run(command: Sequence[str], console: Console) -> tuple[int, str]:
    """The exit code, and what was printed, which is passed on as it comes."""
    printed = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            printed.append(line)
            console.out(line, end="", highlight=False)
    return process.returncode, "".join(printed)


def print_logs(
    address: str,
    identifier: identifier_pb2.WorkflowExecutionIdentifier,
    node_id: str,
    logs: LocalLogs,
    console: Console,
) -> int:
    """Print the logs of an execution's attempts, or those of one node; 1 if there are none."""
    try:
        seen = asyncio.run(look(address, identifier))
    except RequestError as error:
        console.print(Text(error.message, "red"), soft_wrap=True)
        return 1
    told = False
    for node, attempt, path in _logs(seen, logs):
        if node_id in ("", node):
            console.print(Text(f"{node}, attempt {attempt + 1}: {path}", "bold"), soft_wrap=True)
            with open(path, errors="replace") as file:
                for line in file:
                    console.out(line, end="", highlight=False)
            told = True
    if not told:
        console.print(f"There is no log of {node_id or 'any node'} in {identifier.name}.", soft_wrap=True)
    return 0 if told else 1


async def _watch(
    address: str, identifier: identifier_pb2.WorkflowExecutionIdentifier, console: Console
) -> Seen:
    if not console.is_terminal:
        return await _watch_lines(address, identifier, console)
    shown: list[Seen] = []
    with Live(
        get_renderable=lambda: table(shown[-1], console.height) if shown else Text(""),
        console=console,
        refresh_per_second=10,
    ) as live:
        async for seen in follow(address, identifier):
            shown[:] = [seen]
        live.refresh()
    return shown[-1]


async def _watch_lines(
    address: str, identifier: identifier_pb2.WorkflowExecutionIdentifier, console: Console
) -> Seen:
    told: dict[str, tuple[str, int]] = {}
    async for seen in follow(address, identifier):
        for row in seen.page().rows:
            state = (row.phase.name, row.attempts)
            if told.get(row.node_id) != state:
                told[row.node_id] = state
                console.print(Text(line(row)), soft_wrap=True)
    return seen


def line(row: Row) -> str:
    """A node in one line: `n0  wf.add  Running  attempt 2  1.2 s`."""
    attempt = f"attempt {row.attempts}" if row.attempts > 1 else ""
    duration = row.span.duration if row.phase.over else ""
    return "  ".join(part for part in (row.node_id, row.task, row.phase.label, attempt, duration) if part)


def table(seen: Seen, height: int) -> Group:
    """The execution and its nodes, as many as fit: those that run, and of the others the latest."""
    page = seen.page()
    rows = page.rows
    found = Table(box=None, pad_edge=False, header_style="bright_black")
    for name in ("Node", "Task", "Phase"):
        found.add_column(name, no_wrap=True)
    for name in ("Attempt", "Duration"):
        found.add_column(name, justify="right", no_wrap=True)
    for row in fitting(rows, max(3, height - _AROUND)):
        indent = "  " * row.depth
        number = str(row.attempts) if row.attempts else ""
        found.add_row(indent + row.node_id, row.task, _phase(row.phase), number, row.span.duration)
    head = Text.assemble(page.run.identifier.name, "  ", _phase(page.run.phase), "  ", page.run.span.duration)
    return Group(head, found, Text(page.tally, "bright_black")) if rows else Group(head)


def fitting(rows: Sequence[Row], room: int) -> list[Row]:
    """At most `room` rows in their order: first those that are not over, then the latest."""
    if len(rows) <= room:
        return list(rows)
    order = sorted(range(len(rows)), key=lambda at: (rows[at].phase.over, -at))
    return [rows[at] for at in sorted(order[:room])]


def _phase(phase: Phase) -> Text:
    return Text(phase.label, _STYLES[phase.tone])


def _tell_end(seen: Seen, logs: LocalLogs, console: Console) -> int:
    page = seen.page()
    run = page.run
    console.print(Text.assemble(_phase(run.phase), _after(run.span)))
    if run.phase.name == "SUCCEEDED":
        for value in page.outputs:
            more = f" … and {value.more} more characters" if value.more else ""
            console.print(Text.assemble((value.name, "bold"), " = ", value.text, more), soft_wrap=True)
        return 0
    if run.abort_cause:
        console.print(Text(run.abort_cause), soft_wrap=True)
    if run.error is not None:
        console.print(Text(f"{run.error.code}\n{run.error.message.strip()}", "red"), soft_wrap=True)
    failed = {row.node_id for row in page.rows if row.phase.tone == "bad"}
    last = {node: (attempt, path) for node, attempt, path in _logs(seen, logs) if node in failed}
    for node, (attempt, path) in last.items():
        console.print(f"Log of {node}, attempt {attempt + 1}: {path}", soft_wrap=True)
    return 1


def _after(span: Span) -> str:
    return f" after {span.duration}" if span.duration else ""


def _logs(seen: Seen, logs: LocalLogs) -> list[tuple[str, int, str]]:
    """The attempts that have a log: node, number, path."""
    namespace = seen.execution.spec.metadata.system_metadata.namespace
    return [
        (one.node.id.node_id, attempt.id.retry_attempt, str(path))
        for one in seen.found
        for attempt in one.attempts
        if (path := logs.path(namespace, attempt.closure.metadata.generated_name))
    ]
