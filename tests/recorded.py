"""What the reference server answered, and what of it may differ from run to run.

`normal_view` puts a word in place of times, durations, names and places, and of what a pod says of its life;
all else must be equal. A field that is set on one side only shows.
"""

import json
import re
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "vectors"
_TIMES = re.compile(r"(_at|At|_time|^timestamp)$")
_WORDS = [
    (re.compile(r"\ba[a-z0-9]{19}\b"), "NAME"),
    (re.compile(r"\bf[a-z1-6]{13}\b"), "CHILD"),
    (re.compile(r"/data/[0-9a-z]{2}/NAME"), "/data/SHARD/NAME"),
    (re.compile(r"/data/SHARD/(.*?)/[0-9a-f]{32}"), r"/data/SHARD/\1/RANDOM"),
    # Tracebacks: where packages are, their lines, and the marks under a line. A list cuts them anywhere.
    (re.compile(r'File "[^"]*/(\w+\.py)", line \d+'), r'File "\1", line N'),
    (re.compile(r'File "[^"]*$'), 'File "'),
    (re.compile(r"\n[ ^~]+(?=\n)"), ""),
    (re.compile(r"(\. Message: \n).*\.$", re.DOTALL), r"\1LOG"),
    # Where a task of code that was uploaded runs.
    (re.compile(r"^/root$|^/\S+/cluster/\S+$"), "WORKPLACE"),
    (re.compile(r"^sample\d$"), "VERSION"),
    # What cached tasks answer: when they ran.
    (re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+$"), "MOMENT"),
    (re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"), "UUID"),
    # Ours says the same on a machine without Kubernetes.
    (re.compile("^task submitted to K8s$"), "task submitted"),
    # The reference's store wants credentials of a task; a folder does not.
    (re.compile(r"FLYTE_AWS_\w+,"), ""),
    # Ours tells tasks where the server is, which eager workflows ask.
    (re.compile(r",FLYTE_PLATFORM_\w+"), ""),
    (re.compile(r"^STORE/(uploads/)?(\w+/\w+)/[A-Z2-7]+=*/fast\w+"), r"STORE/\2/DIGEST/CODE"),
]


def views() -> list[dict[str, Any]]:
    """One entry for each recorded execution: `case` and `view`."""
    found: list[dict[str, Any]] = json.loads((DATA / "views.json").read_text())
    return [one for one in found if "view" in one]


def answers() -> list[dict[str, Any]]:
    """The recorded questions, in the order in which they were asked, each with its answer."""
    found: list[dict[str, Any]] = json.loads((DATA / "answers.json").read_text())
    return found


def normal_view(view: dict[str, Any]) -> Any:
    """A view without what may differ; nodes by their id, since siblings are made in any order."""
    metadata = view["nodes"][0]["node"]["closure"]["output_uri"]
    store, name = metadata.split("/metadata/propeller/")[0], view["execution"]["id"]["name"]
    found = normal(view, {name: "NAME", store: "STORE"})
    found["nodes"] = _by_id(found["nodes"])
    return found


def _by_id(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    for one in nodes:
        if "children" in one:
            one["children"] = _by_id(one["children"])
    return {one["node"]["id"]["node_id"]: one for one in nodes}


def normal(value: Any, names: dict[str, str], key: str = "") -> Any:
    """Proto JSON without what may differ. `names` says which names and places get which word."""
    if isinstance(value, str):
        return "TIME" if _TIMES.search(key) else _text(value, names)
    if key == "reasons":
        # After the first one a pod speaks: of machines, images, queues.
        return normal(value[0], names)
    if isinstance(value, list):
        return [normal(one, names, key) for one in value]
    if not isinstance(value, dict):
        return value
    if key == "child_execution":
        return normal_view(value)
    found = {name: normal(one, names, name) for name, one in value.items()}
    if str(found.get("name")).startswith("dynamic_") and "version" in found:
        found["version"] = "RANDOM"
    if found.get("phase") == "ABORTED" and "task_type" in found:
        # Whether it had begun to run when the abort came is a matter of moments.
        found = {name: one for name, one in found.items() if name not in ("started_at", "duration")}
    if key == "external_resources":
        found.pop("logs", None)
    if key == "closure":
        # The reference had not been told of a place for logs.
        found.pop("logs", None)
        found |= {name: name.upper() for name in ("duration", "reason") if name in found}
    return found


def _text(found: str, names: dict[str, str]) -> str:
    for name, word in names.items():
        found = found.replace(name, word)
    for pattern, word in _WORDS:
        found = pattern.sub(word, found)
    return found


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two normal values differ: a path and both sides."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for name in sorted({*ours, *theirs})
            for line in differences(ours.get(name, "absent"), theirs.get(name, "absent"), f"{path}.{name}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for at, (one, other) in pairs for line in differences(one, other, f"{path}[{at}]")]
    return [] if ours == theirs else [f"{path}: ours is {ours!r}, theirs {theirs!r}"]
