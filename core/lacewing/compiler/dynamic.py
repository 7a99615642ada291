"""The workflow that a dynamic task came up with, compiled. Pure. Rules: propeller.md, section 1.10."""

import base64
import hashlib
from collections.abc import Iterable

from flyteidl.core import compiler_pb2, dynamic_job_pb2, identifier_pb2, tasks_pb2, workflow_pb2

from lacewing.compiler.build import compile_workflow
from lacewing.compiler.nodes import LaunchPlanInterface
from lacewing.compiler.problems import CompileError, Problems
from lacewing.compiler.task import check_task

_VERSION_LENGTH = 10


def dynamic_workflow(
    spec: dynamic_job_pb2.DynamicJobSpec,
    parent: tasks_pb2.TaskTemplate,
    execution: identifier_pb2.WorkflowExecutionIdentifier,
    node_id: str,
) -> workflow_pb2.WorkflowTemplate:
    """The one-off workflow of a spec: it gives what the `parent` task gives, and is given nothing.

    `node_id` is the parent node's unique id. The version follows from all of it, so a replay makes the same.
    Ask `requirements(template, spec.subworkflows)` for the launch plans that must be looked up.
    """
    template = workflow_pb2.WorkflowTemplate(nodes=spec.nodes, outputs=spec.outputs)
    for name, variable in parent.interface.outputs.variables.items():
        template.interface.outputs.variables[name].type.CopyFrom(variable.type)
    template.interface.inputs.SetInParent()
    seed = f"{execution.project}:{execution.domain}:{execution.name}:{node_id}:".encode()
    digest = hashlib.sha256(seed + spec.SerializeToString(deterministic=True)).digest()
    template.id.resource_type = identifier_pb2.WORKFLOW
    template.id.project, template.id.domain = execution.project, execution.domain
    template.id.name = f"dynamic_{node_id}"
    template.id.version = base64.b32encode(digest).decode().lower()[:_VERSION_LENGTH]
    return template


def compile_dynamic(
    spec: dynamic_job_pb2.DynamicJobSpec,
    parent: tasks_pb2.TaskTemplate,
    execution: identifier_pb2.WorkflowExecutionIdentifier,
    node_id: str,
    launch_plans: Iterable[LaunchPlanInterface] = (),
) -> compiler_pb2.CompiledWorkflowClosure:
    """The compiled closure of a spec, whose tasks and sub-workflows are all inside of it.

    Its containers get the configuration of the parent's. Raises CompileError, whose fault is the user's.
    """
    problems = Problems()
    tasks = [_configured(template, parent) for template in spec.tasks]
    for template in tasks:
        check_task(template, problems)
    compiled = [compiler_pb2.CompiledTask(template=template) for template in tasks]
    workflow = dynamic_workflow(spec, parent, execution, node_id)
    try:
        closure = compile_workflow(workflow, compiled, spec.subworkflows, launch_plans)
    except CompileError as error:
        raise CompileError([*problems, *error.problems]) from error
    if problems:
        raise CompileError(problems)
    return closure


def _configured(template: tasks_pb2.TaskTemplate, parent: tasks_pb2.TaskTemplate) -> tasks_pb2.TaskTemplate:
    copied = tasks_pb2.TaskTemplate()
    copied.CopyFrom(template)
    if template.HasField("container") and parent.HasField("container"):
        copied.container.config.extend(parent.container.config)
    for variables in (copied.interface.inputs.variables, copied.interface.outputs.variables):
        for name in variables:
            variables[name].ClearField("description")
    return copied
