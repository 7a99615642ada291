"""Where pods may run."""

from dataclasses import replace
from typing import Any

import pytest
from flyteidl.core import tasks_pb2, workflow_pb2
from lacewing.model.task import TaskContext
from lacewing.pods import PodSettings, build_pod
from lacewing.testing import make_task

GPU = tasks_pb2.Resources(limits=[tasks_pb2.Resources.ResourceEntry(name=tasks_pb2.Resources.GPU, value="1")])
DEVICE, SIZE = "k8s.amazonaws.com/accelerator", "k8s.amazonaws.com/gpu-partition-size"


def taint(key: str) -> dict[str, str]:
    return {"key": key, "operator": "Exists", "effect": "NoSchedule"}


def requirements(pod: dict[str, Any]) -> list[dict[str, Any]]:
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = required["nodeSelectorTerms"]
    return term["matchExpressions"]


def accelerated(accelerator: dict[str, Any], *, gpu: bool = True, **more: Any) -> TaskContext:
    made = make_task(resources=GPU if gpu else None)
    template = tasks_pb2.TaskTemplate()
    template.CopyFrom(made.template)
    template.extended_resources.gpu_accelerator.CopyFrom(tasks_pb2.GPUAccelerator(**accelerator))
    return replace(made, template=template, **more)


SETTINGS = PodSettings(
    default_tolerations=[taint("default")],
    interruptible_tolerations=[taint("spot")],
    resource_tolerations={"nvidia.com/gpu": [taint("gpu")]},
    default_node_selector={"pool": "default", "site": "here"},
    interruptible_node_selector={"pool": "spot"},
    interruptible_requirement={"key": "spot", "operator": "Exists"},
    non_interruptible_requirement={"key": "spot", "operator": "DoesNotExist"},
)


def test_an_interruptible_pod_goes_where_such_pods_go():
    pod = build_pod(replace(make_task(), interruptible=True), SETTINGS)
    assert pod["spec"]["tolerations"] == [taint("spot"), taint("default")]
    assert pod["spec"]["nodeSelector"] == {"pool": "spot", "site": "here"}
    assert requirements(pod) == [{"key": "spot", "operator": "Exists"}]


def test_any_other_pod_stays_away_from_there():
    pod = build_pod(make_task(), SETTINGS)
    assert pod["spec"]["tolerations"] == [taint("default")]
    assert pod["spec"]["nodeSelector"] == {"pool": "default", "site": "here"}
    assert requirements(pod) == [{"key": "spot", "operator": "DoesNotExist"}]


def test_a_resources_tolerations_come_with_it():
    pod = build_pod(make_task(resources=GPU), SETTINGS)
    assert pod["spec"]["tolerations"] == [taint("gpu"), taint("default")]


def test_an_extended_resource_is_tolerated_by_its_name():
    settings = PodSettings(tolerated_resources=["nvidia.com/gpu", "other"])
    assert build_pod(make_task(resources=GPU), settings)["spec"]["tolerations"] == [taint("nvidia.com/gpu")]
    assert "tolerations" not in build_pod(make_task(), settings)["spec"]


def test_a_pod_with_an_affinity_keeps_it():
    default = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    settings = PodSettings(default_affinity=default)
    assert build_pod(make_task(), settings)["spec"]["affinity"] == default
    own = accelerated({"device": "a100"})
    own.template.k8s_pod.pod_spec.update(
        {"containers": [{"name": "main"}], "affinity": {"podAffinity": {"own": []}}}
    )
    own.template.config["primary_container_name"] = "main"
    assert build_pod(own, settings)["spec"]["affinity"] == {"podAffinity": {"own": []}}


@pytest.mark.parametrize(
    ("accelerator", "needed", "tolerated"),
    [
        ({"device": "a100"}, [(DEVICE, "In", ["a100"])], [DEVICE]),
        (
            {"device": "a100", "partition_size": "1g.5gb"},
            [(DEVICE, "In", ["a100"]), (SIZE, "In", ["1g.5gb"])],
            [DEVICE, SIZE],
        ),
        (
            {"device": "a100", "unpartitioned": True},
            [(DEVICE, "In", ["a100"]), (SIZE, "DoesNotExist", None)],
            [DEVICE],
        ),
    ],
)
def test_an_accelerator_is_required_and_its_taint_tolerated(accelerator, needed, tolerated):
    pod = build_pod(accelerated(accelerator))
    assert [(one["key"], one["operator"], one.get("values")) for one in requirements(pod)] == needed
    assert [one["key"] for one in pod["spec"]["tolerations"]] == tolerated
    assert {one["operator"] for one in pod["spec"]["tolerations"]} == {"Equal"}


def test_whole_gpus_can_have_a_label_of_their_own():
    whole = {"key": "whole", "operator": "Exists"}
    settings = PodSettings(gpu_unpartitioned_requirement=whole, gpu_unpartitioned_toleration=taint("whole"))
    pod = build_pod(accelerated({"unpartitioned": True}), settings)
    assert (requirements(pod), pod["spec"]["tolerations"]) == ([whole], [taint("whole")])


def test_an_accelerator_without_a_gpu_asks_for_nothing():
    assert "affinity" not in build_pod(accelerated({"device": "a100"}, gpu=False))["spec"]


def test_the_nodes_accelerator_takes_the_place_of_the_tasks():
    overrides = workflow_pb2.TaskNodeOverrides()
    overrides.extended_resources.gpu_accelerator.device = "t4"
    pod = build_pod(accelerated({"device": "a100", "partition_size": "1g"}, overrides=overrides))
    assert [one["values"] for one in requirements(pod)] == [["t4"]]
