"""What pods' statuses mean."""

from dataclasses import replace
from typing import Any

import pytest
from lacewing import ErrorKind, Observation, TaskPhase
from lacewing.testing import make_task
from lacewing_container import ContainerBackend, ContainerSettings

USER, SYSTEM = ErrorKind.USER, ErrorKind.SYSTEM
RETRY, FAIL = TaskPhase.RETRYABLE, TaskPhase.PERMANENT
BEGAN = "2026-01-01T00:00:00Z"


def after(minutes: float) -> str:
    return f"2026-01-01T00:{int(minutes):02}:{round(minutes % 1 * 60):02}Z"


def ended(code: int, reason: str = "") -> dict[str, Any]:
    reason = reason or ("Error" if code else "Completed")
    return {"terminated": {"exitCode": code, "reason": reason, "message": "last words", "startedAt": BEGAN}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


RUNNING = {"running": {"startedAt": BEGAN}}


def pod(phase: str, *, primary: str = "main", minutes: float = 0, **status: Any) -> dict[str, Any]:
    """A pod seen so many minutes after it was made; `main`, `side` and `init` are states of containers."""
    containers = {name: status.pop(name) for name in ("init", "main", "side") if name in status}
    listed = [{"name": name, "state": state} for name, state in containers.items()]
    annotations = {"primary_container_name": primary} if primary else {}
    limits = {"resources": {"limits": {"memory": "256Mi"}}}
    return {
        "metadata": {
            "name": "a1b2c3-n0-0",
            "creationTimestamp": BEGAN,
            "annotations": {**annotations, "lacewing.dev/observed-at": after(minutes)},
        },
        "spec": {
            "containers": [{"name": "main", **limits}, {"name": "side"}],
            "initContainers": [{"name": "init", **limits}],
        },
        "status": {
            "phase": phase,
            "initContainerStatuses": [one for one in listed if one["name"] == "init"],
            "containerStatuses": [one for one in listed if one["name"] != "init"],
            **status,
        },
    }


def seen(observed: dict[str, Any], **settings: Any) -> Observation:
    return ContainerBackend(ContainerSettings(**settings)).phase(make_task(), observed)


@pytest.mark.parametrize(
    ("observed", "phase", "code", "kind"),
    [
        (pod("Succeeded", main=ended(0)), TaskPhase.SUCCEEDED, "", USER),
        (pod("Succeeded", main=ended(0), side=ended(137, "OOMKilled")), RETRY, "OOMKilled", USER),
        (pod("Failed", main=ended(1)), RETRY, "Error", USER),
        (pod("Failed", main=ended(143)), RETRY, "Error", USER),
        (pod("Failed", main=ended(137)), RETRY, "Interrupted", SYSTEM),
        (pod("Failed", main=ended(247)), RETRY, "Interrupted", SYSTEM),
        (pod("Failed", main=ended(137, "OOMKilled")), RETRY, "OOMKilled", USER),
        (pod("Failed", main=ended(0), side=ended(137)), RETRY, "Interrupted", USER),
        (pod("Failed", main=ended(0), side=ended(137), primary=""), RETRY, "Interrupted", SYSTEM),
        (pod("Failed", init=ended(2), main=waiting("PodInitializing")), RETRY, "Error", USER),
        (pod("Failed", reason="Evicted", message="low on disk"), RETRY, "Evicted", USER),
        (pod("Failed", reason="Evicted", main=ended(137)), RETRY, "Interrupted", SYSTEM),
        (pod("Failed", reason="OutOfcpu"), RETRY, "OutOfcpu", USER),
        (pod("Failed", reason="UnexpectedAdmissionError"), RETRY, "UnexpectedAdmissionError", USER),
        *((pod("Failed", reason=reason, main=ended(1)), RETRY, "Interrupted", SYSTEM) for reason in
          ("Shutdown", "Terminated", "NodeShutdown", "NodeAffinity", "NodeLost")),
        (pod("Failed"), RETRY, "Interrupted", SYSTEM),
        (pod("Failed", main=ended(0)), RETRY, "Interrupted", SYSTEM),
        (pod("Running", main=RUNNING), TaskPhase.RUNNING, "", USER),
        (pod("Running", main=ended(0), side=RUNNING), TaskPhase.SUCCEEDED, "", USER),
        (pod("Running", main=ended(1), side=RUNNING), RETRY, "Error", USER),
        (pod("Running", main=ended(137), side=RUNNING), RETRY, "Interrupted", SYSTEM),
        (pod("Running", main=ended(137, "OOMKilled"), side=RUNNING), RETRY, "OOMKilled", USER),
        (pod("Running", main=RUNNING, side=ended(1)), TaskPhase.RUNNING, "", USER),
        (pod("Running", side=RUNNING), TaskPhase.RUNNING, "", USER),
        (pod("Running", side=RUNNING, primary="gone"), FAIL, "PrimaryContainerNotFound", USER),
        (pod("Running", main=ended(0), side=RUNNING, primary=""), TaskPhase.RUNNING, "", USER),
        (pod("Running", main=ended(0), side=ended(0), primary=""), TaskPhase.SUCCEEDED, "", USER),
        (pod("Running", main=ended(0), side=ended(1), primary=""), TaskPhase.RUNNING, "", USER),
        (pod("Unknown", main=RUNNING), TaskPhase.RUNNING, "", USER),
    ],
)  # fmt: skip
def test_a_pods_phase_and_its_containers_say_how_the_attempt_is(observed, phase, code, kind):
    found = seen(observed)
    assert (found.phase, found.code, found.kind) == (phase, code, kind)


@pytest.mark.parametrize("code", [1, 2, 137, 143, 247])
def test_an_exit_is_judged_the_same_before_and_after_the_pod_is_over(code):
    early = seen(pod("Running", main=ended(code), side=RUNNING))
    late = seen(pod("Failed", main=ended(code)))
    assert early == late


def test_a_failure_shows_what_the_container_wrote_last():
    reason = seen(pod("Failed", main=ended(3))).reason
    assert "[main] terminated with exit code (3). Reason [Error]. Message: \nlast words." in reason


def test_who_ran_out_of_memory_is_told_with_its_limit():
    assert (
        "[main] used more than its memory limit of 256Mi."
        in seen(pod("Failed", main=ended(137, "OOMKilled"))).reason
    )
    side = pod("Failed", main=ended(0), side=ended(137, "OOMKilled"))
    assert "[side] used more than the memory there was." in seen(side).reason


def test_a_restarted_sidecar_that_ran_out_of_memory_is_remembered():
    observed = pod("Succeeded", main=ended(0))
    before = {"name": "init", "state": ended(0), "lastState": ended(137, "OOMKilled")}
    observed["status"]["initContainerStatuses"] = [before]
    assert seen(observed).code == "OOMKilled"


def test_the_start_is_the_primary_containers():
    late = {"running": {"startedAt": "2026-01-01T00:05:00Z"}}
    assert seen(pod("Running", side=RUNNING, main=late)).started_at.minute == 5
    assert seen(pod("Running", side=RUNNING)).started_at is None


READY = {
    "type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": BEGAN,
    "message": "containers with unready status: [main]",
}  # fmt: skip
PULL = 'Back-off pulling image "x"'


@pytest.mark.parametrize(
    ("reason", "message", "minutes", "phase", "kind"),
    [
        ("ContainerCreating", "", 600 / 60, TaskPhase.INITIALIZING, USER),
        ("PodInitializing", "", 10, TaskPhase.INITIALIZING, USER),
        ("ErrImagePull", PULL, 2.5, TaskPhase.INITIALIZING, USER),
        ("ErrImagePull", PULL, 3, RETRY, USER),
        ("ImagePullBackOff", PULL, 2.5, TaskPhase.INITIALIZING, USER),
        ("ImagePullBackOff", PULL, 3, RETRY, USER),
        ("CreateContainerError", "no space", 2.5, TaskPhase.INITIALIZING, USER),
        ("CreateContainerError", "no space", 3.5, FAIL, USER),
        ("CreateContainerConfigError", "no user", 0, FAIL, USER),
        ("CreateContainerConfigError", 'secret "s" not found', 2, TaskPhase.INITIALIZING, USER),
        ("CreateContainerConfigError", 'secret "s" not found', 3, RETRY, SYSTEM),
        ("InvalidImageName", "", 0, FAIL, USER),
        ("CrashLoopBackOff", "", 0, RETRY, SYSTEM),
        ("RegistryUnavailable", "", 0, RETRY, SYSTEM),
    ],
)
@pytest.mark.parametrize("place", ["main", "init"])
def test_a_container_that_cannot_start_fails_in_its_time(place, reason, message, minutes, phase, kind):
    states = {"main": waiting("PodInitializing"), place: waiting(reason, message)}
    found = seen(pod("Pending", minutes=minutes, conditions=[READY], **states))
    assert (found.phase, found.kind) == (phase, kind)
    told = found.code if found.phase.terminal else found.reason
    assert f"ContainersNotReady|{reason}" in told
    assert message in found.reason


def test_a_failure_after_its_grace_says_how_long_that_was():
    observed = pod("Pending", minutes=4, conditions=[READY], main=waiting("ImagePullBackOff", PULL))
    text = f"Grace period [3m0s] exceeded|containers with unready status: [main]|{PULL}"
    assert seen(observed).reason == text
    assert seen(observed, image_pull_grace_seconds=3700).phase is TaskPhase.INITIALIZING
    short = seen(observed, image_pull_grace_seconds=90.5)
    assert short.reason.startswith("Grace period [1m30.5s] exceeded|")


def test_the_grace_of_a_container_begins_when_the_one_before_it_ended():
    done = ended(0)
    done["terminated"]["finishedAt"] = after(8)
    states = {"init": done, "main": waiting("ErrImagePull", PULL)}
    assert seen(pod("Pending", minutes=10, conditions=[READY], **states)).phase is TaskPhase.INITIALIZING
    assert seen(pod("Pending", minutes=11, conditions=[READY], **states)).phase is RETRY


def test_a_pod_that_tells_no_time_waits():
    observed = {"metadata": {"name": "x"}, "status": pod("Pending", main=waiting("ErrImagePull"))["status"]}
    assert seen(observed).phase is TaskPhase.INITIALIZING


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
        {"type": "Unschedulable", "reason": "Unschedulable", "message": "0/3 nodes"},
    ],
)
def test_a_pod_without_a_node_is_queued_and_says_why(condition):
    found = seen(pod("Pending", conditions=[condition], minutes=50))
    assert (found.phase, found.reason) == (TaskPhase.QUEUED, "Unschedulable:0/3 nodes")


