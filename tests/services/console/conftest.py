"""An execution of one task, told by events as an engine tells it."""

from dataclasses import dataclass
from typing import Any

import pytest
from flyteidl.admin import event_pb2 as admin_event_pb2
from flyteidl.admin import execution_pb2, task_execution_pb2, task_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.event import event_pb2
from lacewing.services.console.address import execution_path, log_path, node_path
from lacewing.services.gateway import ADMIN
from lacewing.services.rpc import Call
from lacewing.testing.factories import make_template

CALL = Call("test")


@dataclass
class Story:
    """Makes executions and moves them on, through the RPCs."""

    served: Any

    @property
    def admin(self) -> Any:
        return self.served.services[ADMIN]

    async def register(self) -> identifier_pb2.Identifier:
        template = make_template("probe", "container", image="example.org/i:1", command=["/true"])
        request = task_pb2.TaskCreateRequest(id=template.id, spec=task_pb2.TaskSpec(template=template))
        await self.admin.CreateTask(request, CALL)
        return template.id

    async def launch(self, task: Any, name: str) -> identifier_pb2.WorkflowExecutionIdentifier:
        request = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development", name=name)
        request.spec.launch_plan.CopyFrom(task)
        answer = await self.admin.CreateExecution(request, CALL)
        return answer.id

    async def run(self, identifier: Any, phase: str, second: int, **more: Any) -> None:
        event = event_pb2.WorkflowExecutionEvent(execution_id=identifier, **more)
        _time(event, core_pb2.WorkflowExecution, phase, second)
        request = admin_event_pb2.WorkflowExecutionEventRequest(event=event)
        await self.admin.CreateWorkflowEvent(request, CALL)

    async def node(self, identifier: Any, node_id: str, phase: str, second: int, **more: Any) -> Any:
        event = event_pb2.NodeExecutionEvent(spec_node_id=node_id, event_version=1, **more)
        event.id.node_id = node_id
        event.id.execution_id.CopyFrom(identifier)
        _time(event, core_pb2.NodeExecution, phase, second)
        await self.admin.CreateNodeEvent(admin_event_pb2.NodeExecutionEventRequest(event=event), CALL)
        return event.id

    async def attempt(
        self, node: Any, task: Any, number: int, phase: str, second: int, *, pod: str = "", **more: Any
    ) -> None:
        event = event_pb2.TaskExecutionEvent(
            task_id=task, parent_node_execution_id=node, retry_attempt=number, event_version=1, **more
        )
        event.metadata.generated_name = pod or f"{node.execution_id.name}-{node.node_id}-{number}"
        event.logs.add(name="Logs", uri=f"http://127.0.0.1{log_path(node, number)}")
        _time(event, core_pb2.TaskExecution, phase, second)
        await self.admin.CreateTaskEvent(admin_event_pb2.TaskExecutionEventRequest(event=event), CALL)

    async def task_of(self, node: Any) -> Any:
        request = task_execution_pb2.TaskExecutionListRequest(node_execution_id=node, limit=1)
        return (await self.admin.ListTaskExecutions(request, CALL)).task_executions[0].id.task_id

    def write_log(self, node: Any, number: int, text: bytes) -> None:
        name = f"{node.execution_id.name}-{node.node_id}-{number}"
        folder = self.served.root / "cluster/pods/flytesnacks-development" / name
        folder.mkdir(parents=True)
        (folder / "log.txt").write_bytes(text)

    def store(self, name: str, **literals: literals_pb2.Literal) -> str:
        path = self.served.root / name
        path.write_bytes(literals_pb2.LiteralMap(literals=literals).SerializeToString())
        return str(path)

    async def page(self, identifier: Any, **query: str) -> str:
        path = node_path(identifier) if hasattr(identifier, "node_id") else execution_path(identifier)
        answer = await self.served.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        text: str = answer.text
        return text


def _time(event: Any, kind: Any, phase: str, second: int) -> None:
    event.phase = kind.Phase.Value(phase)
    event.occurred_at.FromSeconds(1_700_000_000 + second)


@pytest.fixture
def story(served: Any) -> Story:
    return Story(served)
