"""Pods over the platform's pod templates."""

from dataclasses import replace

import pytest
from flyteidl.core import tasks_pb2
from hypothesis import given
from hypothesis import strategies as st
from lacewing.errors import TaskError
from lacewing.model.task import TaskContext
from lacewing.pods import PodSettings, build_pod, merged, primary_container
from lacewing.testing import make_task

TEMPLATE = {
    "metadata": {"labels": {"team": "platform", "tier": "low"}, "annotations": {"note": "template"}},
    "spec": {
        "imagePullSecrets": [{"name": "pull"}],
        "runtimeClassName": "gvisor",
        "terminationGracePeriodSeconds": 10,
        "volumes": [{"name": "cache", "emptyDir": {}}],
        "nodeSelector": {"disk": "ssd", "zone": "a"},
        "containers": [
            {"name": "default", "image": "unused", "imagePullPolicy": "Always", "args": ["first"]},
            {
                "name": "primary",
                "image": "unused",
                "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
            },
            {"name": "side", "image": "unused", "workingDir": "/side"},
            {"name": "dropped", "image": "example.org/dropped"},
        ],
        "initContainers": [
            {"name": "default-init", "image": "unused", "imagePullPolicy": "Never"},
            {"name": "prepare", "image": "unused", "workingDir": "/prepare"},
        ],
    },
}


def settings(**more) -> PodSettings:
    return PodSettings(pod_templates={"base": TEMPLATE}, **{"default_pod_template": "base", **more})


def pod_task() -> TaskContext:
    made = make_task()
    template = tasks_pb2.TaskTemplate()
    template.CopyFrom(made.template)
    template.k8s_pod.pod_spec.update(
        {
            "containers": [
                {"name": "main", "image": "example.org/main", "args": ["second"]},
                {"name": "side", "image": "example.org/side"},
            ],
            "initContainers": [{"name": "prepare", "image": "example.org/prepare"}],
            "nodeSelector": {"zone": "b"},
        }
    )
    template.k8s_pod.metadata.labels["tier"] = "high"
    template.config["primary_container_name"] = "main"
    return replace(made, template=template)


def test_a_pod_takes_from_the_template_what_it_does_not_say_itself():
    spec = build_pod(make_task(), settings())["spec"]
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert (spec["runtimeClassName"], spec["terminationGracePeriodSeconds"]) == ("gvisor", 10)
    assert spec["restartPolicy"] == "Never"


def test_containers_are_those_of_the_task_over_what_stands_for_them():
    spec = build_pod(pod_task(), settings())["spec"]
    main, side = spec["containers"]
    assert (main["image"], main["imagePullPolicy"]) == ("example.org/main", "Always")
    assert main["volumeMounts"] == [{"name": "cache", "mountPath": "/cache"}]
    assert main["args"] == ["first", "second"]
    assert (side["image"], side["workingDir"]) == ("example.org/side", "/side")
    assert "volumeMounts" not in side
    (prepare,) = spec["initContainers"]
    assert (prepare["imagePullPolicy"], prepare["workingDir"]) == ("Never", "/prepare")


def test_maps_are_merged_by_key_and_metadata_lies_below_the_tasks():
    pod = build_pod(pod_task(), settings(default_labels={"team": "nobody", "site": "here"}))
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd", "zone": "b"}
    assert pod["metadata"]["labels"] == {"site": "here", "team": "platform", "tier": "high"}
    assert pod["metadata"]["annotations"]["note"] == "template"


def named(name: str) -> TaskContext:
    made = make_task()
    template = tasks_pb2.TaskTemplate()
    template.CopyFrom(made.template)
    template.metadata.pod_template_name = name
    return replace(made, template=template)


def test_a_named_template_is_taken_from_the_namespace_first():
    known = {
        "own": {"spec": {"priorityClassName": "everywhere"}},
        "flytesnacks-development/own": {"spec": {"priorityClassName": "here"}},
    }
    assert build_pod(named("own"), PodSettings(pod_templates=known))["spec"]["priorityClassName"] == "here"


def test_a_named_template_that_is_not_there_is_an_error_that_names_it():
    with pytest.raises(TaskError, match="PodTemplate 'own' does not exist"):
        build_pod(named("own"), settings())


def test_a_default_template_that_is_not_there_is_passed_over():
    assert "imagePullSecrets" not in build_pod(make_task(), PodSettings(default_pod_template="gone"))["spec"]


def test_requirements_hold_in_every_alternative_that_a_template_allows():
    terms = [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"matchFields": []}]
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    }
    spot = {"key": "spot", "operator": "In", "values": ["yes"]}
    made = PodSettings(
        pod_templates={"base": {"spec": {"affinity": affinity}}},
        default_pod_template="base",
        interruptible_requirement=spot,
    )
    pod = build_pod(replace(make_task(), interruptible=True), made)
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [term["matchExpressions"][-1] for term in required["nodeSelectorTerms"]] == [spot, spot]


def test_building_a_pod_changes_no_settings():
    made = settings(interruptible_requirement={"key": "spot", "operator": "Exists"})
    before = made.model_dump()
    pod = build_pod(replace(pod_task(), interruptible=True), made)
    primary_container(pod)["volumeMounts"].append({"name": "more", "mountPath": "/more"})
    pod["spec"]["imagePullSecrets"].clear()
    assert made.model_dump() == before


@pytest.mark.parametrize(
    ("base", "overlay", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 0}, {"a": 1}),
        ({"a": "x"}, {"a": ""}, {"a": "x"}),
        ({"a": True}, {"a": False}, {"a": True}),
        ({}, {"a": {}}, {"a": {}}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2}}, {"a": {"b": 2, "c": 1}}),
    ],
)
def test_the_merge_law(base, overlay, result):
    assert merged(base, overlay) == result


@given(st.dictionaries(st.text(max_size=2), st.recursive(st.integers(), lambda inner: st.lists(inner))))
def test_merging_with_nothing_changes_nothing(value):
    assert merged({}, value) == merged(value, {}) == value
