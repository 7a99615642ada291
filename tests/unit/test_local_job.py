"""Objects with a pod template, run by real processes, with the example plugin's own functions."""

import asyncio
import importlib.util
import time
import venv
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lacewing import ResourceKind, TaskError, TaskPhase
from lacewing.adapters.local import LocalCluster
from lacewing.adapters.local_job import LocalJobs
from lacewing.testing import make_task

EXAMPLE = Path(__file__).parents[2] / "examples/lacewing-job/lacewing_job.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lacewing_job_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[LocalJobs]:
    environment = tmp_path / "venv"
    venv.create(environment)
    pods = LocalCluster(
        tmp_path,
        default_python=environment / "bin/python",
        slots=2,
        cpus=2,
        memory_bytes=4e9,
        images={"*": environment},
    )
    await pods.start()
    yield LocalJobs(pods, tmp_path)
    await pods.close(kill=True)


async def over(jobs: LocalJobs, backend: Any, task: Any) -> Any:
    handle = await backend.launch(jobs, task)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        seen = await backend.observe(jobs, task, handle)
        if seen.phase.terminal:
            return seen
        await asyncio.sleep(0.05)
    raise AssertionError("the job did not end")


async def test_the_example_plugin_runs_here_as_it_is(jobs: LocalJobs, example: ModuleType):
    backend = example.JobBackend(example.JobSettings())
    assert (await over(jobs, backend, make_task(args=["true"]))).phase is TaskPhase.SUCCEEDED


async def test_a_job_whose_pod_fails_has_failed(jobs: LocalJobs, example: ModuleType):
    backend = example.JobBackend(example.JobSettings())
    seen = await over(jobs, backend, make_task(args=["sh", "-c", "exit 3"]))
    assert (seen.phase, seen.code) == (TaskPhase.RETRYABLE, "JobFailed")


async def test_a_deleted_job_takes_its_pod_along(jobs: LocalJobs, example: ModuleType):
    backend, task = example.JobBackend(example.JobSettings()), make_task(args=["sleep", "60"])
    handle = await backend.launch(jobs, task)
    await backend.abort(jobs, task, handle)
    assert (await backend.observe(jobs, task, handle)).code == "ResourceDeletedExternally"


async def test_an_object_without_a_pod_template_is_refused(jobs: LocalJobs):
    kind = ResourceKind("example.org", "v1", "things", "Thing")
    with pytest.raises(TaskError, match="this Thing has none"):
        await jobs.create(kind, {"metadata": {"name": "x", "namespace": "ns"}, "spec": {}})
