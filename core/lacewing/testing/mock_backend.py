"""A backend whose tasks do what they are told: for tests of the engine, and for trying a workflow's shape."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from flyteidl.core import literals_pb2

from lacewing.errors import TaskError, TransientError
from lacewing.model.phases import ErrorKind
from lacewing.model.task import Handle, Observation, TaskContext
from lacewing.ports import BlobStore, Cluster

ELEMENT = "array-index"


@dataclass(frozen=True)
class Plan:
    """How one attempt goes: after `looks` observations it ends as `outcome` says.

    `outcome` is one of success, nodes (of a dynamic task), user, system, permanent, silent (success without
    outputs), refuse, delay.
    """

    outcome: str = "success"
    looks: int = 0


class MockBackend:
    """Runs `mock` tasks in memory. `plan(task)` tells how an attempt goes; outputs are 1 or lists of it.

    `launches` and `aborted` name a node's attempt, and an array's element as `node#index`.
    """

    name = "mock"
    task_types: tuple[str, ...] = ("mock",)

    def __init__(self, blobs: BlobStore, plan: Callable[[TaskContext], Plan] = lambda task: Plan()) -> None:
        self._blobs, self._plan = blobs, plan
        self.launches: list[tuple[str, int]] = []
        self.aborted: list[tuple[str, int]] = []
        self.ended: set[tuple[str, int]] = set()
        self.looks: dict[str, int] = {}

    async def launch(self, cluster: Cluster, task: TaskContext) -> Handle:
        """Take the attempt, once however often it is asked."""
        plan = self._plan(task)
        if plan.outcome == "refuse":
            raise TaskError("this task is refused")
        if plan.outcome == "delay" and self.looks.setdefault(f"delay:{task.name}", 0) < 1:
            self.looks[f"delay:{task.name}"] = 1
            raise TransientError("not now", delay=2.0, code="Quota")
        if task.name not in self.looks:
            self.looks[task.name] = 0
            self.launches.append((_place(task), task.attempt))
        return {"name": task.name}

    async def observe(self, cluster: Cluster, task: TaskContext, handle: Handle) -> Observation:
        """What the plan says by now."""
        plan = self._plan(task)
        self.looks[handle["name"]] += 1
        if self.looks[handle["name"]] <= plan.looks:
            return Observation.running()
        self.ended.add((_place(task), task.attempt))
        if plan.outcome == "user":
            return Observation.retryable("Error", "as planned")
        if plan.outcome == "system":
            return Observation.retryable("Interrupted", "as planned", ErrorKind.SYSTEM)
        if plan.outcome == "permanent":
            return Observation.permanent("Bad", "as planned")
        if plan.outcome == "nodes":
            await self._blobs.write(f"{task.output_prefix}/futures.pb", b"")
        elif plan.outcome != "silent":
            await self._write(task)
        return Observation.succeeded()

    async def abort(self, cluster: Cluster, task: TaskContext, handle: Handle) -> None:
        """Note it."""
        self.aborted.append((_place(task), task.attempt))

    async def _write(self, task: TaskContext) -> None:
        whole = ELEMENT not in task.labels
        names = tuple(
            (name, whole and variable.type.HasField("collection_type"))
            for name, variable in sorted(task.template.interface.outputs.variables.items())
        )
        await self._blobs.write(f"{task.output_prefix}/outputs.pb", _outputs(names))


@lru_cache(maxsize=256)
def _outputs(names: tuple[tuple[str, bool], ...]) -> bytes:
    """Ones for each name, three of them where it is a list."""
    outputs = literals_pb2.LiteralMap()
    one = literals_pb2.Literal()
    one.scalar.primitive.integer = 1
    for name, is_list in names:
        if is_list:
            outputs.literals[name].collection.literals.extend([one] * 3)
        else:
            outputs.literals[name].CopyFrom(one)
    return bytes(outputs.SerializeToString())


def _place(task: TaskContext) -> str:
    return f"{task.node_id}#{task.labels[ELEMENT]}" if ELEMENT in task.labels else task.node_id
