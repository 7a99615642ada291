"""A server of all services on real sockets, without an engine: gRPC and HTTP on ports of their own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio
from lacewing.adapters.events import News
from lacewing.adapters.local_log import LocalLogs
from lacewing.adapters.runs import SqlRunStore
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.adapters.store import Store, StoreSettings, open_blob_store
from lacewing.demo.app import seed
from lacewing.demo.web import web_app
from lacewing.services.admin.app import Admin
from lacewing.services.admin.configuration import Platform
from lacewing.services.admin.holding import Holding
from lacewing.services.admin.signer import LocalSigning, Signer
from lacewing.services.metrics import RequestMetrics
from lacewing.services.rpc import grpc_server
from prometheus_client import CollectorRegistry


@dataclass(frozen=True)
class Served:
    """What a test talks to."""

    http: httpx.AsyncClient
    channel: aio.Channel
    target: str
    services: Mapping[ServiceDescriptor, object]
    database: Database
    root: Path
    holding: Holding
    store: Store


@pytest.fixture
def platform() -> Platform:
    """What the served platform gives and allows; a module may say otherwise."""
    return Platform(resource_limits={"cpu": "4", "memory": "8Gi"})


@pytest.fixture
def hold_seconds() -> float:
    """How long a repeated GetExecution is held; a module that is about it says so."""
    return 0.0


@pytest.fixture
def clock() -> Callable[[], float]:
    """The clock by which the pace of callers is judged."""
    return time.monotonic


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    """Where the files of the server are; a module may say otherwise."""
    return await open_blob_store(str(tmp_path / "store"), StoreSettings(), {})


@pytest.fixture
async def served(
    tmp_path: Path, store: Store, platform: Platform, hold_seconds: float, clock: Callable[[], float]
) -> AsyncIterator[Served]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database, root, blobs = Database(engine), store.root, store.blobs
    await seed(database)
    signer = Signer(b"secret", lambda: "http://localhost")
    news = News()
    holding = Holding(news, hold_seconds, clock)
    runs, signing = SqlRunStore(database), store.signing or LocalSigning(signer)
    admin = Admin(database, blobs, runs, root, signing, platform=platform, news=news, holding=holding)
    services = admin.services
    registry = CollectorRegistry()
    meter = RequestMetrics(registry)
    app = web_app(root, signer, services, LocalLogs(tmp_path / "cluster"), meter, registry)
    server = grpc_server(services, meter)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    http = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    serving = asyncio.ensure_future(http._serve())
    while not http.started:
        await asyncio.sleep(0.01)
    http_port = http.servers[0].sockets[0].getsockname()[1]
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}") as client,
        aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
    ):
        target = f"127.0.0.1:{grpc_port}"
        yield Served(client, channel, target, services, database, tmp_path, holding, store)
    http.should_exit = True
    await serving
    await server.stop(None)
    database.close()
