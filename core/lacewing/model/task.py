"""What a backend may see of a task, and what it answers. Plain data: no client, no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from flyteidl.core import literals_pb2, tasks_pb2, workflow_pb2

from lacewing.model.ids import RunKey
from lacewing.model.phases import ErrorKind, TaskPhase
from lacewing.model.template import render

Manifest = dict[str, Any]
"""A Kubernetes-shaped object: what is sent to a cluster and what it answers."""

Handle = dict[str, Any]
"""How a backend finds its work again: small, and plain JSON."""


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """A kind of object of a cluster. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As in a manifest's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version


POD = ResourceKind("", "v1", "pods", "Pod")


@dataclass(frozen=True, slots=True)
class Link:
    """A link that clients show beside a task: its log, a dashboard."""

    name: str
    uri: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a backend saw of an attempt, at one moment."""

    phase: TaskPhase
    reason: str = ""
    code: str = ""
    kind: ErrorKind = ErrorKind.USER
    links: tuple[Link, ...] = ()
    started_at: datetime | None = None
    custom_info: Mapping[str, Any] | None = None
    outputs: literals_pb2.LiteralMap | None = None
    """Of a success whose outputs the work did not write itself; the engine does."""
    look_again_seconds: float = 0.0
    """When nobody will tell of a change: look again after so long; 0 is to wait for the telling."""

    @classmethod
    def queued(cls, reason: str = "") -> Self:
        """Accepted, not yet placed."""
        return cls(TaskPhase.QUEUED, reason)

    @classmethod
    def waiting(cls, reason: str) -> Self:
        """Refused for now, as by a quota."""
        return cls(TaskPhase.WAITING_FOR_RESOURCES, reason)

    @classmethod
    def initializing(cls, reason: str = "") -> Self:
        """Placed; its image or volumes are being made ready."""
        return cls(TaskPhase.INITIALIZING, reason)

    @classmethod
    def running(cls, reason: str = "", **more: Any) -> Self:
        """The user's code runs."""
        return cls(TaskPhase.RUNNING, reason, **more)

    @classmethod
    def succeeded(cls, **more: Any) -> Self:
        """The work ended well; whether its outputs are there is checked by the engine."""
        return cls(TaskPhase.SUCCEEDED, **more)

    @classmethod
    def retryable(cls, code: str, reason: str, kind: ErrorKind = ErrorKind.USER, **more: Any) -> Self:
        """Failed; another attempt may succeed. `kind` says whose retry budget pays."""
        return cls(TaskPhase.RETRYABLE, reason, code, kind, **more)

    @classmethod
    def permanent(cls, code: str, reason: str, kind: ErrorKind = ErrorKind.USER, **more: Any) -> Self:
        """Failed for good."""
        return cls(TaskPhase.PERMANENT, reason, code, kind, **more)


@dataclass(frozen=True)
class TaskContext:
    """One attempt of one task node: all that a backend may know of it."""

    key: RunKey
    node_id: str
    spec_node_id: str
    attempt: int
    name: str
    """The generated name of this attempt, at most 50 characters."""
    namespace: str
    template: tasks_pb2.TaskTemplate
    input_uri: str
    output_prefix: str
    raw_output_prefix: str
    checkpoint_prefix: str = ""
    previous_checkpoint_prefix: str = ""
    inputs: literals_pb2.LiteralMap = field(default_factory=literals_pb2.LiteralMap)
    overrides: workflow_pb2.TaskNodeOverrides | None = None
    workflow: str = ""
    """`project:domain:name` of the workflow that runs."""
    envs: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    interruptible: bool = False
    default_resources: Mapping[str, str] = field(default_factory=dict)
    resource_limits: Mapping[str, str] = field(default_factory=dict)
    console_url: str = ""
    """Where the console is, if it is known."""
    failures: tuple[str, ...] = ()
    """What each attempt before this one died of: codes, oldest first. `OOMKilled` is a want of memory."""

    @cached_property
    def image(self) -> str:
        """The image of the task's container, the node's override first."""
        override = self.overrides.container_image if self.overrides is not None else ""
        return override or self.template.container.image

    @cached_property
    def command(self) -> tuple[str, ...]:
        """The container's command, rendered."""
        return tuple(self.render(part) for part in self.template.container.command)

    @cached_property
    def args(self) -> tuple[str, ...]:
        """The container's arguments, rendered."""
        return tuple(self.render(part) for part in self.template.container.args)

    @cached_property
    def environment(self) -> dict[str, str]:
        """The variables that flytekit reads, in the order they are appended to a container's own."""
        task = self.template.id
        return {
            "FLYTE_INTERNAL_EXECUTION_WORKFLOW": self.workflow,
            "FLYTE_INTERNAL_EXECUTION_ID": self.key.name,
            "FLYTE_INTERNAL_EXECUTION_PROJECT": self.key.project,
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": self.key.domain,
            "FLYTE_ATTEMPT_NUMBER": str(self.attempt),
            **self._execution_url,
            "FLYTE_INTERNAL_TASK_PROJECT": task.project,
            "FLYTE_INTERNAL_TASK_DOMAIN": task.domain,
            "FLYTE_INTERNAL_TASK_NAME": task.name,
            "FLYTE_INTERNAL_TASK_VERSION": task.version,
            **self.envs,
        }

    @property
    def template_uri(self) -> str:
        """Where a command that names `{{ .taskTemplatePath }}` finds the task's template."""
        return f"{self.output_prefix}/task.pb"

    @property
    def wants_template(self) -> bool:
        """Whether the command names the file of the task's template, so that it must be there."""
        if self.template.HasField("k8s_pod"):
            return "tasktemplatepath" in str(self.template.k8s_pod.pod_spec).lower()
        container = self.template.container
        return any("tasktemplatepath" in part.lower() for part in (*container.command, *container.args))

    @property
    def _execution_url(self) -> dict[str, str]:
        if not self.console_url or "link_type" not in self.template.config:
            return {}
        key = self.key
        path = (
            f"projects/{key.project}/domains/{key.domain}/executions/{key.name}/nodeId/{self.node_id}/nodes"
        )
        return {"FLYTE_EXECUTION_URL": f"{self.console_url}/{path}"}

    def render(self, text: str) -> str:
        """`text` with the command template variables of propeller.md, section 4.1, filled in.

        Raises TaskError for an input that the task does not have.
        """
        return render(text, self._variables, self.inputs) if "{{" in text else text

    @cached_property
    def _variables(self) -> dict[str, str]:
        return {
            "input": self.input_uri,
            "inputprefix": self.input_uri.rsplit("/", 1)[0],
            "outputprefix": self.output_prefix,
            "rawoutputdataprefix": self.raw_output_prefix,
            "checkpointoutputprefix": self.checkpoint_prefix,
            "prevcheckpointprefix": self.previous_checkpoint_prefix or '""',
            "perretryuniquekey": re.sub(r"[^a-zA-Z0-9]", "_", re.sub(r"^[^a-zA-Z]", "a", self.name)),
            "tasktemplatepath": self.template_uri,
            "namespace": self.namespace,
        }
