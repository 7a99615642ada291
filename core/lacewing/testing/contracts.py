"""What every backend must keep. A plugin's test is a subclass with a backend, a task and a few examples."""

import json
from collections.abc import Sequence
from typing import Any

from lacewing.backends.manifest import ManifestBackend
from lacewing.model.phases import TaskPhase
from lacewing.model.task import Manifest, TaskContext
from lacewing.testing.factories import make_task
from lacewing.testing.memory import MemoryCluster


class BackendContract:
    """Subclass it, and pytest runs these against your backend.

    `examples` are pairs of an object's status and the phase that it means.
    """

    backend: ManifestBackend
    task: TaskContext = make_task()
    examples: Sequence[tuple[dict[str, Any], TaskPhase]] = ()

    async def test_launching_twice_makes_one_object(self) -> None:
        """A launch may be repeated after a crash."""
        cluster = MemoryCluster()
        first = await self.backend.launch(cluster, self.task)
        assert await self.backend.launch(cluster, self.task) == first
        assert len(cluster.objects) == 1

    async def test_the_handle_is_small_plain_json(self) -> None:
        """It is stored with the run."""
        handle = await self.backend.launch(MemoryCluster(), self.task)
        assert json.loads(json.dumps(handle)) == handle
        assert len(json.dumps(handle)) < 1024

    async def test_the_object_carries_its_owner(self) -> None:
        """A change of the object must find its run and its node."""
        cluster = MemoryCluster()
        await self.backend.launch(cluster, self.task)
        (manifest,) = cluster.objects.values()
        assert manifest["metadata"]["name"] == self.task.name
        assert manifest["metadata"]["labels"].items() >= dict(self.task.labels).items()

    async def test_an_object_that_is_gone_is_the_systems_fault(self) -> None:
        """Nobody of ours deleted it, so another attempt is made."""
        cluster = MemoryCluster()
        handle = await self.backend.launch(cluster, self.task)
        cluster.objects.clear()
        seen = await self.backend.observe(cluster, self.task, handle)
        assert (seen.phase, seen.kind.name) == (TaskPhase.RETRYABLE, "SYSTEM")

    async def test_aborting_twice_is_harmless(self) -> None:
        """An abort may be repeated after a crash."""
        cluster = MemoryCluster()
        handle = await self.backend.launch(cluster, self.task)
        await self.backend.abort(cluster, self.task, handle)
        await self.backend.abort(cluster, self.task, handle)
        assert not cluster.objects

    def test_a_new_object_is_not_over(self) -> None:
        """Without a status nothing is known yet."""
        manifest = self.backend.build(self.task)
        manifest.setdefault("metadata", {})["name"] = self.task.name
        assert not self.backend.phase(self.task, manifest).phase.terminal

    def test_each_status_means_its_phase(self) -> None:
        """The examples of the plugin's author."""
        for status, phase in self.examples:
            manifest: Manifest = {"metadata": {"name": self.task.name}, "status": status}
            assert self.backend.phase(self.task, manifest).phase is phase, status
