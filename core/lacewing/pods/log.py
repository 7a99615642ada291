"""Links to the logs of pods, from templates of the platform. Pure.

Rules: plugins.md, section 3.6. A variable without a value stays as text, so that whoever follows the
link sees what is missing.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from lacewing.model.phases import TaskPhase
from lacewing.model.task import Link, Manifest, TaskContext
from lacewing.pods.build import primary_name
from lacewing.pods.moment import created_at, parsed, seen_at

_VARIABLE = re.compile(r"\{\{\s*[.$]([A-Za-z]\w*(?:\.[^\s}]+)?)\s*\}\}")


class LogTemplate(BaseModel, extra="forbid", frozen=True):
    """A link of each attempt."""

    name: str = Field(description="What the link is called.")
    uris: list[str] = Field(description="Its addresses, with variables as `{{ .podName }}`.")
    show_while_pending: bool = Field(False, description="Whether it is there before the pod runs.")
    hide_once_finished: bool = Field(False, description="Whether it goes when the attempt is over.")


def log_links(
    templates: Sequence[LogTemplate], task: TaskContext, pod: Manifest, phase: TaskPhase, suffix: str = ""
) -> tuple[Link, ...]:
    """The links of an attempt whose pod is `pod`, in the order of the templates."""
    shown = [one for one in templates if _shown(one, phase)]
    if not shown:
        return ()
    values = _variables(task, pod)
    return tuple(Link(one.name + suffix, _filled(uri, values)) for one in shown for uri in one.uris)


def _shown(template: LogTemplate, phase: TaskPhase) -> bool:
    if phase.terminal:
        return not template.hide_once_finished
    return phase is TaskPhase.RUNNING or template.show_while_pending


def _filled(uri: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match.group(1).lower()) or match.group(0), uri)


def _variables(task: TaskContext, pod: Manifest) -> dict[str, str]:
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    name = primary_name(pod) if spec.get("containers") else ""
    statuses = status.get("containerStatuses") or ()
    container: Mapping[str, Any] = next((one for one in statuses if one["name"] == name), {})
    began, ended = created_at(pod), _ended(container) or seen_at(pod)
    identifier, key = task.template.id, task.key
    values = {
        "logName": metadata["name"],
        "podName": metadata["name"],
        "podUID": metadata.get("uid", ""),
        "namespace": metadata.get("namespace", task.namespace),
        "containerName": name,
        "containerID": container.get("containerID", "").rpartition("://")[2],
        "hostname": spec.get("hostname", ""),
        "nodeName": spec.get("nodeName", ""),
        "podRFC3339StartTime": _text(began),
        "podRFC3339FinishTime": _text(ended),
        "podUnixStartTime": str(int(began.timestamp())) if began else "",
        "podUnixFinishTime": str(int(ended.timestamp())) if ended else "",
        "taskID": identifier.name,
        "taskVersion": identifier.version,
        "taskProject": identifier.project,
        "taskDomain": identifier.domain,
        "taskRetryAttempt": str(task.attempt),
        "nodeID": task.node_id,
        "generatedName": task.name,
        "executionName": key.name,
        "executionProject": key.project,
        "executionDomain": key.domain,
        **{f"taskConfig.{option}": value for option, value in task.template.config.items()},
    }
    return {variable.lower(): value for variable, value in values.items()}


def _ended(container: Mapping[str, Any]) -> datetime | None:
    return parsed(container.get("state", {}).get("terminated", {}).get("finishedAt"))


def _text(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""
