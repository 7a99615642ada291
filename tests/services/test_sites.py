"""Who may call from a browser, over real HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from flyteidl.service import dataproxy_pb2, dataproxy_pb2_grpc
from lacewing.services.sites import Sites

FOREIGN: list[dict[str, str]] = [
    {"origin": "http://elsewhere.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "cross-site"},
]
LISTED = "https://console.example"


@pytest.fixture
async def listing() -> AsyncIterator[httpx.AsyncClient]:
    """A server that lists one site, and knows one more name of itself."""
    app = FastAPI()

    @app.api_route("/", methods=["GET", "POST"])
    async def anything() -> str:
        return "done"

    app.add_middleware(Sites, origins=[LISTED], hosts=["Machine"])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    serving = asyncio.ensure_future(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    await serving


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/api/v1/executions"),
        ("PUT", "/api/v1/projects/x"),
        ("DELETE", "/api/v1/project_attributes/x"),
        ("POST", "/console/projects/p/domains/d/executions/e/terminate"),
        ("POST", "/nowhere"),
    ],
)
async def test_another_sites_page_changes_nothing(served: Any, verb: str, path: str, headers: dict[str, str]):
    answer = await served.http.request(verb, path, headers=headers, content=b"{}")
    assert answer.status_code == 403
    assert "The request comes from a page of another site" in answer.text
    assert "`origins`" in answer.text


async def test_another_sites_page_reads_nothing(served: Any):
    origin = {"origin": "http://elsewhere.example"}
    for path in ("/api/v1/projects", "/console/projects", "/healthcheck"):
        answer = await served.http.get(path, headers=origin)
        assert "access-control-allow-origin" not in answer.headers
    asking = {**origin, "access-control-request-method": "PUT"}
    answer = await served.http.options("/api/v1/projects/x", headers=asking)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


async def test_own_pages_and_programs_change_things(served: Any):
    own = str(served.http.base_url).rstrip("/")
    for headers in ({}, {"origin": own, "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
        answer = await served.http.post("/api/v1/projects", headers=headers, content=b"{}")
        assert answer.status_code == 400, answer.text


async def test_an_upload_of_a_client_goes_on_and_that_of_a_page_does_not(served: Any):
    proxy = dataproxy_pb2_grpc.DataProxyServiceStub(served.channel)
    md5 = hashlib.md5(b"data", usedforsecurity=False).digest()
    place = {"project": "p", "domain": "d", "filename": "f", "content_md5": md5}
    answer = await proxy.CreateUploadLocation(dataproxy_pb2.CreateUploadLocationRequest(**place))
    path = answer.signed_url.removeprefix("http://localhost")
    foreign = await served.http.put(path, content=b"data", headers=FOREIGN[0])
    assert foreign.status_code == 403
    assert (await served.http.put(path, content=b"data")).status_code == 200


async def test_a_listed_site_reads_and_changes(listing: httpx.AsyncClient):
    headers = {"origin": LISTED, "access-control-request-method": "PUT"}
    headers["access-control-request-headers"] = "flyte-authorization, content-type"
    allowed = await listing.options("/", headers=headers)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == LISTED
    assert allowed.headers["access-control-allow-credentials"] == "true"
    changed = await listing.post("/", headers={"origin": LISTED, "sec-fetch-site": "cross-site"})
    assert (changed.status_code, changed.headers["access-control-allow-origin"]) == (200, LISTED)
    assert (await listing.post("/", headers={"origin": "https://other.example"})).status_code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1:80", "[::1]:80", "localhost", "a.localhost:1", "machine", "console.example"]
)
async def test_the_server_goes_by_names_that_are_its_own(listing: httpx.AsyncClient, host: str):
    assert (await listing.get("/", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["pointed-here.example:80", "localhost.example", "1.2.3.4.example", "[x"])
async def test_a_name_that_a_stranger_pointed_here_is_refused(listing: httpx.AsyncClient, host: str):
    own = {"host": host, "origin": f"http://{host}"}
    for verb in ("GET", "POST"):
        answer = await listing.request(verb, "/", headers=own)
        assert answer.status_code == 403
        assert f"does not know itself as '{host}'" in answer.text
