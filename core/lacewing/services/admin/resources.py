"""Resources that a task asks for, held against what the platform has. Pure.

Rules: contract "admin", section 2.3.
"""

from collections.abc import Iterable, Mapping

from flyteidl.core import tasks_pb2

from lacewing.errors import InvalidArgument, TaskError
from lacewing.pods import quantity

Name = tasks_pb2.Resources.ResourceName
_KUBERNETES = {
    Name.CPU: "cpu",
    Name.MEMORY: "memory",
    Name.EPHEMERAL_STORAGE: "ephemeral-storage",
    Name.GPU: "nvidia.com/gpu",
}
_CONVENTION = "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/"
_FORM = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
Amounts = dict[int, str]


def check_resources(template: tasks_pb2.TaskTemplate, platform: Mapping[str, str]) -> None:
    """No request above its limit, nothing above the platform's limits; raises InvalidArgument."""
    requests = _amounts(template, template.container.resources.requests)
    limits = _amounts(template, template.container.resources.limits)
    for number in sorted({*requests, *limits}):
        request, limit = requests.get(number), limits.get(number)
        ceiling = platform.get(_KUBERNETES[number])
        word = Name.Name(number)
        if number == Name.GPU and request and limit and quantity(request) != quantity(limit):
            raise InvalidArgument(
                "For extended resource 'gpu' the default value must equal the limit value for task"
                f" [{template.id.name}]"
            )
        if _exceeds(request, limit):
            raise InvalidArgument(
                f"Requested {word} default [{request}] is greater than the limit [{limit}]."
                " Please fix your configuration"
            )
        for kind, amount in (("limit", limit), ("default", request)):
            if _exceeds(amount, ceiling):
                raise InvalidArgument(
                    f"Requested {word} {kind} [{amount}] is greater than current limit set in the platform"
                    f" configuration [{ceiling}]. Please contact Flyte Admins to change these limits or"
                    " consult the configuration"
                )


def _exceeds(amount: str | None, most: str | None) -> bool:
    return bool(amount and most and quantity(amount) > quantity(most))


def _amounts(
    template: tasks_pb2.TaskTemplate, entries: Iterable[tasks_pb2.Resources.ResourceEntry]
) -> Amounts:
    found: Amounts = {}
    for entry in entries:
        if entry.name not in _KUBERNETES:
            continue
        word = Name.Name(entry.name)
        if entry.name in found:
            raise InvalidArgument(f"can't specify {word} limit for task [{template.id.name}] multiple times")
        check_quantity(word, entry.value)
        if entry.name == Name.GPU and quantity(entry.value) % 1:
            raise InvalidArgument(
                f"gpu for [{template.id.name}] must be a whole number, got: {entry.value} instead"
            )
        found[entry.name] = entry.value
    return found


def check_quantity(word: str, value: str) -> None:
    """A Kubernetes quantity; raises InvalidArgument in the words that clients know."""
    try:
        quantity(value)
    except TaskError as error:
        raise InvalidArgument(
            f"Parsing of {word} request failed for value {value} - reason  quantities must match the regular"
            f" expression '{_FORM}'. Please follow K8s conventions for resources {_CONVENTION}"
        ) from error
