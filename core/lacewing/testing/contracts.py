"""What every backend and every store must keep. A test is a subclass that says what it is about."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from lacewing.backends.manifest import ManifestBackend
from lacewing.errors import LacewingError
from lacewing.model.phases import TaskPhase
from lacewing.model.task import Manifest, TaskContext
from lacewing.ports import BlobStore
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


class BlobStoreContract:
    """Subclass it with fixtures `blobs`, a BlobStore, and `root`, a URI that is this test's own."""

    async def test_what_is_written_is_read_whole(self, blobs: BlobStore, root: str) -> None:
        """Small, empty and large alike, and the last that was written."""
        for content in (b"one", b"", b"x" * (9 << 20), b"two"):
            await blobs.write(f"{root}/folder/file.pb", content)
            assert await blobs.read(f"{root}/folder/file.pb") == content
            assert await blobs.size(f"{root}/folder/file.pb") == len(content)

    async def test_what_is_not_there_is_told_apart_from_what_is_empty(
        self, blobs: BlobStore, root: str
    ) -> None:
        """The engine asks for files that may not be there."""
        await blobs.write(f"{root}/folder/file.pb", b"")
        for missing in ("folder/other.pb", "folder", "nowhere/file.pb"):
            try:
                found: bytes | str = await blobs.read(f"{root}/{missing}")
            except FileNotFoundError as error:
                found = str(error)
            except LacewingError:
                # A folder is no file; a store of files says so, and one of objects has none.
                assert missing == "folder"
                continue
            assert missing in str(found)
        assert await blobs.size(f"{root}/folder/other.pb") is None
        assert await blobs.size(f"{root}/nowhere/file.pb") is None

    async def test_a_name_may_hold_any_sign(self, blobs: BlobStore, root: str) -> None:
        """Parts of paths come from clients, and a digest ends with signs of equality."""
        names = ["a b", "é漢🙂", "%25", "a%2Fb", "x?y#z", "ABC===", "q+&;,'(*)!~", "[x]", ".hidden"]
        for number, name in enumerate(names):
            await blobs.write(f"{root}/{name}/{name}", str(number).encode())
        found = [await blobs.read(f"{root}/{name}/{name}") for name in names]
        assert found == [str(number).encode() for number in range(len(names))]

    async def test_many_write_at_once_and_nobody_reads_a_part(self, blobs: BlobStore, root: str) -> None:
        """A reader has the content of one writer, never of two."""
        contents = [bytes([number]) * 100_000 for number in range(16)]
        await asyncio.gather(*(blobs.write(f"{root}/shared", content) for content in contents))
        found = await asyncio.gather(*(blobs.read(f"{root}/shared") for _ in contents))
        assert set(found) <= set(contents)
