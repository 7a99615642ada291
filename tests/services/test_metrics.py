"""`/metrics` over real HTTP, after real requests."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from flyteidl.admin import common_pb2, version_pb2
from flyteidl.service import admin_pb2, admin_pb2_grpc
from lacewing.services.metrics import RequestMetrics
from lacewing.services.rpc import Call, invoke_metered
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

GET_TASK = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name["GetTask"]


async def scraped(served: Any) -> Callable[..., float | None]:
    response = await served.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float | None:
        return samples.get((name, frozenset(labels.items())))

    return value


async def test_requests_are_counted_by_method_and_code_over_both_transports(served: Any):
    stub = admin_pb2_grpc.AdminServiceStub(served.channel)
    await stub.GetVersion(version_pb2.GetVersionRequest())
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await stub.GetTask(common_pb2.ObjectGetRequest(id={"resource_type": 1, "project": "p", "name": "n"}))
    assert (await served.http.get("/api/v1/version")).status_code == 200
    assert (await served.http.get("/api/v1/tasks/p/d?limit=x")).status_code == 400
    value = await scraped(served)
    service = "flyteidl.service.AdminService"
    over_grpc = {"grpc_service": service, "grpc_method": "GetTask"}
    assert value("grpc_server_handled_total", **over_grpc, grpc_code="NotFound") == 1
    assert value("grpc_server_handling_seconds_count", **over_grpc) == 1
    over_http = {"service": service, "method": "ListTasks"}
    assert value("lacewing_http_handled_total", **over_http, code="InvalidArgument") == 1
    assert value("lacewing_http_handling_seconds_count", **over_http) == 1
    assert value("flyte:admin:admin:get_version:success") == 2
    assert value("flyte:admin:admin:get_task:errors") == 1
    assert value("flyte:admin:admin:get_task:codes:NotFound") == 1
    assert value("flyte:admin:admin:get_version:duration_ms_count") == 2
    median = value("flyte:admin:admin:get_version:duration_ms", quantile="0.5")
    total = value("flyte:admin:admin:get_version:duration_ms_sum")
    assert median is not None
    assert total is not None
    assert 0 < median < total
    assert value("process_resident_memory_bytes")


def numbers(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_quantiles_are_those_of_the_requests():
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry)
    for milliseconds in range(1, 201):
        metrics(GET_TASK, "grpc", "OK", milliseconds / 1000)
    found = numbers(registry)
    name = "flyte:admin:admin:get_task:duration_ms"
    assert [round(found[f"{name} {quantile}"]) for quantile in (0.5, 0.9, 0.99)] == [100, 180, 198]
    assert math.isclose(found[f"{name}_sum"], 20_100)


async def test_a_request_that_its_client_gave_up_is_counted_as_cancelled():
    registry = CollectorRegistry()

    async def endless(request: Any, call: Call) -> None:
        await asyncio.Event().wait()

    metrics = RequestMetrics(registry)
    asked = asyncio.ensure_future(invoke_metered(GET_TASK, endless, None, Call("test"), metrics))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert numbers(registry)["flyte:admin:admin:get_task:codes:Cancelled"] == 1


def test_two_registries_know_nothing_of_each_other():
    one, other = CollectorRegistry(), CollectorRegistry()
    RequestMetrics(one)(GET_TASK, "http", "OK", 1.0)
    RequestMetrics(other)
    assert "flyte:admin:admin:get_task:success" in numbers(one)
    assert "flyte:admin:admin:get_task:success" not in numbers(other)
