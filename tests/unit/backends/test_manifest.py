"""Objects that stand for attempts: what they are called, what they carry, what becomes of them."""

from dataclasses import replace

from lacewing import POD, ErrorKind, Manifest, ManifestBackend, Observation, TaskContext, TaskPhase
from lacewing.testing import MemoryCluster, make_task


class PodBackend(ManifestBackend):
    """The least that a plugin is."""

    name = "least"
    task_types = ("least",)
    kind = POD

    def build(self, task: TaskContext) -> Manifest:
        labels = {"own": "object", "task": "object", "execution-id": "object"}
        return {"metadata": {"labels": labels, "annotations": dict(labels)}}

    def phase(self, task: TaskContext, observed: Manifest) -> Observation:
        return Observation.succeeded() if observed.get("status") else Observation.running()


async def launched(task: TaskContext) -> tuple[MemoryCluster, Manifest, dict]:
    cluster = MemoryCluster()
    handle = await PodBackend().launch(cluster, task)
    (manifest,) = cluster.objects.values()
    return cluster, manifest, handle


async def test_labels_and_annotations_are_the_objects_then_the_tasks_then_the_executions():
    task = replace(make_task(), annotations={"execution-id": "execution"})
    for kind in ("labels", "annotations"):
        getattr(task.template.metadata.metadata, kind).update({"task": "task", "execution-id": "task"})
    _, manifest, _ = await launched(task)
    labels = manifest["metadata"]["labels"]
    assert (labels["own"], labels["task"], labels["execution-id"]) == ("object", "task", "a1b2c3")
    annotations = manifest["metadata"]["annotations"]
    assert annotations == {"own": "object", "task": "task", "execution-id": "execution"}


async def test_an_attempt_whose_name_would_not_do_gets_one_that_does():
    _, manifest, handle = await launched(replace(make_task(), name="a1b2c3-myNode-0"))
    assert manifest["metadata"]["name"] == handle["name"] == "a1b2c3-my-node-0"


async def test_an_object_that_somebody_deletes_is_the_systems_fault_unless_it_is_done():
    cluster, manifest, handle = await launched(make_task())
    manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    seen = await PodBackend().observe(cluster, make_task(), handle)
    assert (seen.code, seen.kind) == ("UnexpectedObjectDeletion", ErrorKind.SYSTEM)
    manifest["status"] = {"phase": "Succeeded"}
    seen = await PodBackend().observe(cluster, make_task(), handle)
    assert seen.phase is TaskPhase.SUCCEEDED
