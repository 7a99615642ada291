"""Run a task as a batch/v1 Job."""

from lacewing import Manifest, ManifestBackend, Observation, ResourceKind, Setup, TaskContext, hookimpl
from pydantic import BaseModel


class JobSettings(BaseModel, extra="forbid"):
    """The section `plugins.settings.job`."""

    ttl_seconds: int = 600


class JobBackend(ManifestBackend):
    """One Job for each attempt; the engine retries, the Job does not."""

    name = "job"
    task_types = ("k8s-job",)
    kind = ResourceKind("batch", "v1", "jobs", "Job")

    def __init__(self, settings: JobSettings) -> None:
        self.settings = settings

    def build(self, task: TaskContext) -> Manifest:
        """A Job of one pod of one container."""
        container = {"name": "main", "image": task.image, "args": list(task.args)}
        pod = {"restartPolicy": "Never", "containers": [container]}
        ttl = self.settings.ttl_seconds
        return {"spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": ttl, "template": {"spec": pod}}}

    def phase(self, task: TaskContext, observed: Manifest) -> Observation:
        """What the Job counts of its pods."""
        status = observed.get("status", {})
        if status.get("succeeded"):
            return Observation.succeeded()
        if status.get("failed"):
            return Observation.retryable("JobFailed", "the Job's pod failed")
        return Observation.running() if status.get("active") else Observation.queued()


@hookimpl
def register_backends(setup: Setup) -> list[ManifestBackend]:
    """The one backend of this plugin."""
    return [JobBackend(setup.settings("job", JobSettings))]
