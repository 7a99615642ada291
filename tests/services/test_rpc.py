"""Health, reflection and what goes wrong, over real gRPC."""

import asyncio
from typing import Any

import grpc
import pytest
from flyteidl.service import auth_pb2, auth_pb2_grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


async def test_health_is_serving_under_the_names_that_clients_ask_for(served: Any):
    stub = health_pb2_grpc.HealthStub(served.channel)
    for name in ("", "flyteadmin"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await stub.Check(health_pb2.HealthCheckRequest(service="another"))


def reflected(target: str) -> tuple[set[str], set[str]]:
    """The services that a client without any descriptors finds, and the methods of admin."""
    with grpc.insecure_channel(target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        admin = DescriptorPool(database).FindServiceByName("flyteidl.service.AdminService")
        return set(database.get_services()), {method.name for method in admin.methods}


async def test_a_client_without_descriptors_learns_them_by_reflection(served: Any):
    services, methods = await asyncio.to_thread(reflected, served.target)
    assert services == {
        "flyteidl.service.AdminService",
        "flyteidl.service.DataProxyService",
        "flyteidl.service.SignalService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert {"CreateTask", "GetExecution"} <= methods


async def test_a_service_that_nobody_answers_for_is_unimplemented(served: Any):
    stub = auth_pb2_grpc.AuthMetadataServiceStub(served.channel)
    with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
        await stub.GetPublicClientConfig(auth_pb2.PublicClientAuthConfigRequest())
