"""Pods of tasks: what may describe one, and what the platform adds."""

from dataclasses import replace
from typing import Any

import pytest
from flyteidl.core import tasks_pb2, workflow_pb2
from lacewing.errors import TaskError
from lacewing.model.task import TaskContext
from lacewing.pods import PodSettings, build_pod, primary_container, primary_name
from lacewing.testing import make_task


def other(base: TaskContext | None = None, **fields: Any) -> TaskContext:
    """A task with other fields in its template."""
    task = base or make_task()
    template = tasks_pb2.TaskTemplate()
    template.CopyFrom(task.template)
    template.ClearField("container")
    for name, value in fields.items():
        if name in ("custom", "pod_spec"):
            target = template.custom if name == "custom" else template.k8s_pod.pod_spec
            target.update(value)
        elif name == "config":
            template.config.update(value)
        else:
            setattr(template, name, value)
    return replace(task, template=template)


MAIN = {"name": "main", "image": "example.org/main", "args": ["run", "{{.input}}"]}
PRIMARY = {"primary_container_name": "main"}


def test_a_pod_is_rendered_in_every_container():
    spec = {"containers": [MAIN, {**MAIN, "name": "side"}], "initContainers": [{**MAIN, "name": "first"}]}
    task = other(pod_spec=spec, config=PRIMARY)
    built = build_pod(task)["spec"]
    for container in (*built["containers"], *built["initContainers"]):
        assert container["args"] == ["run", task.input_uri]
        assert {"name": "FLYTE_ATTEMPT_NUMBER", "value": "0"} in container["env"]


def test_whole_numbers_of_a_pod_stay_whole():
    ports = [{"containerPort": 8080}]
    pod = build_pod(other(pod_spec={"containers": [{**MAIN, "ports": ports}]}, config=PRIMARY))
    assert repr(primary_container(pod)["ports"]) == "[{'containerPort': 8080}]"


@pytest.mark.parametrize(
    ("fields", "marked"),
    [
        ({"pod_spec": {"containers": [MAIN]}}, True),
        ({"pod_spec": {"containers": [{"name": "side"}, MAIN]}}, False),
        (
            {"pod_spec": {"containers": [{"name": "side"}, MAIN]}, "type": "sidecar", "task_type_version": 2},
            True,
        ),
        ({"pod_spec": {"containers": [MAIN]}, "type": "raw-container"}, False),
    ],
)
def test_the_primary_container_decides_alone_where_it_is_annotated(fields, marked):
    pod = build_pod(other(config=PRIMARY, **fields))
    assert ("primary_container_name" in pod["metadata"]["annotations"]) is marked
    assert (primary_name(pod), primary_container(pod)["image"]) == ("main", "example.org/main")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no container and no pod"),
        ({"pod_spec": {"containers": [MAIN]}}, "config names no primary_container_name"),
        ({"pod_spec": {"containers": [{"name": "side"}]}, "config": PRIMARY}, r"primary container \[main\]"),
        ({"pod_spec": {"containers": ["x"]}, "config": PRIMARY}, "no list of named containers"),
        ({"pod_spec": {"containers": [{"image": "x"}]}, "config": PRIMARY}, "no list of named containers"),
        ({"pod_spec": {"containers": "x"}, "config": PRIMARY}, "containers of the pod of .* is no list"),
        ({"pod_spec": {"containers": [{**MAIN, "args": "x"}]}, "config": PRIMARY}, "args of container main"),
        ({"pod_spec": {"containers": [{**MAIN, "env": ["x"]}]}, "config": PRIMARY}, "no list of variables"),
        (
            {"pod_spec": {"containers": [{**MAIN, "resources": {"limits": 1}}]}, "config": PRIMARY},
            "limits of resources of .* is no map",
        ),
        (
            {"pod_spec": {"containers": [MAIN], "affinity": "x"}, "config": PRIMARY},
            "affinity of .* no map",
        ),
        ({"type": "sidecar"}, "no podSpec"),
        ({"type": "sidecar", "custom": {"podSpec": {}}}, "no primaryContainerName"),
        ({"type": "sidecar", "task_type_version": 1, "custom": {}}, "config names no primary_container_name"),
        ({"type": "sidecar", "task_type_version": 2}, "no container and no pod"),
    ],
)
def test_a_task_that_describes_no_pod_is_refused_with_the_reason(fields, words):
    with pytest.raises(TaskError, match=words):
        build_pod(other(**fields))


def test_a_pod_with_a_data_config_is_refused():
    task = other(pod_spec={"containers": [MAIN]}, config=PRIMARY)
    task.template.k8s_pod.data_config.enabled = True
    with pytest.raises(TaskError, match="data config are not supported"):
        build_pod(task)


@pytest.mark.parametrize(
    "fields",
    [
        {
            "custom": {
                "podSpec": {"containers": [MAIN]}, "primaryContainerName": "main", "labels": {"l": "1"},
                "annotations": {"a": "1"},
            }
        },
        {"task_type_version": 1, "custom": {"containers": [MAIN]}, "config": PRIMARY},
    ],
)  # fmt: skip
def test_sidecar_tasks_of_old_clients_are_understood(fields):
    pod = build_pod(other(type="sidecar", **fields))
    assert primary_container(pod)["image"] == "example.org/main"
    assert pod["metadata"]["annotations"]["primary_container_name"] == "main"
    if "task_type_version" not in fields:
        assert (pod["metadata"]["labels"], pod["metadata"]["annotations"]["a"]) == ({"l": "1"}, "1")


