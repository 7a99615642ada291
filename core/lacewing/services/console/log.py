"""Logs over HTTP: plain text, any part of it by range, while the log still grows."""

import re
from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import StreamingResponse
from flyteidl.admin.task_execution_pb2 import TaskExecution

from lacewing.model.ids import generated_name, node_uid
from lacewing.services.console.reader import Logs

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
TYPE = "text/plain; charset=utf-8"


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The start and stop that one range asks for; None for all of it.

    Raises ValueError if the log has no such part. Several ranges, and other units, count as none,
    as HTTP allows.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        raise ValueError(f"the log has {size} bytes, and none of {header}")
    return start, stop


def pod_name(task: TaskExecution, attempt: str, element: str = "") -> str:
    """The pod that ran an attempt, of an array one of its elements; empty if there was none."""
    if not element:
        return str(task.closure.metadata.generated_name) if str(task.id.retry_attempt) == attempt else ""
    node = task.id.node_execution_id
    for one in task.closure.metadata.external_resources:
        if (str(one.index), str(one.retry_attempt)) == (element, attempt):
            uid = node_uid(node.node_id, 0, f"n{one.index}")
            return generated_name(node.execution_id.name, uid, one.retry_attempt)
    return ""


async def log_response(logs: Logs, namespace: str, name: str, header: str) -> Response | None:
    """The log or the part of it that the Range header asks for; None if there is no log."""
    size = await logs.size(namespace, name)
    if size is None:
        return None
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    try:
        wanted = byte_range(header, size)
    except ValueError as error:
        return Response(str(error), 416, {**headers, "Content-Range": f"bytes */{size}"}, TYPE)
    start, stop = wanted or (0, size)
    headers["Content-Length"] = str(stop - start)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    content = _parts(logs, namespace, name, start, stop)
    return StreamingResponse(content, 206 if wanted else 200, headers, TYPE)


async def log_tail(logs: Logs, namespace: str, name: str, most: int) -> tuple[str, int] | None:
    """The last `most` bytes from the start of a line, and how many bytes come before; None without a log."""
    size = await logs.size(namespace, name) if name else None
    if size is None:
        return None
    start = max(0, size - most)
    data = await logs.read(namespace, name, start, size)
    if start and (line := data.find(b"\n") + 1):
        start, data = start + line, data[line:]
    return data.decode(errors="replace"), start


async def _parts(logs: Logs, namespace: str, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
    while start < stop:
        data = await logs.read(namespace, name, start, min(stop, start + _CHUNK))
        if not data:
            return
        yield data
        start += len(data)
