"""flytekit's own templates: a workflow of Python as flytekit registers it, compiled."""

from typing import Any

from flyteidl.core import compiler_pb2
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.models.admin.workflow import WorkflowSpec
from flytekit.models.launch_plan import LaunchPlan
from flytekit.models.task import TaskSpec
from flytekit.tools.translator import get_serializable
from lacewing.compiler.build import compile_workflow
from lacewing.compiler.nodes import LaunchPlanInterface
from lacewing.compiler.requirements import requirements
from lacewing.compiler.task import compile_task
from lacewing.model.closure import identifier_key
from lacewing.services.admin.launch_plan import expected_inputs

_IMAGE = Image("default", "example.org/image", "1")
SETTINGS = SerializationSettings(ImageConfig(_IMAGE, [_IMAGE]), "flytesnacks", "development", "v1")


def compiled(entity: Any) -> compiler_pb2.CompiledWorkflowClosure:
    """A workflow of flytekit, compiled over exactly what it requires, as at its registration."""
    found: dict[Any, Any] = {}
    spec = get_serializable(found, SETTINGS, entity).to_flyte_idl()
    models = [model.to_flyte_idl() for model in found.values() if isinstance(model, WorkflowSpec)]
    interfaces = {identifier_key(one.template.id): one.template.interface for one in models}
    tasks = {}
    plans = {}
    for model in found.values():
        if isinstance(model, TaskSpec):
            task = compile_task(model.to_flyte_idl().template)
            tasks[identifier_key(task.template.id)] = task
        elif isinstance(model, LaunchPlan):
            plan = model.to_flyte_idl()
            interface = interfaces[identifier_key(plan.spec.workflow_id)]
            expected = expected_inputs(plan.spec, interface)
            plans[identifier_key(plan.id)] = LaunchPlanInterface(plan.id, expected, interface.outputs)
    needed = requirements(spec.template, spec.sub_workflows)
    return compile_workflow(
        spec.template,
        [tasks[identifier_key(one)] for one in needed.tasks],
        spec.sub_workflows,
        [plans[identifier_key(one)] for one in needed.launch_plans],
    )
