"""Links to logs."""

from dataclasses import replace
from typing import Any

import pytest
from lacewing.model.phases import TaskPhase
from lacewing.pods import LogTemplate, log_links, seen_at
from lacewing.testing import make_task

POD: dict[str, Any] = {
    "metadata": {
        "name": "a1b2c3-n0-0", "namespace": "ns", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"primary_container_name": "main"},
    },
    "spec": {"nodeName": "node-7", "containers": [{"name": "side"}, {"name": "main"}]},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {"name": "side", "containerID": "containerd://wrong"},
            {
                "name": "main", "containerID": "containerd://c0ffee",
                "state": {"terminated": {"finishedAt": "2026-01-01T00:01:00Z"}},
            },
        ],
    },
}  # fmt: skip


def uri(text: str, task=None) -> str:
    template = LogTemplate(name="Logs", uris=[text])
    (link,) = log_links([template], task or make_task(), POD, TaskPhase.RUNNING)
    return link.uri


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        (
            "{{ .podName }}_{{ .namespace }}_{{.containerName}}-{{ $containerID }}",
            "a1b2c3-n0-0_ns_main-c0ffee",
        ),
        ("{{ .PODUID }}/{{ .nodeName }}", "u1/node-7"),
        (
            "{{ .podRFC3339StartTime }}..{{ .podRFC3339FinishTime }}",
            "2026-01-01T00:00:00Z..2026-01-01T00:01:00Z",
        ),
        ("{{ .podUnixStartTime }}-{{ .podUnixFinishTime }}", "1767225600-1767225660"),
        ("{{ .taskID }}@{{ .taskVersion }}#{{ .taskRetryAttempt }}", "example.work@v1#0"),
        (
            "{{ .executionProject }}/{{ .executionDomain }}/{{ .executionName }}/{{ .nodeID }}",
            "flytesnacks/development/a1b2c3/n0",
        ),
        ("{{ .hostname }}?{{ .nonsense }}", "{{ .hostname }}?{{ .nonsense }}"),
    ],
)
def test_variables_are_filled_and_those_without_a_value_stay(text, filled):
    assert uri(text) == filled


def test_a_link_may_use_the_tasks_config():
    task = make_task()
    task.template.config["workspace"] = "w1"
    assert uri("{{ .taskConfig.workspace }}", task) == "w1"


@pytest.mark.parametrize(
    ("phase", "names"),
    [
        (TaskPhase.QUEUED, ["early"]),
        (TaskPhase.INITIALIZING, ["early"]),
        (TaskPhase.RUNNING, ["plain", "early", "live"]),
        (TaskPhase.SUCCEEDED, ["plain", "early"]),
        (TaskPhase.RETRYABLE, ["plain", "early"]),
    ],
)
def test_links_come_and_go_with_the_phase(phase, names):
    templates = [
        LogTemplate(name="plain", uris=["u"]),
        LogTemplate(name="early", uris=["u"], show_while_pending=True),
        LogTemplate(name="live", uris=["u"], hide_once_finished=True),
    ]
    found = log_links(templates, make_task(), POD, phase, " (User)")
    assert [link.name for link in found] == [f"{name} (User)" for name in names]


def test_an_object_tells_how_late_it_is():
    assert seen_at(POD).isoformat() == "2026-01-01T00:01:00+00:00"
    noted = {"lacewing.dev/observed-at": "2026-01-01T02:00:00+01:00"}
    assert seen_at(replace_annotations(noted)).isoformat() == "2026-01-01T01:00:00+00:00"
    fields = [{"manager": "kubelet", "time": "2026-01-01T00:03:00Z", "fieldsV1": {"time": "nonsense"}}]
    updated = {**POD, "metadata": {**POD["metadata"], "managedFields": fields}}
    assert seen_at(updated).isoformat() == "2026-01-01T00:03:00+00:00"
    assert seen_at({"metadata": {}}) is None


def replace_annotations(annotations: dict[str, str]) -> dict[str, Any]:
    return {**POD, "metadata": {**POD["metadata"], "annotations": annotations}}


def test_the_name_of_the_attempt_is_a_variable():
    assert uri("{{ .generatedName }}", replace(make_task(), name="named")) == "named"
