"""Nodes per second of the engine alone: whole passes with the memory twins, on one core."""

import asyncio
import gc
import json
import random
import time
from collections.abc import Mapping, Sequence

from flyteidl.admin import workflow_pb2
from flyteidl.core import literals_pb2
from lacewing.adapters.clock import SystemClock
from lacewing.engine.effects import Effects
from lacewing.engine.files import RunFiles
from lacewing.engine.loop import EVERYTHING, GC_THRESHOLDS, Loop
from lacewing.engine.outside import Outside
from lacewing.hooks.registry import build_registry
from lacewing.model.ids import RunKey
from lacewing.model.run import RunSpec
from lacewing.testing import (
    MemoryBlobStore,
    MemoryCatalog,
    MemoryChildren,
    MemoryCluster,
    MemoryDynamics,
    MemoryEvents,
    MemoryRunStore,
    MemorySignals,
    MockBackend,
    make_workflow,
)

KEY = RunKey("flytesnacks", "development", "bench")


def chain(size: int) -> dict[str, list[str]]:
    return {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(size)}


def fan(size: int) -> dict[str, list[str]]:
    return {f"n{i}": [] for i in range(size - 1)} | {"join": ["n0", "n1"]}


def dag(size: int) -> dict[str, list[str]]:
    pick = random.Random(7)
    return {
        f"n{i}": sorted({f"n{pick.randrange(max(0, i - 200), i)}" for _ in range(3)}) if i else []
        for i in range(size)
    }


async def play(edges: Mapping[str, Sequence[str]]) -> tuple[float, float, float]:
    """Seconds for the run itself, by the clock and of the processor, and for reading its graph."""
    store, blobs, events = MemoryRunStore(), MemoryBlobStore(), MemoryEvents()
    backend = MockBackend(blobs)
    closure = workflow_pb2.WorkflowClosure(compiled_workflow=make_workflow(edges))
    blobs.blobs["closure"] = closure.SerializeToString()
    blobs.blobs["inputs"] = literals_pb2.LiteralMap().SerializeToString()
    files = RunFiles(blobs)
    outside = Outside(files, MemoryChildren(), MemorySignals())
    effects = Effects(
        build_registry([backend], "mock"), MemoryCluster(), files, outside, MemoryDynamics(), MemoryCatalog()
    )
    loop = Loop(store, blobs, events, effects, SystemClock())
    began = time.perf_counter()
    await loop._graph("closure")
    read = time.perf_counter() - began
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()
    await store.create(RunSpec(KEY, "closure", "inputs", "/out", "/raw", "ns", max_parallelism=25))
    began, cpu = time.perf_counter(), time.process_time()
    await loop.reconcile(KEY, {EVERYTHING})
    while not (run := store.runs[KEY].run).phase.terminal:
        await loop.reconcile(KEY, set(run.active.values()))
    assert run.phase.name == "SUCCEEDED", run.error
    return time.perf_counter() - began, time.process_time() - cpu, read


def main() -> None:
    for name, make in (("chain", chain), ("fan", fan), ("dag", dag)):
        for size in (1_000, 10_000, 100_000):
            seconds, cpu, read = asyncio.run(play(make(size)))
            figure = {
                "bench": "engine",
                "graph": name,
                "nodes": size,
                "nodes_per_second": round(size / seconds),
                "nodes_per_cpu_second": round(size / cpu),
            }
            print(json.dumps(figure | {"graph_seconds": round(read, 3)}))


if __name__ == "__main__":
    main()
