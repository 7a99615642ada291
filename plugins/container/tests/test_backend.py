"""Container tasks as pods, and pods as phases."""

from typing import Any

import pytest
from lacewing import ErrorKind, TaskError, TaskPhase
from lacewing.testing import BackendContract, make_task
from lacewing_container import ContainerBackend


def status(phase: str, **state: Any) -> dict[str, Any]:
    return {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]}


class TestContainer(BackendContract):
    backend = ContainerBackend()
    examples = (
        ({}, TaskPhase.QUEUED),
        (status("Pending", waiting={"reason": "ContainerCreating"}), TaskPhase.INITIALIZING),
        (status("Pending", waiting={"reason": "InvalidImageName"}), TaskPhase.PERMANENT),
        (status("Running", running={"startedAt": "2026-01-01T00:00:00Z"}), TaskPhase.RUNNING),
        (status("Succeeded", terminated={"exitCode": 0}), TaskPhase.SUCCEEDED),
        (status("Failed", terminated={"exitCode": 1, "reason": "Error"}), TaskPhase.RETRYABLE),
    )

    def test_a_killed_pod_is_the_systems_fault_and_an_exit_code_the_users(self):
        killed = {"metadata": {"name": "x"}, "status": status("Failed", terminated={"exitCode": 137})}
        exited = {"metadata": {"name": "x"}, "status": status("Failed", terminated={"exitCode": 3})}
        assert self.backend.phase(self.task, killed).kind is ErrorKind.SYSTEM
        assert self.backend.phase(self.task, exited).kind is ErrorKind.USER

    def test_running_out_of_memory_is_told_as_such(self):
        oom = status("Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})
        seen = self.backend.phase(self.task, {"metadata": {"name": "x"}, "status": oom})
        assert (seen.code, seen.kind) == ("OOMKilled", ErrorKind.USER)

    def test_the_command_is_rendered_and_flytekits_environment_is_there(self):
        task = make_task(args=["run", "{{.input}}", "{{ .outputPrefix }}", "{{.prevCheckpointPrefix}}"])
        (container,) = self.backend.build(task)["spec"]["containers"]
        assert container["args"] == ["run", task.input_uri, task.output_prefix, '""']
        names = {variable["name"]: variable["value"] for variable in container["env"]}
        assert names["FLYTE_INTERNAL_EXECUTION_ID"] == "a1b2c3"
        assert names["FLYTE_ATTEMPT_NUMBER"] == "0"

    def test_a_task_without_a_container_is_refused(self):
        task = make_task()
        task.template.ClearField("container")
        with pytest.raises(TaskError, match="no container"):
            self.backend.build(task)
