"""What Prometheus reads: requests by method and code, and whatever else is worth a number.

Nothing is global: everything goes into the registry that is passed in. Names are Flyte's where its dashboards
ask for them. The library's summaries have no quantiles, so those that Flyte promises are made here.
"""

import math
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import prometheus_client
from fastapi import FastAPI
from google.protobuf.descriptor import MethodDescriptor
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_WINDOW_SECONDS = 600.0
_KEPT = 500
_QUANTILES = (0.5, 0.9, 0.99)
_PREFIX = "flyte:admin:admin"


@dataclass(frozen=True)
class Reading:
    """A number that is read when somebody asks for it."""

    name: str
    words: str
    kind: str
    read: Callable[[], float]


@dataclass
class _Seen:
    """What came of one RPC of admin, over every transport."""

    codes: Counter[str] = field(default_factory=Counter)
    milliseconds: float = 0.0
    recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))


class RequestMetrics(Collector):
    """A Meter (`rpc.Meter`) that Prometheus can read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seen: dict[str, _Seen] = {}
        grpc, http = ("grpc_service", "grpc_method"), ("service", "method")
        self._handled = {
            "grpc": _counter("grpc_server_handled", "RPCs over gRPC.", (*grpc, "grpc_code"), registry),
            "http": _counter("lacewing_http_handled", "RPCs over HTTP.", (*http, "code"), registry),
        }
        self._seconds = {
            "grpc": _histogram(
                "grpc_server_handling_seconds", "Seconds of an RPC over gRPC.", grpc, registry
            ),
            "http": _histogram(
                "lacewing_http_handling_seconds", "Seconds of an RPC over HTTP.", http, registry
            ),
        }
        registry.register(self)

    def __call__(self, method: MethodDescriptor, transport: str, code: str, seconds: float) -> None:
        """Note a request that is over."""
        service, code = method.containing_service, _go(code)
        self._handled[transport].labels(service.full_name, method.name, code).inc()
        self._seconds[transport].labels(service.full_name, method.name).observe(seconds)
        if service.name == "AdminService":
            seen = self._seen.setdefault(_snake(method.name), _Seen())
            seen.codes[code] += 1
            seen.milliseconds += seconds * 1000
            seen.recent.append((time.monotonic(), seconds * 1000))

    def collect(self) -> Iterator[Metric]:
        """The numbers under Flyte's names, which hold the RPC."""
        for rpc, seen in self._seen.items():
            name, total = f"{_PREFIX}:{rpc}", seen.codes.total()
            yield _single(f"{name}:success", "Requests that were answered.", seen.codes["OK"])
            yield _single(f"{name}:errors", "Requests that were refused.", total - seen.codes["OK"])
            for code, count in sorted(seen.codes.items()):
                yield _single(f"{name}:codes:{code}", f"Requests that ended as {code}.", count)
            summary = Metric(f"{name}:duration_ms", "Milliseconds of a request.", "summary")
            for quantile, value in _quantiles(seen.recent):
                summary.add_sample(summary.name, {"quantile": str(quantile)}, value)
            summary.add_sample(f"{summary.name}_sum", {}, seen.milliseconds)
            summary.add_sample(f"{summary.name}_count", {}, total)
            yield summary


class Readings(Collector):
    """Numbers of other parts, read at each scrape."""

    def __init__(self, readings: Sequence[Reading], registry: CollectorRegistry) -> None:
        self._readings = tuple(readings)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Every number as it is now."""
        for reading in self._readings:
            metric = Metric(reading.name, reading.words, reading.kind)
            suffix = "_total" if reading.kind == "counter" else ""
            metric.add_sample(reading.name + suffix, {}, reading.read())
            yield metric


def add_metrics(app: FastAPI, registry: CollectorRegistry) -> None:
    """Serve the registry, and what is known of this process, under `/metrics`."""
    prometheus_client.ProcessCollector(registry=registry)

    async def metrics(request: Request) -> Response:
        content = prometheus_client.generate_latest(registry)
        return Response(content, headers={"content-type": prometheus_client.CONTENT_TYPE_LATEST})

    app.router.routes.append(Route("/metrics", metrics))


def _counter(
    name: str, words: str, labels: Sequence[str], registry: CollectorRegistry
) -> prometheus_client.Counter:
    return prometheus_client.Counter(name, words, labels, registry=registry)


def _histogram(
    name: str, words: str, labels: Sequence[str], registry: CollectorRegistry
) -> prometheus_client.Histogram:
    return prometheus_client.Histogram(name, words, labels, registry=registry)


def _single(name: str, words: str, value: float) -> Metric:
    # Flyte's counters do not end in _total, which the library demands of a counter.
    metric = Metric(name, words, "unknown")
    metric.add_sample(name, {}, value)
    return metric


def _quantiles(recent: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Of the window's durations; NaN, as Prometheus has it, when there are none."""
    since = time.monotonic() - _WINDOW_SECONDS
    values = sorted(value for at, value in recent if at >= since)
    for quantile in _QUANTILES:
        yield quantile, values[math.ceil(quantile * len(values)) - 1] if values else math.nan


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _go(code: str) -> str:
    """`NOT_FOUND` as Go writes it: `NotFound`, and `OK` as it is."""
    return code if code == "OK" else code.title().replace("_", "")
