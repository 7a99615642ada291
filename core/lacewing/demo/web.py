"""The demo's HTTP side: uploads, REST, its description, the console and the metrics, in one application."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import CollectorRegistry

from lacewing import __version__
from lacewing.engine.loop import Loop
from lacewing.services.admin.signer import Signer
from lacewing.services.admin.transfer import upload_app
from lacewing.services.console.app import add_console
from lacewing.services.console.reader import Logs
from lacewing.services.gateway import ADMIN, add_gateway
from lacewing.services.metrics import Reading, add_metrics
from lacewing.services.openapi import add_openapi
from lacewing.services.rpc import Meter
from lacewing.services.sites import Sites


def web_app(
    root: str,
    signer: Signer,
    services: Mapping[ServiceDescriptor, object],
    logs: Logs,
    meter: Meter,
    registry: CollectorRegistry,
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> FastAPI:
    """Everything that answers over HTTP. `root` is where uploads go; of the rest `Sites` tells."""
    app = upload_app(root, signer)
    add_gateway(app, services, meter)
    add_openapi(app, services, __version__)
    add_metrics(app, registry)
    add_console(app, services[ADMIN], logs)
    app.add_middleware(Sites, origins=origins, hosts=hosts)
    return app


def engine_readings(loop: Loop) -> list[Reading]:
    """What the engine says about itself."""
    return [
        Reading(
            "flyte:propeller:all:main_depth",
            "Runs that wait for a worker or have one.",
            "gauge",
            lambda: len(loop.queue),
        ),
        Reading("lacewing_live_runs", "Runs held in memory.", "gauge", lambda: loop.live_runs),
        Reading("lacewing_launches", "Attempts handed to a backend.", "counter", lambda: loop.launches),
        Reading("lacewing_events", "Events of runs, nodes and attempts.", "counter", lambda: loop.events),
    ]
