"""The console's routes. Each reads through the RPCs, asks a pure function what to show, fills a template.

Pages load nothing from elsewhere and work without scripts. Forms of other sites never get here.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import jinja2
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2

from lacewing.errors import InvalidArgument, NotFound, RequestError
from lacewing.services.console.address import ROOT, execution_path, executions_path
from lacewing.services.console.literal import size_text
from lacewing.services.console.log import TYPE, log_response, log_tail, pod_name
from lacewing.services.console.page import RUN_PHASES, Phase, node_page, run_of, run_page
from lacewing.services.console.reader import MOST_NODES, Logs, Reader
from lacewing.services.gateway import STATUS

_TAIL = 64_000
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_EXECUTION = "/projects/{project}/domains/{domain}/executions/{name}"


def add_console(app: FastAPI, admin: Any, logs: Logs) -> None:
    """Serve the console under /console, and send the visitor of / there."""
    for path in ("/", ROOT):
        app.add_api_route(path, _home, include_in_schema=False)
    app.add_api_route("/favicon.ico", _no_icon, include_in_schema=False)
    app.mount(ROOT, Console(admin, logs).app)


async def _no_icon() -> Response:
    return Response(status_code=204)


async def _home() -> Response:
    return RedirectResponse(f"{ROOT}/")


class Console:
    """The pages over an object with the RPC methods, and the logs."""

    def __init__(self, admin: Any, logs: Logs) -> None:
        self._reader, self._logs = Reader(admin), logs
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("lacewing.services.console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["size"] = size_text
        self.app = FastAPI(openapi_url=None)
        self.app.middleware("http")(_guard)
        self.app.exception_handler(RequestError)(self._problem)
        self.app.mount("/static", StaticFiles(packages=[("lacewing.services.console", "static")]))
        self._route()

    def _route(self) -> None:
        place = "/projects/{project}/domains/{domain}"
        get, post = self.app.get, self.app.post
        get("/")(self._first)
        get("/executions")(self._choose)
        get("/projects")(self._first)
        get("/projects/{project}")(self._of_project)
        get("/projects/{project}/executions")(self._of_project)
        get(place)(self._of_domain)
        get(f"{place}/executions")(self._list)
        get(_EXECUTION)(self._execution)
        post(f"{_EXECUTION}/terminate")(self._terminate)
        post(f"{_EXECUTION}/relaunch")(self._relaunch)
        get(f"{_EXECUTION}/nodes/{{node_id}}")(self._node)
        get(f"{_EXECUTION}/nodes/{{node_id}}/attempts/{{attempt}}/log")(self._log)
        get("/{rest:path}")(self._nowhere)

    async def _first(self) -> Response:
        projects, domains = await self._reader.places()
        if not (projects and domains):
            raise NotFound("there is no project yet")
        return RedirectResponse(executions_path(projects[0], domains[0]))

    async def _choose(self, project: str = "", domain: str = "", phase: str = "") -> Response:
        if not (project and domain):
            return RedirectResponse(ROOT)
        query = f"?phase={quote(phase)}" if phase else ""
        return RedirectResponse(executions_path(project, domain) + query)

    async def _of_project(self, project: str, domain: str = "") -> Response:
        _, domains = await self._reader.places()
        return RedirectResponse(executions_path(project, domain or domains[0]))

    async def _of_domain(self, project: str, domain: str) -> Response:
        return RedirectResponse(executions_path(project, domain))

    async def _list(
        self, request: Request, project: str, domain: str, phase: str = "", token: str = ""
    ) -> Response:
        projects, domains = await self._reader.places()
        for known, one, kind in ((projects, project, "project"), (domains, domain, "domain")):
            if one not in known:
                raise NotFound(f"there is no {kind} {one!r}; there is {', '.join(known)}")
        if phase and phase not in RUN_PHASES:
            raise InvalidArgument(f"there is no phase {phase!r}; there is {', '.join(RUN_PHASES)}")
        answer = await self._reader.executions(project, domain, phase, token)
        runs = [run_of(one, _now()) for one in answer.executions]
        path = executions_path(project, domain)
        older = f"{path}?phase={quote(phase)}&token={quote(answer.token)}" if answer.token else ""
        return self._page(
            request, "executions", title=f"Executions of {project}, {domain}",
            refresh=0 if token else 2000, live=any(not run.phase.over for run in runs),
            runs=runs, projects=projects, domains=domains,
            phases=[Phase(name) for name in RUN_PHASES], project=project, domain=domain, phase=phase,
            newest=f"{path}?phase={quote(phase)}" if token else "", older=older,
        )  # fmt: skip

    async def _execution(self, request: Request, project: str, domain: str, name: str) -> Response:
        identifier = _identifier(project, domain, name)
        execution, data = await self._reader.execution(identifier)
        found, hidden = await self._reader.nodes(identifier)
        page = run_page(execution, data, found, _now(), hidden=hidden)
        return self._page(
            request, "execution", title=f"Execution {name}", page=page, run=page.run,
            refresh=0 if page.run.phase.over else 1000 + 10 * len(page.rows),
            live=not page.run.phase.over, most=MOST_NODES,
            relaunch=self._reader.offers("RelaunchExecution"),
            terminate=not page.run.phase.over and page.run.phase.name != "ABORTING",
        )  # fmt: skip

    async def _node(self, request: Request, project: str, domain: str, name: str, node_id: str) -> Response:
        identifier = _identifier(project, domain, name)
        execution, _ = await self._reader.execution(identifier)
        found, data = await self._reader.node(_node_identifier(identifier, node_id))
        parent = found.node.metadata.is_parent_node
        below = (await self._reader.nodes(identifier, node_id))[0] if parent else []
        page = node_page(execution, found, data, below, _now())
        namespace = execution.spec.metadata.system_metadata.namespace
        tails = {one.number: await log_tail(self._logs, namespace, one.pod, _TAIL) for one in page.attempts}
        live = not page.row.phase.over
        return self._page(
            request, "node", title=f"Node {node_id} of {name}", page=page, run=page.run, tails=tails,
            refresh=1000 if live else 0, live=live,
        )  # fmt: skip

    async def _log(
        self, request: Request, project: str, domain: str, name: str, node_id: str, attempt: str
    ) -> Response:
        identifier = _identifier(project, domain, name)
        execution, _ = await self._reader.execution(identifier)
        namespace = execution.spec.metadata.system_metadata.namespace
        element, header = request.query_params.get("element", ""), request.headers.get("range", "")
        for one in await self._reader.attempts(_node_identifier(identifier, node_id)):
            pod = pod_name(one, attempt, element)
            if pod and (answer := await log_response(self._logs, namespace, pod, header)):
                return answer
        return Response(
            f"There is no log of attempt {attempt} of node {node_id} of {name}.\n", 404, None, TYPE
        )

    async def _terminate(self, project: str, domain: str, name: str) -> Response:
        identifier = _identifier(project, domain, name)
        request = execution_pb2.ExecutionTerminateRequest(id=identifier, cause="terminated in the console")
        await self._reader.ask("TerminateExecution", request)
        return RedirectResponse(execution_path(identifier), 303)

    async def _relaunch(self, project: str, domain: str, name: str) -> Response:
        request = execution_pb2.ExecutionRelaunchRequest(id=_identifier(project, domain, name))
        answer = await self._reader.ask("RelaunchExecution", request)
        return RedirectResponse(execution_path(answer.id), 303)

    async def _nowhere(self, rest: str) -> Response:
        raise NotFound(f"the console has no page {ROOT}/{rest}")

    async def _problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        status = STATUS.get(error.code, 500)
        parts = request.url.path.removeprefix(ROOT).split("/")
        known = len(parts) > 4 and parts[1] == "projects" and parts[3] == "domains"
        back = executions_path(parts[2], parts[4]) if known and len(parts) > 6 else ROOT
        title = "Not found" if status == 404 else "That did not work"
        return self._page(
            request, "problem", status, title=title, message=error.message, back=back, refresh=0, live=False
        )

    def _page(self, request: Request, name: str, status: int = 200, **shown: Any) -> Response:
        whole = request.query_params.get("part") != "main"
        frame = "layout.html" if whole else "part.html"
        text = self._templates.get_template(f"{name}.html").render(
            frame=frame, root=ROOT, now=_now(), **shown
        )
        return HTMLResponse(text, status)


async def _guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Tell browsers to load nothing from elsewhere."""
    response = await answer(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _identifier(project: str, domain: str, name: str) -> identifier_pb2.WorkflowExecutionIdentifier:
    return identifier_pb2.WorkflowExecutionIdentifier(project=project, domain=domain, name=name)


def _node_identifier(
    execution: identifier_pb2.WorkflowExecutionIdentifier, node_id: str
) -> identifier_pb2.NodeExecutionIdentifier:
    return identifier_pb2.NodeExecutionIdentifier(execution_id=execution, node_id=node_id)


def _now() -> datetime:
    return datetime.now(UTC)
