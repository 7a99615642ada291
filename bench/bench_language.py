"""Large workflows of every kind on a demo of its own, and a dynamic task of 10,000 nodes on the engine alone.

`python bench/bench_language.py [WORKFLOW ...]`; each runs once.
"""

import asyncio
import json
import sys
import time

from bench_demo import Demo, demo, seconds
from bench_engine import KEY
from flyteidl.admin import workflow_pb2
from lacewing.adapters.clock import SystemClock
from lacewing.engine.effects import Effects
from lacewing.engine.files import RunFiles
from lacewing.engine.loop import EVERYTHING, Loop
from lacewing.engine.outside import Outside
from lacewing.hooks.registry import build_registry
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
    Plan,
    make_workflow,
)

SIZES = {
    "map_1000": 1_000,
    "map_5000": 5_000,
    "dynamic_500": 500,
    "static_1000": 1_000,
    "diamond_300": 300,
    "levels_20": 20,
}
GROWN = 10_000


def tell(figure: str, nodes: int, took: float, **more: float) -> None:
    """Print one figure."""
    row = {"bench": "language", "figure": figure, "seconds": round(took, 3), "nodes": nodes}
    print(json.dumps(row | {"ms_per_node": round(1000 * took / nodes, 2)} | more), flush=True)


def large(one: Demo, workflow: str) -> None:
    """One large workflow on the demo, and by how much its memory grew."""
    before = one.memory()
    took = seconds(lambda: one.wait(one.start(workflow, "language")))
    tell(workflow, SIZES[workflow], took, memory_mb=round(one.memory() - before, 1))


async def grown(size: int) -> float:
    """Seconds for a dynamic task of that many nodes, with the memory twins."""
    store, blobs, dynamics = MemoryRunStore(), MemoryBlobStore(), MemoryDynamics()
    backend = MockBackend(blobs, lambda task: Plan("nodes" if task.node_id == "n0" else "success"))
    closure = workflow_pb2.WorkflowClosure(compiled_workflow=make_workflow({"n0": []}))
    del closure.compiled_workflow.primary.template.nodes[1].inputs[:]
    blobs.blobs |= {"closure": closure.SerializeToString(), "inputs": b""}
    dynamics.closures["work"] = make_workflow({f"d{at}": [] for at in range(size)})
    files, clock = RunFiles(blobs), SystemClock()
    outside = Outside(files, MemoryChildren(), MemorySignals())
    registry = build_registry([backend], "mock")
    effects = Effects(registry, MemoryCluster(), files, outside, dynamics, MemoryCatalog(clock))
    loop = Loop(store, blobs, MemoryEvents(), effects, clock)
    await store.create(RunSpec(KEY, "closure", "inputs", "/out", "/raw", "ns", max_parallelism=25))
    began = time.perf_counter()
    await loop.reconcile(KEY, {EVERYTHING})
    while not (run := store.runs[KEY].run).phase.terminal:
        await loop.reconcile(KEY, set(run.active.values()))
    assert run.phase.name == "SUCCEEDED", run.error
    return time.perf_counter() - began


def main() -> None:
    took = asyncio.run(grown(GROWN))
    tell("engine_dynamic", GROWN, took, nodes_per_second=round(GROWN / took))
    with demo() as one:
        one.command("start")
        one.register("language.py")
        for workflow in sys.argv[1:] or SIZES:
            large(one, workflow)


if __name__ == "__main__":
    main()