def test_the_nodes_pod_takes_the_place_of_the_tasks():
    overrides = workflow_pb2.TaskNodeOverrides(container_image="example.org/last")
    overrides.pod_template.pod_spec.update({"containers": [{**MAIN, "name": "other"}], "hostname": "h"})
    overrides.pod_template.primary_container_name = "other"
    overrides.pod_template.metadata.labels["from"] = "node"
    pod = build_pod(replace(make_task(), overrides=overrides))
    (container,) = pod["spec"]["containers"]
    assert (container["name"], container["image"], pod["spec"]["hostname"]) == (
        "other",
        "example.org/last",
        "h",
    )
    assert pod["metadata"]["labels"]["from"] == "node"


def test_a_container_is_named_as_the_attempt_if_it_can_be():
    assert primary_name(build_pod(make_task())) == "a1b2c3-n0-0"
    assert primary_name(build_pod(replace(make_task(), name="a1b2c3-myNode_1-0"))) == "a1b2c3-my-node-1-0"


def test_the_service_account_is_the_pods_then_the_executions_then_the_tasks():
    task = make_task()
    task.template.security_context.run_as.k8s_service_account = "task"
    templates = {"pod_templates": {"t": {"spec": {"serviceAccountName": "template"}}}}
    settings = PodSettings(default_pod_template="t", **templates)

    def account(task: TaskContext, settings: PodSettings) -> str:
        return build_pod(task, settings)["spec"]["serviceAccountName"]

    assert account(task, PodSettings()) == "task"
    assert account(task, settings) == "template"
    assert account(replace(task, service_account="execution"), settings) == "execution"
    own = {"containers": [MAIN], "serviceAccountName": "pod"}
    own_task = other(replace(task, service_account="execution"), pod_spec=own, config=PRIMARY)
    assert account(own_task, settings) == "pod"


def test_what_the_platform_sets_yields_to_the_pods_own():
    settings = PodSettings(
        scheduler_name="ours",
        default_pod_security_context={"runAsUser": 1000},
        default_security_context={"allowPrivilegeEscalation": False},
        dns_config={"options": []},
        host_network=False,
        image_pull_policy="IfNotPresent",
    )
    pod = build_pod(make_task(), settings)
    assert primary_container(pod)["imagePullPolicy"] == "IfNotPresent"
    assert primary_container(pod)["securityContext"] == {"allowPrivilegeEscalation": False}
    spec = pod["spec"]
    assert (spec["schedulerName"], spec["securityContext"]) == ("ours", {"runAsUser": 1000})
    assert (spec["dnsConfig"], spec["hostNetwork"]) == ({"options": []}, False)
    own = {"containers": [{**MAIN, "securityContext": {"runAsUser": 1}}], "schedulerName": "own"}
    pod = build_pod(other(pod_spec=own, config=PRIMARY), settings)
    assert pod["spec"]["schedulerName"] == "own"
    assert primary_container(pod)["securityContext"] == {"runAsUser": 1}
    assert "imagePullPolicy" not in primary_container(pod)


def test_variables_come_once_and_the_platforms_last():
    settings = PodSettings(
        default_env={"SITE": "here", "FLYTE_ATTEMPT_NUMBER": "9"},
        env_from_secrets=["s"],
        env_from_config_maps=["c"],
    )
    task = make_task(env=[{"key": "OWN", "value": "1"}, {"key": "SITE", "value": "mine"}])
    container = primary_container(build_pod(task, settings))
    values = {one["name"]: one["value"] for one in container["env"]}
    assert len(values) == len(container["env"])
    assert (values["OWN"], values["SITE"]) == ("1", "here")
    assert container["envFrom"] == [
        {"secretRef": {"name": "s", "optional": True}},
        {"configMapRef": {"name": "c", "optional": True}},
    ]


def shared(**fields: str) -> TaskContext:
    task = make_task()
    task.template.extended_resources.shared_memory.CopyFrom(tasks_pb2.SharedMemory(**fields))
    task.template.extended_resources.shared_memory.SetInParent()
    return task


def test_shared_memory_is_a_volume_in_memory():
    task = shared(mount_name="flyte-shared-memory", mount_path="/dev/shm", size_limit="1Gi")
    pod = build_pod(task)
    volume = {"name": "flyte-shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
    assert pod["spec"]["volumes"] == [volume]
    mount = {"name": "flyte-shared-memory", "mountPath": "/dev/shm"}
    assert primary_container(pod)["volumeMounts"] == [mount]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mount_name": "shm"}, "needs a mount_name and a mount_path"),
        ({"mount_path": "/dev/shm"}, "needs a mount_name and a mount_path"),
        ({"mount_name": "taken", "mount_path": "/dev/shm"}, "a volume 'taken' already"),
        ({"mount_name": "shm", "mount_path": "/taken"}, "mounted at /taken already"),
        ({"mount_name": "shm", "mount_path": "/dev/shm", "size_limit": "much"}, "'much' is not a quantity"),
    ],
)
def test_shared_memory_that_cannot_be_is_refused(fields, words):
    container = {"name": "primary", "volumeMounts": [{"name": "taken", "mountPath": "/taken"}]}
    spec = {"containers": [container], "volumes": [{"name": "taken", "emptyDir": {}}]}
    settings = PodSettings(pod_templates={"t": {"spec": spec}}, default_pod_template="t")
    with pytest.raises(TaskError, match=words):
        build_pod(shared(**fields), settings)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="default_toleration"):
        PodSettings(default_toleration=[])
