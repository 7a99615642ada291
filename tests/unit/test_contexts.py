"""What a backend may see of an attempt."""

from lacewing.engine.contexts import owner, task_context
from lacewing.model.ids import RunKey
from lacewing.model.run import RunSpec
from lacewing.testing import make_graph

KEY = RunKey("flytesnacks", "development", "run1")


def test_labels_say_whose_object_it_is_and_users_cannot_take_their_names():
    mine = {"team": "data", "node-id": "other", "project": "other"}
    spec = RunSpec(KEY, "closure", "inputs", "/out", "/raw", "ns", labels=mine, interruptible=True)
    graph = make_graph({"n0": []})
    node = graph.node("n0")
    node.task.id.name, graph.id.name = "Pack.age_x.task", "w" * 70
    labels = task_context(graph, spec, node, 1, failures=("Error",)).labels
    assert labels == {
        "execution-id": "run1",
        "project": "flytesnacks",
        "domain": "development",
        "workflow-name": "w" * 63,
        "task-name": "pack-age-x-task",
        "shard-key": labels["shard-key"],
        "node-id": "n0",
        "interruptible": "true",
        "team": "data",
    }
    assert owner(labels) == (KEY, "n0")
