"""The demo: admin, engine and local cluster in one process, on one port.

The composition root. It makes the objects, starts every background task and ends them; it decides nothing.
"""

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from flyteidl.core import identifier_pb2
from grpc import aio
from prometheus_client import CollectorRegistry
from sqlalchemy.dialects.sqlite import insert

from lacewing import POD
from lacewing.adapters.clock import SystemClock
from lacewing.adapters.events import News, TableEvents
from lacewing.adapters.local import LocalCluster
from lacewing.adapters.local_job import LocalJobs
from lacewing.adapters.local_log import LocalLogs
from lacewing.adapters.local_pod import environment
from lacewing.adapters.runs import SqlRunStore
from lacewing.adapters.schema import prepare
from lacewing.adapters.sql import Database, open_engine
from lacewing.adapters.store import Store, open_blob_store, task_environment, warm_modules
from lacewing.demo.environment import ImageMap
from lacewing.demo.settings import DemoSettings
from lacewing.demo.splice import serve_spliced
from lacewing.demo.web import engine_readings, web_app
from lacewing.engine.contexts import ELEMENT_LABEL, EXECUTION_LABEL, NODE_LABEL, owner
from lacewing.engine.effects import Effects
from lacewing.engine.files import RunFiles
from lacewing.engine.loop import GC_THRESHOLDS, Loop
from lacewing.engine.outside import Outside
from lacewing.errors import TransientError
from lacewing.hooks.loader import load_plugins
from lacewing.model.task import Manifest
from lacewing.services import db
from lacewing.services.admin.app import Admin
from lacewing.services.admin.configuration import Platform
from lacewing.services.admin.events import ingest
from lacewing.services.admin.holding import Holding
from lacewing.services.admin.rows import now_text
from lacewing.services.admin.signer import LocalSigning, Signer
from lacewing.services.catalog.app import Catalog
from lacewing.services.console.address import log_path
from lacewing.services.metrics import Readings, RequestMetrics
from lacewing.services.rpc import grpc_server

log = structlog.get_logger(__name__)
_RESYNC_SECONDS = 30.0
_WORKERS = 4
_LEAST_ELEMENTS = 32


def seed(database: Database) -> Coroutine[Any, Any, Any]:
    """Have the project that Flyte's tools assume."""
    at = now_text()
    name = "flytesnacks"
    values = {"identifier": name, "name": name, "description": f"{name} description", "created_at": at}
    statement = insert(db.projects).values(values).on_conflict_do_nothing()
    return database.write(lambda connection: connection.execute(statement))


@contextlib.asynccontextmanager
async def demo(home: Path, settings: DemoSettings) -> AsyncIterator[None]:
    """Run the demo while the context lasts. Processes of tasks outlive it."""
    gc.set_threshold(*GC_THRESHOLDS)
    home.mkdir(parents=True, exist_ok=True)
    registry = load_plugins(settings.plugins, settings.plugin_settings, settings.fallback)
    url = settings.store or str(home / "store")
    store = await open_blob_store(url, settings.store_settings, os.environ)
    blobs, root = store.blobs, store.root
    engine = open_engine(f"sqlite:///{home}/lacewing.db")
    prepare(engine)
    database = Database(engine)
    await seed(database)
    runs = SqlRunStore(database)
    base = f"http://{settings.address}"
    cluster = _cluster(home, settings, base, store)
    signer = Signer(_secret(home), lambda: base)
    signing = store.signing or LocalSigning(signer)
    news = News()
    holding = Holding(news, settings.hold_seconds)
    admin = Admin(
        database, blobs, runs, root, signing, platform=_platform(settings), news=news, holding=holding,
        wake=lambda run, *hints: loop.wake(run, *hints),
    )  # fmt: skip
    files = RunFiles(blobs)
    outside = Outside(files, admin.children, admin.signals)
    jobs = LocalJobs(cluster, home / "cluster")
    clock = SystemClock()
    catalog = Catalog(database, clock)
    effects = Effects(
        registry, jobs, files, outside, admin.dynamics, catalog.engine, f"{base}/console"
    )  # fmt: skip
    loop = Loop(runs, blobs, TableEvents(ingest(database), news), effects, clock)
    services = admin.services
    measured = CollectorRegistry()
    Readings(engine_readings(loop), measured)
    meter = RequestMetrics(measured)
    hosts = (settings.host, socket.gethostname())
    logs = LocalLogs(home / "cluster")
    app = web_app(root, signer, services, logs, meter, measured, settings.origins, hosts)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(database.close)
        work = [loop.work() for _ in range(_WORKERS)]
        work += [
            loop.run_timers(),
            _follow_runs(runs, loop),
            _follow_pods(cluster, loop),
            _resync(runs, loop),
        ]
        # What an earlier demo left is taken up before anyone asks: what is not known counts as vanished.
        await cluster.start()
        stack.push_async_callback(cluster.close)
        await admin.refuse_unstarted(set(await runs.live()))
        await stack.enter_async_context(_background(work))
        server = grpc_server({**services, **catalog.services}, meter)
        await stack.enter_async_context(_serving(home, settings, server, app))
        stack.callback(holding.close)
        yield


