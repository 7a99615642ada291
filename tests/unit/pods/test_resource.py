"""How the resources of a container are settled."""

from dataclasses import replace

import pytest
from flyteidl.core import tasks_pb2, workflow_pb2
from lacewing.errors import TaskError
from lacewing.model.task import TaskContext
from lacewing.pods import PodSettings, build_pod, primary_container, resources
from lacewing.testing import make_task

R = tasks_pb2.Resources
NAMES = {"cpu": R.CPU, "memory": R.MEMORY, "ephemeral-storage": R.EPHEMERAL_STORAGE, "gpu": R.GPU}


def amounts(requests: dict[str, str], limits: dict[str, str]) -> tasks_pb2.Resources:
    def entries(of: dict[str, str]) -> list[tasks_pb2.Resources.ResourceEntry]:
        return [R.ResourceEntry(name=NAMES[name], value=value) for name, value in of.items()]

    return R(requests=entries(requests), limits=entries(limits))


def task(
    requests: dict[str, str] | None = None,
    limits: dict[str, str] | None = None,
    override: tuple[dict[str, str], dict[str, str]] | None = None,
    defaults: dict[str, str] | None = None,
    ceilings: dict[str, str] | None = None,
) -> TaskContext:
    made = make_task(resources=amounts(requests or {}, limits or {}))
    overrides = workflow_pb2.TaskNodeOverrides(resources=amounts(*override)) if override else None
    return replace(
        made, overrides=overrides, default_resources=defaults or {}, resource_limits=ceilings or {}
    )


@pytest.mark.parametrize(
    ("given", "request_", "limit"),
    [
        ({}, None, None),
        ({"defaults": {"cpu": "2"}}, "2", "2"),
        ({"requests": {"cpu": "1"}}, "1", "1"),
        ({"limits": {"cpu": "3"}}, "3", "3"),
        ({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}, "1", "3"),
        ({"requests": {"cpu": "1"}, "defaults": {"cpu": "2"}}, "1", "1"),
        ({"requests": {"cpu": "4"}, "limits": {"cpu": "3"}}, "3", "3"),
        ({"requests": {"cpu": "4"}, "limits": {"cpu": "8"}, "ceilings": {"cpu": "6"}}, "4", "6"),
        ({"requests": {"cpu": "7"}, "ceilings": {"cpu": "6"}}, "6", "6"),
        ({"defaults": {"cpu": "7"}, "ceilings": {"cpu": "500m"}}, "500m", "500m"),
        ({"requests": {"cpu": "1"}, "override": ({"cpu": "2"}, {})}, "2", "2"),
        ({"requests": {"cpu": "2"}, "override": ({}, {"cpu": "1"})}, "1", "1"),
        ({"requests": {"cpu": "0"}, "defaults": {"cpu": "2"}}, "2", "2"),
    ],
)
def test_request_and_limit_come_from_the_first_that_says_and_stay_within_bounds(given, request_, limit):
    settled = resources(task(**given), PodSettings())
    assert settled.get("requests", {}).get("cpu") == request_
    assert settled.get("limits", {}).get("cpu") == limit


def test_the_settings_defaults_hold_where_the_platform_has_none():
    settings = PodSettings(default_cpu="1", default_memory="1Gi")
    settled = resources(task(defaults={"cpu": "2"}), settings)
    assert settled["requests"] == {"cpu": "2", "memory": "1Gi"}


def test_storage_and_gpus_are_never_given_unasked():
    settled = resources(task(defaults={"ephemeral-storage": "1Gi", "nvidia.com/gpu": "1"}), PodSettings())
    assert settled == {}


def test_a_gpu_has_the_platforms_name_and_limit():
    settings = PodSettings(gpu_resource_name="amd.com/gpu")
    settled = resources(task({"gpu": "4"}, ceilings={"nvidia.com/gpu": "2"}), settings)
    assert settled["limits"] == {"amd.com/gpu": "2"}


def test_what_is_no_quantity_is_refused_by_its_words():
    with pytest.raises(TaskError, match="'lots' is not a quantity"):
        resources(task({"memory": "lots"}), PodSettings())


def test_a_default_that_is_no_quantity_is_refused_at_start():
    with pytest.raises(ValueError, match="'plenty' is not a quantity"):
        PodSettings(default_cpu="plenty")


def pod_task(containers: list[dict], **more) -> TaskContext:
    made = task(**more)
    template = tasks_pb2.TaskTemplate()
    template.CopyFrom(made.template)
    template.k8s_pod.pod_spec.update({"containers": containers})
    template.config["primary_container_name"] = containers[0]["name"]
    return replace(made, template=template)


def test_other_containers_are_only_held_within_the_platforms_limits():
    side = {"name": "side", "resources": {"limits": {"memory": "8Gi", "example.org/disk": 3}}}
    made = pod_task(
        [{"name": "main"}, {"name": "bare"}, side], defaults={"cpu": "1"}, ceilings={"memory": "4Gi"}
    )
    main, bare, clamped = build_pod(made)["spec"]["containers"]
    assert main["resources"] == {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}
    assert "resources" not in bare
    assert clamped["resources"] == {"limits": {"memory": "4Gi", "example.org/disk": "3"}}


def test_flytekits_word_for_a_gpu_in_a_pod_is_understood():
    made = pod_task([{"name": "main", "resources": {"limits": {"gpu": 1}}}])
    assert primary_container(build_pod(made))["resources"]["limits"] == {"nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("containers", "cpu"),
    [
        ({"main": "3", "primary": "2", "default": "1"}, "3"),
        ({"primary": "2", "default": "1"}, "2"),
        ({"default": "1"}, "1"),
    ],
)
def test_a_templates_resources_come_before_the_platforms(containers, cpu):
    listed = [
        {"name": name, "resources": {"requests": {"cpu": amount}}} for name, amount in containers.items()
    ]
    settings = PodSettings(
        pod_templates={"base": {"spec": {"containers": listed}}}, default_pod_template="base"
    )
    made = pod_task([{"name": "main"}], defaults={"cpu": "9"})
    assert primary_container(build_pod(made, settings))["resources"]["requests"]["cpu"] == cpu
