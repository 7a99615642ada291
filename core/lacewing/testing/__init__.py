"""Doubles and contracts for authors of plugins and for our own tests. Public: they change with the ports."""

from lacewing.testing.contracts import BackendContract, BlobStoreContract
from lacewing.testing.factories import make_graph, make_task, make_workflow
from lacewing.testing.memory import (
    ManualClock,
    MemoryBlobStore,
    MemoryCatalog,
    MemoryChildren,
    MemoryCluster,
    MemoryDynamics,
    MemoryEvents,
    MemoryRunStore,
    MemorySignals,
    MemorySigning,
)
from lacewing.testing.mock_backend import MockBackend, Plan

__all__ = [
    "BackendContract",
    "BlobStoreContract",
    "ManualClock",
    "MemoryBlobStore",
    "MemoryCatalog",
    "MemoryChildren",
    "MemoryCluster",
    "MemoryDynamics",
    "MemoryEvents",
    "MemoryRunStore",
    "MemorySignals",
    "MemorySigning",
    "MockBackend",
    "Plan",
    "make_graph",
    "make_task",
    "make_workflow",
]
