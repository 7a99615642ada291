"""Where a run's files are: propeller.md, sections 3.1 and 3.2. Pure; the paths are part of the wire."""

from lacewing.model.ids import END_NODE, START_NODE, generated_name, shard
from lacewing.model.run import RunSpec


def input_uri(spec: RunSpec, uid: str) -> str:
    """A node's resolved inputs: one file for all its attempts."""
    return f"{spec.output_root}/{uid}/data/inputs.pb"


def output_prefix(spec: RunSpec, uid: str, attempt: int) -> str:
    """The directory that an attempt writes outputs.pb, error.pb and deck.html into."""
    return f"{spec.output_root}/{uid}/data/{attempt}"


def output_uri(spec: RunSpec, uid: str, attempt: int) -> str:
    """An attempt's outputs."""
    return f"{spec.output_root}/{uid}/data/{attempt}/outputs.pb"


def run_input_uri(spec: RunSpec) -> str:
    """The run's inputs, as outputs of its start node."""
    return output_uri(spec, START_NODE, 0)


def run_output_uri(spec: RunSpec) -> str:
    """The run's outputs, as outputs of its end node."""
    return output_uri(spec, END_NODE, 0)


def raw_output_prefix(spec: RunSpec, uid: str, attempt: int) -> str:
    """Where an attempt puts its files and frames."""
    name = generated_name(spec.key.name, uid, attempt)
    return f"{spec.raw_output_root}/{shard(name)}/{name}"


def checkpoint_prefix(spec: RunSpec, uid: str, attempt: int) -> str:
    """Where an attempt puts its checkpoints."""
    return f"{raw_output_prefix(spec, uid, attempt)}/_flytecheckpoints"
