"""RPCs over gRPC: any object whose methods are named as a service's RPCs answers for that service.

Every way out is a status of ours. UNKNOWN never is: flytekit answers it with a login.
"""

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from google.protobuf import any_pb2, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from lacewing.errors import InvalidArgument, LacewingError, RequestError, TransientError, Unavailable

log = structlog.get_logger(__name__)
_MESSAGE_LIMIT = 32_000
RECEIVE_LIMIT = 64 * 2**20
OPTIONS = [
    ("grpc.max_receive_message_length", RECEIVE_LIMIT),
    ("grpc.max_send_message_length", RECEIVE_LIMIT),
    # flytekit pings an idle connection every 30 s; the default answers that with GOAWAY.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
]


def new_request_id() -> str:
    """A name for a request that came without one."""
    return f"a-{uuid.uuid4().hex[:20]}"


@dataclass(frozen=True)
class Call:
    """Who asks, and how."""

    peer: str
    transport: str = "grpc"
    request_id: str = field(default_factory=new_request_id)
    seconds_left: float | None = None
    """Until the caller gives up; None if it never does."""
    is_flytekit: bool = False


Rpc = Callable[[Any, Call], Awaitable[Any]]
Meter = Callable[[MethodDescriptor, str, str, float], None]
"""Told of each request when it is over: the RPC, the transport, the code and the seconds it took."""


def unmetered(method: MethodDescriptor, transport: str, code: str, seconds: float) -> None:
    """A Meter that keeps nothing."""


async def invoke(rpc: Rpc, request: Any, call: Call) -> Any:
    """The answer of `rpc`. Whatever goes wrong comes out as a RequestError."""
    try:
        return await rpc(request, call)
    except RequestError:
        raise
    except TransientError as error:
        log.warning("not now", request_id=call.request_id, reason=error.message)
        raise Unavailable(error.message) from error
    except LacewingError as error:
        log.warning("request failed", request_id=call.request_id, code=error.code, reason=error.message)
        raise RequestError(f"{error.code}: {error.message}") from error
    except Exception as error:
        log.exception("request failed", request_id=call.request_id)
        raise RequestError(f"internal error; the server's log has it under {call.request_id}") from error


async def invoke_metered(method: MethodDescriptor, rpc: Rpc, request: Any, call: Call, meter: Meter) -> Any:
    """As `invoke`, and the meter learns how it went."""
    started, code = time.perf_counter(), "CANCELLED"
    try:
        answer = await invoke(rpc, request, call)
        code = "OK"
        return answer
    except RequestError as error:
        code = error.code
        raise
    finally:
        meter(method, call.transport, code, time.perf_counter() - started)


def status_of(error: RequestError) -> status_pb2.Status:
    """The error as it travels: cut, and then without details, where a client could not take it."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=error.message)
    for detail in error.details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    if status.ByteSize() > _MESSAGE_LIMIT:
        status = status_pb2.Status(code=status.code, message=error.message[: _MESSAGE_LIMIT // 4])
    return status


def grpc_server(services: Mapping[ServiceDescriptor, object], meter: Meter = unmetered) -> aio.Server:
    """A server of the services, with health and reflection. An RPC that the object lacks is UNIMPLEMENTED."""
    server = aio.server(options=OPTIONS)
    for descriptor, service in services.items():
        handlers = {
            method.name: _handler(method, getattr(service, method.name), meter)
            for method in descriptor.methods
            if hasattr(service, method.name)
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(descriptor.full_name, handlers),)
        )
    checks = health.aio.HealthServicer()
    for name in ("", "flyteadmin"):
        checks._server_status[name] = health_pb2.HealthCheckResponse.SERVING
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = [descriptor.full_name for descriptor in services]
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return server


def _handler(method: MethodDescriptor, rpc: Rpc, meter: Meter) -> Any:
    async def answer(data: bytes, context: Any) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        call = Call(
            context.peer(),
            request_id=metadata.get("x-request-id") or new_request_id(),
            seconds_left=context.time_remaining(),
            # Of the clients that speak gRPC, only flytekit says so in its metadata.
            is_flytekit=metadata.get("accept") == "application/grpc",
        )
        try:
            return await invoke_metered(method, rpc, _read(request_type, data), call, meter)
        except RequestError as error:
            status = rpc_status.to_status(status_of(error))
            context.set_trailing_metadata(status.trailing_metadata)
            await context.abort(status.code, status.details)

    request_type = message_factory.GetMessageClass(method.input_type)
    # Reading the request is ours: what grpc's own reader raises would be UNKNOWN.
    return grpc.unary_unary_rpc_method_handler(
        answer, response_serializer=lambda message: message.SerializeToString()
    )


def _read(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidArgument(f"the request is no {kind.DESCRIPTOR.full_name}: {error}") from error
