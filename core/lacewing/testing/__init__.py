"""Doubles and contracts for authors of plugins and for our own tests. Public: they change with the ports."""

from lacewing.testing.contracts import BackendContract
from lacewing.testing.factories import make_graph, make_task, make_workflow
from lacewing.testing.memory import (
    ManualClock,
    MemoryBlobStore,
    MemoryCluster,
    MemoryEvents,
    MemoryRunStore,
)
from lacewing.testing.mock_backend import MockBackend, Plan

__all__ = [
    "BackendContract",
    "ManualClock",
    "MemoryBlobStore",
    "MemoryCluster",
    "MemoryEvents",
    "MemoryRunStore",
    "MockBackend",
    "Plan",
    "make_graph",
    "make_task",
    "make_workflow",
]
