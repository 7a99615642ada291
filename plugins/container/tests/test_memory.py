"""More memory after an attempt that ran out of it."""

from dataclasses import replace

import pytest
from flyteidl.core import tasks_pb2
from lacewing import TaskContext, TaskPhase
from lacewing.pods import primary_container
from lacewing.testing import make_task
from lacewing_container import ContainerBackend, ContainerSettings

R = tasks_pb2.Resources
OOM, OTHER = "OOMKilled", "Interrupted"


def task(failures: tuple[str, ...], limit: str = "256Mi", ceiling: str = "") -> TaskContext:
    limits = [R.ResourceEntry(name=R.MEMORY, value=limit)] if limit else []
    requests = [R.ResourceEntry(name=R.MEMORY, value="128Mi")] if limit else []
    made = make_task(attempt=len(failures), resources=R(requests=requests, limits=limits))
    return replace(made, failures=failures, resource_limits={"memory": ceiling} if ceiling else {})


def backend(factor: float = 2.0, limit: str = "") -> ContainerBackend:
    return ContainerBackend(ContainerSettings(retry_memory_factor=factor, retry_memory_limit=limit))


@pytest.mark.parametrize(
    ("failures", "factor", "limit", "ceiling", "given"),
    [
        ((), 2.0, "", "", "256Mi"),
        ((OTHER,), 2.0, "", "", "256Mi"),
        ((OOM,), 1.0, "", "", "256Mi"),
        ((OOM,), 2.0, "", "", "512Mi"),
        ((OOM, OTHER), 2.0, "", "", "512Mi"),
        ((OOM, OTHER, OOM), 2.0, "", "", "1024Mi"),
        ((OOM,), 1.5, "", "", "384Mi"),
        ((OOM, OOM), 2.0, "600Mi", "", "600Mi"),
        ((OOM, OOM), 2.0, "", "700Mi", "700Mi"),
        ((OOM,), 2.0, "100Mi", "", "256Mi"),
    ],
)
def test_memory_grows_with_each_attempt_that_ran_out_of_it(failures, factor, limit, ceiling, given):
    pod = backend(factor, limit).build(task(failures, ceiling=ceiling))
    resources = primary_container(pod)["resources"]
    assert resources["limits"]["memory"] == given
    assert ("lacewing.dev/memory" in pod["metadata"]["annotations"]) is (given != "256Mi")


def test_the_request_grows_as_the_limit_does():
    resources = primary_container(backend().build(task((OOM,))))["resources"]
    assert resources["requests"]["memory"] == "256Mi"


def test_a_task_without_a_limit_gets_none():
    assert "resources" not in primary_container(backend().build(task((OOM,), limit="")))


def test_the_attempt_that_has_more_says_so_while_it_runs():
    made = task((OOM,))
    pod = backend().build(made)
    pod["metadata"]["name"] = made.name
    pod["status"] = {"phase": "Running"}
    seen = backend().phase(made, pod)
    words = "the memory limit was raised from 256Mi to 512Mi, since 1 attempt ran out of memory"
    assert (seen.phase, seen.reason) == (TaskPhase.RUNNING, words)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (backend(), " A further attempt, if there is one, is given 512Mi of memory instead of 256Mi."),
        (backend(limit="256Mi"), ""),
        (backend(1.0), ""),
    ],
)
def test_an_attempt_that_ran_out_of_memory_says_what_the_next_is_given(made, words):
    attempt = task(())
    pod = made.build(attempt)
    pod["metadata"]["name"] = attempt.name
    state = {"terminated": {"exitCode": 137, "reason": OOM}}
    pod["status"] = {"phase": "Failed", "containerStatuses": [{"name": attempt.name, "state": state}]}
    told, _, ends = made.phase(attempt, pod).reason.partition("\r\n")
    assert told == f"[{attempt.name}] used more than its memory limit of 256Mi.{words}"
    assert ends.startswith(f"[{attempt.name}] terminated with exit code (137)")
