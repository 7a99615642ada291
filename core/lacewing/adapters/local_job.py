"""Objects with a pod template on this machine: each runs as one pod, and its status says what the pod's does.

This is the generic controller of the demo: enough for any kind that is like batch/v1's Job, without a line
from its plugin. An object is a file beside its pod's folder, so it outlives the demo as its pod does.
"""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from lacewing.adapters.local import LocalCluster
from lacewing.errors import TaskError, TransientError
from lacewing.model.task import POD, Manifest, ResourceKind


class LocalJobs:
    """A Cluster of pods, and of objects that have `spec.template` as a Job has."""

    def __init__(self, pods: LocalCluster, root: Path) -> None:
        self._pods, self._root = pods, root

    async def create(self, kind: ResourceKind, manifest: Manifest) -> Manifest:
        """Run the object's pod; one of the same name is answered as it is."""
        if kind == POD:
            return await self._pods.create(kind, manifest)
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        if (known := await self.get(kind, namespace, name)) is not None:
            return known
        pod = pod_of(manifest)
        if pod is None:
            raise TaskError(
                f"this machine runs objects that have a pod template, and this {kind.kind} has none",
                code="UnsupportedKind",
            )
        path = self._path(kind, namespace, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".new").write_text(json.dumps(manifest))
            os.replace(path.with_suffix(".new"), path)
        except OSError as error:
            raise TransientError(f"cannot write {path}: {error.strerror}", delay=5.0) from error
        return {**manifest, "status": job_status(await self._pods.create(POD, pod))}

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> Manifest | None:
        """The object with the status that its pod gives it; None without its pod."""
        if kind == POD:
            return await self._pods.get(kind, namespace, name)
        with contextlib.suppress(FileNotFoundError):
            manifest: Manifest = json.loads(self._path(kind, namespace, name).read_bytes())
            pod = await self._pods.get(POD, namespace, pod_name(name))
            return {**manifest, "status": job_status(pod)} if pod is not None else None
        return None

    async def delete(self, kind: ResourceKind, namespace: str, name: str) -> None:
        """End the pod and forget both."""
        if kind == POD:
            await self._pods.delete(kind, namespace, name)
            return
        await self._pods.delete(POD, namespace, pod_name(name))
        self._path(kind, namespace, name).unlink(missing_ok=True)

    async def watch(self, kind: ResourceKind) -> AsyncIterator[Manifest]:
        """Pods as their status changes; of other kinds, the objects that pods of ours belong to."""
        async for pod in self._pods.watch(POD):
            if kind == POD:
                yield pod
            elif pod["metadata"]["name"].endswith(_SUFFIX):
                name = pod["metadata"]["name"].removesuffix(_SUFFIX)
                found = await self.get(kind, pod["metadata"]["namespace"], name)
                if found is not None:
                    yield found

    def _path(self, kind: ResourceKind, namespace: str, name: str) -> Path:
        return self._root / "objects" / kind.plural / namespace / f"{name}.json"


_SUFFIX = "-job"


def pod_name(name: str) -> str:
    """The name of an object's pod."""
    return f"{name}{_SUFFIX}"


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod of an object's template, with the object's labels, by which its owner is found."""
    template = manifest.get("spec", {}).get("template")
    if not isinstance(template, dict) or not template.get("spec", {}).get("containers"):
        return None
    metadata, own = template.get("metadata", {}), manifest["metadata"]
    return {
        "metadata": {
            "name": pod_name(own["name"]),
            "namespace": own["namespace"],
            "labels": {**metadata.get("labels", {}), **own.get("labels", {})},
            "annotations": {**own.get("annotations", {}), **metadata.get("annotations", {})},
        },
        "spec": template["spec"],
    }


def job_status(pod: Manifest) -> dict[str, Any]:
    """A Job's status, as batch/v1's controller would write it for this pod."""
    status = pod.get("status", {})
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        return {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
    if phase == "Failed":
        ended = [c["state"]["terminated"] for c in status.get("containerStatuses", ()) if "state" in c]
        message = status.get("message") or next((one.get("message", "") for one in ended), "")
        reason = status.get("reason") or "BackoffLimitExceeded"
        failed = {"type": "Failed", "status": "True", "reason": reason, "message": message}
        return {"failed": 1, "conditions": [failed]}
    return {"active": 1} if phase == "Running" else {}
