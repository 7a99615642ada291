"""The checks of a task by itself. Pure. Rules: propeller.md, section 1.7."""

import re
from collections.abc import Iterator
from itertools import chain

from flyteidl.core import compiler_pb2, tasks_pb2

from lacewing.compiler.problems import Problems
from lacewing.errors import InvalidArgument, TaskError
from lacewing.pods import quantity

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")


def compile_task(template: tasks_pb2.TaskTemplate) -> compiler_pb2.CompiledTask:
    """The checked task. Raises InvalidArgument that names what is wrong."""
    problems = Problems()
    check_task(template, problems)
    if problems:
        raise InvalidArgument("; ".join(problem.description for problem in problems))
    return compiler_pb2.CompiledTask(template=template)


def check_task(template: tasks_pb2.TaskTemplate, problems: Problems) -> None:
    """Note all that is wrong with a task, under its name."""
    name = template.id.name
    if not name:
        problems.add("ValueRequired", "root", "Value required [Id].")
    if template.HasField("container"):
        _check_container(template, problems)
    elif template.HasField("k8s_pod"):
        _check_pod(template, problems)


def _check_container(template: tasks_pb2.TaskTemplate, problems: Problems) -> None:
    container, name = template.container, template.id.name
    if not container.image:
        problems.add("ValueRequired", name, "missing image")
    speaks = template.interface.inputs.variables or template.interface.outputs.variables
    if speaks and not container.command and not container.args:
        text = "a task with inputs or outputs needs a command or args"
        problems.add("ValueRequired", name, text)
    for text in bad_quantities(container.resources):
        problems.add("UnrecognizedValue", name, text)


def _check_pod(template: tasks_pb2.TaskTemplate, problems: Problems) -> None:
    name = template.id.name
    containers = template.k8s_pod.pod_spec.fields["containers"].list_value.values
    if not containers:
        problems.add("InvalidValue", name, "Invalid value [k8s pod spec]: it has no containers.")
    for container in containers:
        label = container.struct_value.fields["name"].string_value
        if not _LABEL.match(label):
            problems.add("InvalidValue", name, f"container name {label!r} is no DNS-1123 label")


def bad_quantities(resources: tasks_pb2.Resources) -> Iterator[str]:
    """What is wrong with each quantity that is none."""
    for entry in chain(resources.requests, resources.limits):
        try:
            quantity(entry.value)
        except TaskError as error:
            kind = tasks_pb2.Resources.ResourceName.Name(entry.name)
            yield f"Parsing of {kind} request failed for value {entry.value}: {error.message}"
