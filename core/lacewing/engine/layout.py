"""Where a run's files are: propeller.md, sections 3.1 and 3.2. Pure; the paths are part of the wire."""

from lacewing.model.graph import Node
from lacewing.model.ids import END_NODE, START_NODE, generated_name, node_uid, shard
from lacewing.model.run import RunSpec


def input_uri(spec: RunSpec, node: Node) -> str:
    """A node's resolved inputs: one file for all its attempts."""
    return f"{spec.output_root}/{node.place}/inputs.pb"


def output_prefix(spec: RunSpec, node: Node, attempt: int) -> str:
    """The directory that an attempt writes outputs.pb, error.pb and deck.html into."""
    return f"{spec.output_root}/{node.place}/{attempt}"


def output_uri(spec: RunSpec, node: Node, attempt: int) -> str:
    """An attempt's outputs."""
    return f"{spec.output_root}/{node.place}/{attempt}/outputs.pb"


def deck_uri(spec: RunSpec, node: Node, attempt: int) -> str:
    """The page that an attempt makes of itself."""
    return f"{spec.output_root}/{node.place}/{attempt}/deck.html"


def element_prefix(spec: RunSpec, node: Node, index: int, attempt: int) -> str:
    """The directory that an attempt at an array's element writes into."""
    return f"{spec.output_root}/{node.place}/0/{index}/{attempt}"


def element_uid(node: Node, index: int) -> str:
    """The unique id of an array's element, of which the names of its objects are made."""
    return node_uid(node.id, 0, f"n{index}")


def run_input_uri(spec: RunSpec) -> str:
    """The run's inputs, as outputs of its start node."""
    return f"{spec.output_root}/{START_NODE}/data/0/outputs.pb"


def run_output_uri(spec: RunSpec) -> str:
    """The run's outputs, as outputs of its end node."""
    return f"{spec.output_root}/{END_NODE}/data/0/outputs.pb"


def raw_output_prefix(spec: RunSpec, uid: str, attempt: int) -> str:
    """Where an attempt puts its files and frames."""
    name = generated_name(spec.key.name, uid, attempt)
    return f"{spec.raw_output_root}/{shard(name)}/{name}"


def checkpoint_prefix(spec: RunSpec, uid: str, attempt: int) -> str:
    """Where an attempt puts its checkpoints."""
    return f"{raw_output_prefix(spec, uid, attempt)}/_flytecheckpoints"
