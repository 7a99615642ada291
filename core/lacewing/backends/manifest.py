"""A backend whose work is one Kubernetes-shaped object: a plugin writes `build` and `phase`, both pure."""

from abc import ABC, abstractmethod

from lacewing.errors import TaskError
from lacewing.model.phases import ErrorKind
from lacewing.model.task import Handle, Manifest, Observation, ResourceKind, TaskContext
from lacewing.pods import object_name
from lacewing.ports import Cluster


class ManifestBackend(ABC):
    """Creates one object for each attempt and reads its state back.

    The object's name, namespace and labels are set here: `build` need not, and cannot, choose them.
    """

    name: str
    task_types: tuple[str, ...]
    kind: ResourceKind

    @abstractmethod
    def build(self, task: TaskContext) -> Manifest:
        """The object that runs the attempt. Raises TaskError for a task that cannot be run."""

    @abstractmethod
    def phase(self, task: TaskContext, observed: Manifest) -> Observation:
        """What the object's status says of the attempt."""

    async def launch(self, cluster: Cluster, task: TaskContext) -> Handle:
        """Create the object; one that exists already is taken as it is."""
        manifest = self.build(task)
        manifest["apiVersion"], manifest["kind"] = self.kind.api_version, self.kind.kind
        metadata, own = manifest.setdefault("metadata", {}), task.template.metadata.metadata
        metadata["name"], metadata["namespace"] = object_name(task.name), task.namespace
        metadata["labels"] = {**metadata.get("labels", {}), **own.labels, **task.labels}
        metadata["annotations"] = {**metadata.get("annotations", {}), **own.annotations, **task.annotations}
        await cluster.create(self.kind, manifest)
        return {"plugin": self.name, "namespace": task.namespace, "name": metadata["name"]}

    async def observe(self, cluster: Cluster, task: TaskContext, handle: Handle) -> Observation:
        """The object's phase; an object that is gone failed by the system's fault."""
        observed = await cluster.get(self.kind, handle["namespace"], handle["name"])
        if observed is None:
            return Observation.retryable(
                "ResourceDeletedExternally",
                f"{self.kind.kind} {handle['namespace']}/{handle['name']} is gone; nobody of ours deleted it",
                ErrorKind.SYSTEM,
            )
        try:
            seen = self.phase(task, observed)
        except TaskError as error:
            return Observation.permanent(error.code, error.message)
        if not seen.phase.terminal and "deletionTimestamp" in observed["metadata"]:
            return Observation.retryable(
                "UnexpectedObjectDeletion",
                f"{self.kind.kind} {handle['namespace']}/{handle['name']} is being deleted, and not by us",
                ErrorKind.SYSTEM,
            )
        return seen

    async def abort(self, cluster: Cluster, task: TaskContext, handle: Handle) -> None:
        """Delete the object."""
        await cluster.delete(self.kind, handle["namespace"], handle["name"])