def _cluster(home: Path, settings: DemoSettings, base: str, store: Store) -> LocalCluster:
    """The machine as a cluster, with links to its logs on this server."""
    return LocalCluster(
        home / "cluster",
        default_python=Path(sys.executable),
        slots=settings.slots,
        cpus=_cpus(),
        memory_bytes=_memory(),
        images=ImageMap(home, settings.images),
        keep_seconds=settings.keep_days * 86400,
        keep_count=settings.keep_attempts,
        log_bytes=int(settings.log_megabytes * 2**20),
        log_uri=lambda pod: base + _log_path(pod),
        environment={
            **task_environment(store.root, settings.store_settings, os.environ),
            **_own_address(settings),
        },
        modules=warm_modules(store.root),
        blobs=store.blobs,
    )


def _cpus() -> int:
    return os.cpu_count() or 1


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _platform(settings: DemoSettings) -> Platform:
    """More elements of a map than the machine can run at once would only wait, and be kept track of."""
    return Platform(
        element_parallelism=max(_LEAST_ELEMENTS, 4 * settings.slots),
        resource_limits={"cpu": str(_cpus()), "memory": f"{_memory() >> 20}Mi"},
    )


def _own_address(settings: DemoSettings) -> dict[str, str]:
    """How a task reaches this server, as flytekit reads it: eager workflows start executions of their own."""
    return {"FLYTE_PLATFORM_URL": f"dns:///{settings.address}", "FLYTE_PLATFORM_INSECURE": "true"}


@contextlib.asynccontextmanager
async def _serving(
    home: Path, settings: DemoSettings, server: aio.Server, app: FastAPI
) -> AsyncIterator[None]:
    grpc_socket, http_socket = home / "grpc.sock", home / "http.sock"
    server.add_insecure_port(f"unix:{grpc_socket}")
    await server.start()
    config = uvicorn.Config(
        app, uds=str(http_socket), log_level="warning", lifespan="off", ws="none", http="h11"
    )
    http = uvicorn.Server(config)
    serving = asyncio.ensure_future(http._serve())
    async with serve_spliced(settings.host, settings.port, grpc_socket, http_socket) as front:
        try:
            yield
        finally:
            front.close()
            await server.stop(0.5)
            http.should_exit = True
            await serving


@contextlib.asynccontextmanager
async def _background(work: list[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(one) for one in work]
    for task in tasks:
        task.add_done_callback(_watch)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _watch(task: asyncio.Future[None]) -> None:
    """None of the background's tasks may end by itself. Without one of them runs would stand still unseen."""
    if not task.cancelled():
        log.critical("a part of the demo ended; the demo ends with it", exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)


async def _follow_runs(runs: SqlRunStore, loop: Loop) -> None:
    async for key in runs.changes():
        loop.wake_fresh(key)


async def _follow_pods(cluster: LocalCluster, loop: Loop) -> None:
    async for pod in cluster.watch(POD):
        loop.wake(*owner(pod["metadata"]["labels"]))


async def _resync(runs: SqlRunStore, loop: Loop) -> None:
    while True:
        try:
            for key in await runs.live():
                loop.wake_fresh(key)
        except TransientError as error:
            log.warning("runs cannot be listed", reason=error.message)
        await asyncio.sleep(_RESYNC_SECONDS)


def _log_path(pod: Manifest) -> str:
    """Where the console serves the log of the attempt that the pod runs."""
    labels = pod["metadata"]["labels"]
    node = identifier_pb2.NodeExecutionIdentifier(node_id=labels[NODE_LABEL])
    run = node.execution_id
    run.project, run.domain, run.name = labels["project"], labels["domain"], labels[EXECUTION_LABEL]
    attempt = int(environment(pod).get("FLYTE_ATTEMPT_NUMBER", "0"))
    return log_path(node, attempt, int(labels.get(ELEMENT_LABEL, "-1")))


def _secret(home: Path) -> bytes:
    path = home / "secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()