def test_a_pod_may_be_pending_for_as_long_as_the_platform_says():
    observed = pod("Pending", minutes=10)
    assert seen(observed).phase is TaskPhase.QUEUED
    found = seen(observed, pending_timeout_seconds=600)
    assert (found.phase, found.code, found.kind) == (RETRY, "PodPendingTimeout", USER)
    assert seen(observed, pending_timeout_seconds=601).phase is TaskPhase.QUEUED


def test_links_come_from_the_pod_the_settings_and_the_type_that_the_task_names():
    task = make_task()
    task.template.config["link_type"] = "other, board"
    template = {"name": "Site", "uris": ["https://logs.example.org/{{ .podName }}"]}
    board = [{"name": "Board", "uris": ["https://board.example.org/{{ .taskConfig.link_type }}"]}]
    settings = ContainerSettings(log_templates=[template], dynamic_log_templates={"board": board})
    observed = pod("Running", main=RUNNING)
    observed["metadata"]["annotations"]["lacewing.dev/log-uri"] = "http://here/log"
    links = ContainerBackend(settings).phase(task, observed).links
    assert [(link.name, link.uri) for link in links] == [
        ("Logs", "http://here/log"),
        ("Site (User)", "https://logs.example.org/a1b2c3-n0-0"),
        ("Board", "https://board.example.org/other, board"),
    ]
    assert not ContainerBackend(settings).phase(replace(make_task()), pod("Pending")).links
