"""Which container of a pod runs on this machine."""

from typing import Any

from lacewing.adapters import local_pod

SIDE = {"name": "side", "image": "side", "args": ["serve"], "resources": {"requests": {"cpu": "9"}}}
MAIN = {
    "name": "main",
    "image": "main",
    "command": ["run"],
    "args": ["it"],
    "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
    "resources": {"requests": {"cpu": "500m", "memory": "1Mi"}, "limits": {"memory": "2Mi"}},
}


def pod(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}, "spec": {"containers": [SIDE, MAIN]}}


def test_the_primary_container_runs_and_no_other_counts():
    for key in ("primary_container_name", "lacewing.dev/primary-container"):
        made = pod(**{key: "main"})
        assert local_pod.command(made) == ["run", "it"]
        assert (local_pod.image(made), local_pod.environment(made)) == ("main", {"A": "2"})
        assert local_pod.need(made) == local_pod.Need(0, 0.5, 2**20)
        assert local_pod.memory_limit(made) == 2 * 2**20
        assert local_pod.running(made, 0.0)["containerStatuses"][0]["name"] == "main"


def test_without_a_word_it_is_the_first():
    assert local_pod.command(pod()) == ["serve"]
