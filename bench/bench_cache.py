"""A chain of 50 cached tasks in a demo: the second run finds all of them, and how long that takes.

What is measured is the whole run as a client sees it, from CreateExecution until it has ended.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc
from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.core import identifier_pb2, interface_pb2, tasks_pb2, types_pb2
from flyteidl.core import workflow_pb2 as core_workflow_pb2
from flyteidl.service import admin_pb2_grpc
from lacewing.demo.app import demo
from lacewing.demo.settings import DemoSettings

PORT = 30187
LENGTH, REPEATS = 50, 7
IMAGE = "localhost/none:1"
PHASE = core_pb2.WorkflowExecution.Phase
INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)
STEP = """
import os
import sys
from flyteidl.core import literals_pb2
number = literals_pb2.LiteralMap()
number.literals["o0"].scalar.primitive.integer = 1
os.makedirs(sys.argv[1], exist_ok=True)
open(sys.argv[1] + "/outputs.pb", "wb").write(number.SerializeToString())
"""


def named(kind: int, name: str) -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(
        resource_type=kind, project="flytesnacks", domain="development", name=name, version="v1"
    )


def task() -> task_pb2.TaskCreateRequest:
    """A task that adds nothing to a number, cached."""
    template = tasks_pb2.TaskTemplate(type="raw-container", id=named(identifier_pb2.TASK, "step"))
    number = interface_pb2.Variable(type=INTEGER)
    template.interface.inputs.variables["a"].CopyFrom(number)
    template.interface.outputs.variables["o0"].CopyFrom(number)
    template.metadata.discoverable, template.metadata.discovery_version = True, "1"
    template.container.image = IMAGE
    template.container.args.extend(["python", "-c", STEP, "{{.outputPrefix}}"])
    return task_pb2.TaskCreateRequest(id=template.id, spec=task_pb2.TaskSpec(template=template))


def workflow() -> workflow_pb2.WorkflowCreateRequest:
    """One after the other, each with the number of the one before it."""
    template = core_workflow_pb2.WorkflowTemplate(id=named(identifier_pb2.WORKFLOW, "chain"))
    for at in range(LENGTH):
        node = template.nodes.add(id=f"n{at}")
        node.task_node.reference_id.CopyFrom(named(identifier_pb2.TASK, "step"))
        binding = node.inputs.add(var="a").binding
        if at:
            binding.promise.node_id, binding.promise.var = f"n{at - 1}", "o0"
        else:
            binding.scalar.primitive.integer = 1
    spec = workflow_pb2.WorkflowSpec(template=template)
    return workflow_pb2.WorkflowCreateRequest(id=template.id, spec=spec)


async def register(admin: Any) -> None:
    await admin.CreateTask(task())
    request = workflow()
    await admin.CreateWorkflow(request)
    plan = launch_plan_pb2.LaunchPlanSpec(workflow_id=request.id)
    identifier = named(identifier_pb2.LAUNCH_PLAN, "chain")
    await admin.CreateLaunchPlan(launch_plan_pb2.LaunchPlanCreateRequest(id=identifier, spec=plan))


async def run(admin: Any) -> float:
    """Seconds from the order until the run is over."""
    began = time.perf_counter()
    request = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development")
    request.spec.launch_plan.CopyFrom(named(identifier_pb2.LAUNCH_PLAN, "chain"))
    identifier = (await admin.CreateExecution(request)).id
    question = execution_pb2.WorkflowExecutionGetRequest(id=identifier)
    while True:
        phase = (await admin.GetExecution(question)).closure.phase
        if phase in (PHASE.SUCCEEDED, PHASE.FAILED, PHASE.ABORTED):
            assert phase == PHASE.SUCCEEDED, (await admin.GetExecution(question)).closure.error.message
            return time.perf_counter() - began
        await asyncio.sleep(0.005)


async def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        target = f"127.0.0.1:{PORT}"
        serving = demo(
            Path(home), DemoSettings(port=PORT, hold_seconds=0.0, images={IMAGE: Path(sys.prefix)})
        )
        async with serving, grpc.aio.insecure_channel(target) as channel:
            admin = admin_pb2_grpc.AdminServiceStub(channel)
            await register(admin)
            first = await run(admin)
            hits = sorted([await run(admin) for _ in range(REPEATS)])
            tasks = await admin.ListTasks(
                common_pb2.ResourceListRequest(
                    id=common_pb2.NamedEntityIdentifier(project="flytesnacks", domain="development"),
                    limit=1,
                )
            )
            assert tasks.tasks
    figure = {"bench": "cache", "nodes": LENGTH, "computed_seconds": round(first, 2)}
    print(json.dumps(figure | {"hit_seconds": round(hits[len(hits) // 2], 3), "worst": round(hits[-1], 3)}))


if __name__ == "__main__":
    asyncio.run(main())
