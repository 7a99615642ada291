"""REST for the services: every route comes from a descriptor's `google.api.http` option.

The same objects answer as over gRPC, through the same `invoke`. No message has a second form in code here.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler
from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2
from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lacewing.errors import NotFound, RequestError, ResourceExhausted, Unimplemented
from lacewing.services.codec import Codec, choose
from lacewing.services.query import set_values
from lacewing.services.rpc import RECEIVE_LIMIT, Call, Meter, Rpc, invoke_metered, status_of, unmetered

T = TypeVar("T")
ADMIN: ServiceDescriptor = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
SERVICES: tuple[ServiceDescriptor, ...] = (
    ADMIN,
    dataproxy_pb2.DESCRIPTOR.services_by_name["DataProxyService"],
    signal_pb2.DESCRIPTOR.services_by_name["SignalService"],
    auth_pb2.DESCRIPTOR.services_by_name["AuthMetadataService"],
    identity_pb2.DESCRIPTOR.services_by_name["IdentityService"],
)
"""What has REST. A service that nobody answers for keeps its routes, and they say so."""
STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of each gRPC code."""
_LARGE = 64 * 1024
VARIABLE = re.compile(r"{([^}=]+)}")


def bindings(method: MethodDescriptor) -> list[tuple[str, str, str]]:
    """Where the RPC is: the HTTP method, the path's template and the `body` of each of its bindings."""
    first = method.GetOptions().Extensions[annotations_pb2.http]
    found = []
    for rule in (first, *first.additional_bindings):
        verb = rule.WhichOneof("pattern")
        if verb is not None:
            found.append((verb.upper(), getattr(rule, verb), rule.body))
    return found


def add_gateway(
    app: FastAPI,
    services: Mapping[ServiceDescriptor, object],
    meter: Meter = unmetered,
) -> None:
    """Serve the services under `/api/v1` and beside it."""
    for descriptor in SERVICES:
        service = services.get(descriptor)
        for method in descriptor.methods:
            rpc = getattr(service, method.name, None) or _missing(method, service)
            for verb, template, body in bindings(method):
                app.router.routes.append(_route(method, rpc, meter, verb, template, body))
    app.add_exception_handler(HTTPException, _no_route)


def refusal(error: RequestError, codec: Codec) -> Response:
    """The error as an answer: its HTTP status, and a google.rpc.Status in the client's codec."""
    status = STATUS.get(error.code, 500)
    return Response(codec.encode(status_of(error)), status, media_type=codec.content_type)


def _missing(method: MethodDescriptor, service: object | None) -> Rpc:
    name = method.containing_service.full_name
    words = (
        f"unknown service {name}" if service is None else f"unknown method {method.name} for service {name}"
    )

    async def answer(request: Any, call: Call) -> Any:
        raise Unimplemented(words)

    return answer


def _route(method: MethodDescriptor, rpc: Rpc, meter: Meter, verb: str, template: str, body: str) -> Route:
    variables = VARIABLE.findall(template)
    request_type = message_factory.GetMessageClass(method.input_type)

    async def ask(request: Request, call: Call) -> Any:
        message, (read, write) = request_type(), _codecs(request)
        if body == "*":
            content = await _body(request)
            await _aside(len(content), read.decode, content, message)
        else:
            set_values(message, request.query_params.multi_items())
        set_values(message, zip(variables, request.path_params.values(), strict=True))
        answer = await rpc(message, call)
        return await _aside(answer.ByteSize(), write.encode, answer)

    async def answer(request: Request) -> Response:
        codec = _codecs(request)[1]
        try:
            content = await invoke_metered(method, ask, request, _call(request), meter)
        except RequestError as error:
            return refusal(error, codec)
        return Response(content, media_type=codec.content_type)

    # Starlette's names of parameters hold no dots.
    path = VARIABLE.sub(lambda found: "{" + found[1].replace(".", "__") + "}", template)
    return Route(path, answer, methods=[verb], name=method.full_name)


def _codecs(request: Request) -> tuple[Codec, Codec]:
    headers = request.headers
    return choose(headers.getlist("accept"), headers.getlist("content-type"))


async def _aside(size: int, convert: Callable[..., T], *arguments: Any) -> T:
    """Convert a message; a large one, which takes its time as JSON, on a thread."""
    if size < _LARGE:
        return convert(*arguments)
    return await asyncio.to_thread(convert, *arguments)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > RECEIVE_LIMIT:
            raise ResourceExhausted(f"the body is larger than {RECEIVE_LIMIT} bytes")
    return bytes(body)


def _call(request: Request) -> Call:
    peer = f"{request.client.host}:{request.client.port}" if request.client else "http"
    known = request.headers.get("x-request-id")
    return Call(peer, "http", known) if known else Call(peer, "http")


async def _no_route(request: Request, error: Exception) -> Response:
    """A path or a method that nothing serves; a plain OPTIONS of a known path is fine."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    if status == 405 and request.method == "OPTIONS":
        return Response()
    if status == 405:
        return refusal(Unimplemented("Method Not Allowed"), _codecs(request)[1])
    if status == 404:
        return refusal(NotFound("Not Found"), _codecs(request)[1])
    return await http_exception_handler(request, error)
