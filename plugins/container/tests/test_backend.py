"""Container tasks as pods, and pods as phases."""

from dataclasses import replace
from typing import Any

import pytest
from flyteidl.core import tasks_pb2, workflow_pb2
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

    @pytest.mark.parametrize(
        ("written", "rendered"),
        [
            ("{{.input}}", "/data/a1b2c3/n0/data/inputs.pb"),
            ("{{ $inputPrefix }}", "/data/a1b2c3/n0/data"),
            ("{{ .OUTPUTPREFIX }}", "/data/a1b2c3/n0/data/1"),
            ("{{.rawOutputDataPrefix}}", "/raw/ab/a1b2c3-n0-1"),
            ("{{.checkpointOutputPrefix}}", "/raw/ab/a1b2c3-n0-1/_flytecheckpoints"),
            ("{{.prevCheckpointPrefix}}", '""'),
            ("{{.perRetryUniqueKey}}", "a1b2c3_n0_1"),
            ("{{.taskTemplatePath}}", "/data/a1b2c3/n0/data/1/task.pb"),
            ("{{.namespace}}", "flytesnacks-development"),
            ("--{{.input}}={{.namespace}}", "--/data/a1b2c3/n0/data/inputs.pb=flytesnacks-development"),
            ("{{ .inputs.n }} {{.inputs.at}}", "7 1970-01-01T00:00:05Z"),
            ("{{ .inputs.xs }}", "[1,2]"),
            ("{{ .inputs.blob }}", "/some/where"),
            ("{{ .dest_dir }}", "{{ .dest_dir }}"),
        ],
    )
    def test_a_command_template_is_filled_in(self, written: str, rendered: str):
        task = make_task(attempt=1, command=["run", written], args=[written])
        inputs = task.inputs.literals
        inputs["n"].scalar.primitive.integer = 7
        inputs["at"].scalar.primitive.datetime.seconds = 5
        for number in (1, 2):
            inputs["xs"].collection.literals.add().scalar.primitive.integer = number
        inputs["blob"].scalar.blob.uri = "/some/where"
        (container,) = self.backend.build(task)["spec"]["containers"]
        assert (container["command"], container["args"]) == (["run", rendered], [rendered])

    def test_an_input_that_is_not_there_is_named(self):
        with pytest.raises(TaskError, match="asks for input 'nothing'"):
            self.backend.build(make_task(args=["{{.inputs.nothing}}"]))

    def test_the_environment_is_the_tasks_own_then_flytes_then_the_executions(self):
        task = replace(make_task(attempt=2), envs={"GIVEN": "at execution"})
        task.template.container.env.add(key="OWN", value="1")
        task.template.container.env.add(key="FLYTE_ATTEMPT_NUMBER", value="mine")
        (container,) = self.backend.build(task)["spec"]["containers"]
        assert {pair["name"]: pair["value"] for pair in container["env"]} == {
            "OWN": "1",
            "FLYTE_ATTEMPT_NUMBER": "2",
            "FLYTE_INTERNAL_EXECUTION_WORKFLOW": "flytesnacks:development:example.wf",
            "FLYTE_INTERNAL_EXECUTION_ID": "a1b2c3",
            "FLYTE_INTERNAL_EXECUTION_PROJECT": "flytesnacks",
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": "development",
            "FLYTE_INTERNAL_TASK_PROJECT": "flytesnacks",
            "FLYTE_INTERNAL_TASK_DOMAIN": "development",
            "FLYTE_INTERNAL_TASK_NAME": "example.work",
            "FLYTE_INTERNAL_TASK_VERSION": "v1",
            "GIVEN": "at execution",
        }

    def test_a_task_with_a_link_type_knows_its_page(self):
        task = replace(make_task(), console_url="http://host/console")
        assert "FLYTE_EXECUTION_URL" not in task.environment
        linked = replace(make_task(), console_url="http://host/console")
        linked.template.config["link_type"] = "wandb"
        path = "projects/flytesnacks/domains/development/executions/a1b2c3/nodeId/n0/nodes"
        assert linked.environment["FLYTE_EXECUTION_URL"] == f"http://host/console/{path}"

    def test_resources_are_the_nodes_then_the_tasks_then_the_platforms(self):
        overrides = workflow_pb2.TaskNodeOverrides()
        overrides.resources.requests.add(name=tasks_pb2.Resources.CPU, value="3")
        task = make_task()
        task.template.container.resources.requests.add(name=tasks_pb2.Resources.CPU, value="1")
        task.template.container.resources.limits.add(name=tasks_pb2.Resources.MEMORY, value="2Gi")
        task = replace(
            task,
            overrides=overrides,
            default_resources={"cpu": "500m", "ephemeral-storage": "1Gi"},
            resource_limits={"cpu": "2", "memory": "8Gi"},
        )
        (container,) = self.backend.build(task)["spec"]["containers"]
        amounts = {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "1Gi"}
        assert container["resources"] == {"requests": amounts, "limits": amounts}

    def test_a_raw_container_runs_its_shell_command_and_one_with_data_is_refused(self):
        task = make_task(
            "raw-container", command=["sh", "-c"], args=["echo {{.inputs.x}} > {{.outputPrefix}}/x"]
        )
        task.inputs.literals["x"].scalar.primitive.string_value = "text"
        (container,) = self.backend.build(task)["spec"]["containers"]
        assert container["args"] == [f"echo text > {task.output_prefix}/x"]
        task.template.container.data_config.enabled = True
        with pytest.raises(TaskError, match="data config are not supported"):
            self.backend.build(task)

    def test_a_task_without_a_container_is_refused(self):
        task = make_task()
        task.template.ClearField("container")
        with pytest.raises(TaskError, match="no container"):
            self.backend.build(task)
