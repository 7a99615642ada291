"""Names that clients and other engines must be able to compute too. Pure, and bit-exact with Flyte 1.

Rules: contract "propeller", section 0. Nothing here may ever change its result for the same input.
"""

import base64
from dataclasses import dataclass
from functools import lru_cache

_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LOWER = b"abcdefghijklmnopqrstuvwxyz123456"
_TO_LOWER = bytes.maketrans(_STANDARD, _LOWER)
_SHARD_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
NODE_ID_LENGTH = 20
GENERATED_NAME_LENGTH = 50
EXECUTION_NAME_LENGTH = 20
START_NODE = "start-node"
END_NODE = "end-node"


@dataclass(frozen=True, slots=True, order=True)
class RunKey:
    """Which run: the execution identifier of Flyte. Unique over the whole control plane."""

    project: str
    domain: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}:{self.domain}:{self.name}"

    @staticmethod
    def parse(text: str) -> "RunKey":
        """The key that `str(key)` wrote."""
        project, domain, name = text.split(":", 2)
        return RunKey(project, domain, name)


def fnv1a(data: bytes, bits: int = 32) -> int:
    """The FNV-1a hash of `data`, 32 or 64 bits wide."""
    value, prime = (0x811C9DC5, 0x01000193) if bits == 32 else (0xCBF29CE484222325, 0x100000001B3)
    mask = (1 << bits) - 1
    for byte in data:
        value = ((value ^ byte) * prime) & mask
    return value


def fixed_id(text: str, limit: int, bits: int = 32) -> str:
    """`text` if it fits in `limit` characters, else `f` and its hash: 8 characters, or 14 for 64 bits."""
    if len(text) <= limit:
        return text
    digest = fnv1a(text.encode(), bits).to_bytes(bits // 8, "big")
    return "f" + base64.b32encode(digest).translate(_TO_LOWER).decode().rstrip("=")


def fixed_id_parts(limit: int, *parts: str, bits: int = 32) -> str:
    """The parts joined with `-` (none while the text is still empty), then `fixed_id`."""
    text = ""
    for part in parts:
        text = f"{text}-{part}" if text else part
    return fixed_id(text, limit, bits)


@lru_cache(maxsize=65536)
def node_uid(parent_uid: str, parent_attempt: int, node_id: str) -> str:
    """The id of a node as clients see it; a top-level node passes an empty `parent_uid`."""
    if not parent_uid:
        return fixed_id(node_id, NODE_ID_LENGTH)
    return fixed_id_parts(NODE_ID_LENGTH, parent_uid, str(parent_attempt), node_id)


@lru_cache(maxsize=4096)
def generated_name(execution: str, uid: str, attempt: int, limit: int = GENERATED_NAME_LENGTH) -> str:
    """The name of the object of one attempt: pod, job, leaf of the raw output prefix."""
    return fixed_id_parts(limit, execution, uid, str(attempt))


def child_execution_name(execution: str, uid: str, attempt: int) -> str:
    """The name of the execution that a launch plan node starts."""
    return fixed_id_parts(EXECUTION_NAME_LENGTH, execution, uid, str(attempt), bits=64)


@lru_cache(maxsize=4096)
def shard(name: str) -> str:
    """The two characters that spread raw outputs over an object store's key space."""
    first, second = divmod(fnv1a(name.encode()) % 1296, 36)
    return _SHARD_ALPHABET[first] + _SHARD_ALPHABET[second]


@lru_cache(maxsize=4096)
def shard_key(execution: str) -> str:
    """The `shard-key` label of a run's objects: 0 to 31 as text."""
    return str(fnv1a(execution.encode()) % 32)
