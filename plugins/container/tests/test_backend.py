"""Container tasks as pods, and pods as phases."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import tasks_pb2, workflow_pb2
from lacewing import ErrorKind, TaskContext, TaskError, TaskPhase
from lacewing.testing import BackendContract, make_task
from lacewing_container import ContainerBackend, ContainerSettings


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
        amounts = {"cpu": "2", "memory": "2Gi"}
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
        with pytest.raises(TaskError, match="no container and no pod"):
            self.backend.build(task)


GOLDEN = Path(__file__).parent / "golden"
R = tasks_pb2.Resources
ARGS = ["pyflyte-execute", "--inputs", "{{.input}}", "--output-prefix", "{{.outputPrefix}}"]


def entries(**amounts: str) -> list[tasks_pb2.Resources.ResourceEntry]:
    return [R.ResourceEntry(name=R.ResourceName.Value(name), value=value) for name, value in amounts.items()]


def python_task() -> TaskContext:
    """As flytekit sends a task with resources."""
    asked = R(requests=entries(CPU="500m", MEMORY="256Mi"), limits=entries(MEMORY="512Mi"))
    return make_task(args=ARGS, env=[{"key": "OWN", "value": "1"}], resources=asked)


def pod_task() -> TaskContext:
    """As flytekit sends a task with a pod template that has a sidecar."""
    task = make_task()
    task.template.ClearField("container")
    task.template.k8s_pod.pod_spec.update(
        {
            "containers": [
                {"name": "primary", "image": "example.org/image:1", "args": ARGS, "resources": {}},
                {"name": "side", "image": "example.org/side:1", "ports": [{"containerPort": 8080}]},
            ],
            "initContainers": [{"name": "prepare", "image": "example.org/prepare:1"}],
            "runtimeClassName": "gvisor",
            "imagePullSecrets": [{"name": "pull"}],
        }
    )
    task.template.k8s_pod.metadata.labels["team"] = "data"
    task.template.config["primary_container_name"] = "primary"
    return replace(task, default_resources={"cpu": "2", "memory": "200Mi"})


def sidecar() -> TaskContext:
    """As clients before task type version 2 sent pods."""
    task = make_task("sidecar")
    task.template.ClearField("container")
    containers = [{"name": "main", "image": "example.org/image:1", "args": ARGS}, {"name": "side"}]
    task.template.custom.update(
        {"podSpec": {"containers": containers}, "primaryContainerName": "main", "labels": {"team": "data"}}
    )
    return task


def gpu_task() -> TaskContext:
    """A task with a GPU and shared memory, interruptible, with a node's overrides."""
    task = make_task(args=ARGS, resources=R(limits=entries(GPU="2", CPU="4")))
    task.template.extended_resources.gpu_accelerator.device = "nvidia-tesla-a100"
    memory = tasks_pb2.SharedMemory(mount_name="flyte-shared-memory", mount_path="/dev/shm")
    overrides = workflow_pb2.TaskNodeOverrides(container_image="example.org/other:2")
    overrides.resources.requests.extend(entries(MEMORY="64Gi"))
    overrides.extended_resources.shared_memory.CopyFrom(memory)
    limits = {"cpu": "2", "memory": "32Gi", "nvidia.com/gpu": "1"}
    return replace(
        task, overrides=overrides, interruptible=True, resource_limits=limits, service_account="runner"
    )


PLATFORM = ContainerSettings.model_validate(
    {
        "default_cpu": "1000m",
        "default_memory": "1024Mi",
        "image_pull_policy": "IfNotPresent",
        "default_labels": {"site": "one"},
        "default_env": {"SITE": "one"},
        "env_from_secrets": ["site"],
        "scheduler_name": "ours",
        "default_node_selector": {"pool": "tasks"},
        "interruptible_node_selector": {"pool": "spot"},
        "interruptible_requirement": {"key": "spot", "operator": "In", "values": ["true"]},
        "interruptible_tolerations": [{"key": "spot", "operator": "Exists"}],
        "tolerated_resources": ["nvidia.com/gpu"],
        "default_pod_security_context": {"runAsNonRoot": True},
        "default_security_context": {"allowPrivilegeEscalation": False},
        "dns_config": {"options": [{"name": "ndots", "value": "2"}]},
        "default_pod_template": "base",
        "pod_templates": {
            "base": {
                "metadata": {"annotations": {"from": "template"}},
                "spec": {
                    "priorityClassName": "tasks",
                    "imagePullSecrets": [{"name": "site"}],
                    "tolerations": [{"key": "tasks", "operator": "Exists"}],
                    "containers": [
                        {"name": "default", "image": "unused", "workingDir": "/root"},
                        {"name": "primary", "image": "unused", "resources": {"requests": {"cpu": "100m"}}},
                    ],
                },
            }
        },
    }
)


@pytest.mark.parametrize("platform", ["plain", "platform"])
@pytest.mark.parametrize("task", [python_task, pod_task, sidecar, gpu_task])
def test_a_task_becomes_its_recorded_pod(task, platform):
    settings = PLATFORM if platform == "platform" else ContainerSettings.model_validate({})
    recorded = json.loads((GOLDEN / f"{task.__name__}_{platform}.json").read_text())
    assert ContainerBackend(settings).build(task()) == recorded
