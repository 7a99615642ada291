"""Workflows that dynamic tasks make, compiled over the launch plans that are registered here."""

from dataclasses import dataclass

from flyteidl.core import compiler_pb2, dynamic_job_pb2, tasks_pb2

from lacewing.adapters.sql import Database
from lacewing.compiler.dynamic import compile_dynamic, dynamic_workflow
from lacewing.compiler.requirements import requirements
from lacewing.errors import InvalidArgument, TaskError
from lacewing.model.ids import RunKey
from lacewing.services.admin.executions import execution_identifier
from lacewing.services.admin.registration import registered_plans


@dataclass(frozen=True)
class AdminDynamics:
    """The engine's DynamicCompiler."""

    database: Database

    async def compile(
        self, key: RunKey, task: tasks_pb2.TaskTemplate, node_id: str, spec: dynamic_job_pb2.DynamicJobSpec
    ) -> compiler_pb2.CompiledWorkflowClosure:
        """The compiled closure; what is wrong with it is the user's fault."""
        execution = execution_identifier(key)
        workflow = dynamic_workflow(spec, task, execution, node_id)
        wanted = requirements(workflow, spec.subworkflows).launch_plans
        try:
            plans = await self.database.read(lambda c: registered_plans(c, wanted))
            return compile_dynamic(spec, task, execution, node_id, plans)
        except InvalidArgument as error:
            raise TaskError(error.message, code="DynamicWorkflowBuildFailed") from error
