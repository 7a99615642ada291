"""A container task becomes a pod, and the pod's status a phase. Both are pure functions.

Rules: plugins.md, sections 2 and 3. A pod that exits 0 proves nothing: flytekit writes error.pb and exits 0
when a task fails, and the engine looks for that file.
"""

from dataclasses import replace

from lacewing import POD, Link, Manifest, ManifestBackend, Observation, TaskContext, TaskPhase
from lacewing.pods import build_pod, log_links

from lacewing_container.memory import OUT_OF_MEMORY, outlook, raise_memory, raised_note
from lacewing_container.phase import observation
from lacewing_container.settings import ContainerSettings

_DEFAULT = ContainerSettings.model_validate({})


class ContainerBackend(ManifestBackend):
    """Any task with a container or a pod. It is also the usual fallback."""

    name = "container"
    task_types = ("python-task", "container", "raw-container", "sidecar")
    kind = POD

    def __init__(self, settings: ContainerSettings = _DEFAULT) -> None:
        self.settings = settings

    def build(self, task: TaskContext) -> Manifest:
        """The pod that the task describes, with more memory than before if an attempt ran out of it."""
        pod = build_pod(task, self.settings)
        raise_memory(pod, task, self.settings)
        return pod

    def phase(self, task: TaskContext, observed: Manifest) -> Observation:
        """What the pod's status says; the links lead to its log."""
        seen = observation(observed, self.settings)
        if seen.code == OUT_OF_MEMORY:
            said, line, ends = seen.reason.partition("\r\n")
            seen = replace(seen, reason=said + outlook(observed, task, self.settings) + line + ends)
        elif seen.phase is TaskPhase.RUNNING:
            seen = replace(seen, reason=raised_note(observed))
        return replace(seen, links=self._links(task, observed, seen.phase))

    def _links(self, task: TaskContext, observed: Manifest, phase: TaskPhase) -> tuple[Link, ...]:
        log = (observed["metadata"].get("annotations") or {}).get("lacewing.dev/log-uri", "")
        types = [one.strip() for one in task.template.config.get("link_type", "").split(",")]
        dynamic = [one for name in types for one in self.settings.dynamic_log_templates.get(name, ())]
        return (
            *((Link("Logs", log),) if log else ()),
            *log_links(self.settings.log_templates, task, observed, phase, " (User)"),
            *log_links(dynamic, task, observed, phase),
        )
