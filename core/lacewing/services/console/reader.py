"""What the pages need, asked of the RPCs. It holds nothing: every page is read anew."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    node_execution_pb2,
    project_pb2,
    task_execution_pb2,
)
from flyteidl.core import identifier_pb2

from lacewing.errors import NotFound
from lacewing.services.console.page import BOUNDS, Found
from lacewing.services.rpc import Call, invoke

MOST_NODES = 500
_MOST_ATTEMPTS = 100
_DEEPEST = 8
_PAGE = 25
Attempts = Sequence[task_execution_pb2.TaskExecution]


class Logs(Protocol):
    """Where the logs of attempts are read, by the namespace and name of what the attempt ran as."""

    async def size(self, namespace: str, name: str) -> int | None:
        """How many bytes the log has by now, or None if there is no log."""
        ...

    async def read(self, namespace: str, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`."""
        ...


class Reader:
    """Reads through `admin`, an object with the RPC methods of AdminService."""

    def __init__(self, admin: Any) -> None:
        self._admin = admin
        self.call = Call("console", "http")

    def offers(self, rpc: str) -> bool:
        """Whether the RPC exists."""
        return hasattr(self._admin, rpc)

    async def ask(self, rpc: str, request: Any) -> Any:
        """The answer of an RPC; raises RequestError."""
        return await invoke(getattr(self._admin, rpc), request, self.call)

    async def places(self) -> tuple[list[str], list[str]]:
        """The projects and the domains."""
        projects = await self.ask("ListProjects", project_pb2.ProjectListRequest(limit=1000))
        domains = await self.ask("GetDomains", project_pb2.GetDomainRequest())
        return [one.id for one in projects.projects], [one.id for one in domains.domains]

    async def executions(
        self, project: str, domain: str, phase: str, token: str
    ) -> execution_pb2.ExecutionList:
        """A page of executions, the newest first."""
        request = common_pb2.ResourceListRequest(
            limit=_PAGE,
            token=token,
            filters=f"eq(phase,{phase})" if phase else "",
            sort_by=common_pb2.Sort(key="created_at", direction=common_pb2.Sort.DESCENDING),
        )
        request.id.project, request.id.domain = project, domain
        answer: execution_pb2.ExecutionList = await self.ask("ListExecutions", request)
        return answer

    async def execution(
        self, identifier: identifier_pb2.WorkflowExecutionIdentifier
    ) -> tuple[execution_pb2.Execution, Any]:
        """An execution and its data; raises NotFound."""
        try:
            request = execution_pb2.WorkflowExecutionGetRequest(id=identifier)
            execution = await self.ask("GetExecution", request)
        except NotFound as error:
            place = f"{identifier.project}, {identifier.domain}"
            raise NotFound(f"There is no execution {identifier.name} in {place}.") from error
        wanted = execution_pb2.WorkflowExecutionGetDataRequest(id=identifier)
        return execution, await self.ask("GetExecutionData", wanted)

    async def node(self, identifier: identifier_pb2.NodeExecutionIdentifier) -> tuple[Found, Any]:
        """A node with its attempts, and its data; raises NotFound."""
        try:
            request = node_execution_pb2.NodeExecutionGetRequest(id=identifier)
            node = await self.ask("GetNodeExecution", request)
        except NotFound as error:
            run = identifier.execution_id.name
            raise NotFound(f"There is no node {identifier.node_id} in {run}, or not yet.") from error
        wanted = node_execution_pb2.NodeExecutionGetDataRequest(id=identifier)
        return Found(node, await self.attempts(identifier)), await self.ask("GetNodeExecutionData", wanted)

    async def nodes(
        self,
        run: identifier_pb2.WorkflowExecutionIdentifier,
        parent: str = "",
        known: Sequence[Found] = (),
    ) -> tuple[list[Found], bool]:
        """The nodes of a run, or those below `parent`, each before its own; and whether there are more.

        Attempts of nodes that were over in `known`, an earlier answer, are not asked for again.
        """
        over = {one.node.id.node_id: one.attempts for one in known if one.over}
        found: list[Found] = []
        await self._collect(run, parent, 0, found)
        shown = found[:MOST_NODES]
        attempts = await asyncio.gather(*(self._attempts_of(one, over) for one in shown))
        whole = [Found(one.node, own, one.depth) for one, own in zip(shown, attempts, strict=True)]
        return whole, len(found) > MOST_NODES

    async def _collect(self, run: Any, parent: str, depth: int, found: list[Found]) -> None:
        request = node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=run,
            unique_parent_id=parent,
            limit=MOST_NODES + 1,
            sort_by=common_pb2.Sort(key="created_at", direction=common_pb2.Sort.ASCENDING),
        )
        answer = await self.ask("ListNodeExecutions", request)
        for node in answer.node_executions:
            found.append(Found(node, depth=depth))
            if node.metadata.is_parent_node and depth < _DEEPEST and len(found) <= MOST_NODES:
                await self._collect(run, node.id.node_id, depth + 1, found)

    async def _attempts_of(self, found: Found, over: Mapping[str, Attempts]) -> Attempts:
        node_id = found.node.id.node_id
        if node_id in over or node_id in BOUNDS:
            return over.get(node_id, ())
        return await self.attempts(found.node.id)

    async def attempts(self, identifier: identifier_pb2.NodeExecutionIdentifier) -> Attempts:
        """The attempts of a node, the first one first."""
        request = task_execution_pb2.TaskExecutionListRequest(
            node_execution_id=identifier,
            limit=_MOST_ATTEMPTS,
            sort_by=common_pb2.Sort(key="retry_attempt", direction=common_pb2.Sort.ASCENDING),
        )
        found: Attempts = (await self.ask("ListTaskExecutions", request)).task_executions
        return found
