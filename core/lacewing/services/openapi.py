"""The description of the REST API, made from the same descriptors as its routes.

OpenAPI 3.0 for tools of today, and Swagger 2.0 made from it for those that read Flyte's.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.rpc import status_pb2
from protoc_gen_openapiv2.options import annotations_pb2 as openapi_options
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lacewing.services.codec import JSON_TYPE, WELL_KNOWN
from lacewing.services.gateway import SERVICES, VARIABLE, bindings

Json = dict[str, Any]
_REFERENCE = "#/components/schemas/"
_FIELD = FieldDescriptor
_TYPES: dict[int, Json] = {
    _FIELD.TYPE_BOOL: {"type": "boolean"},
    _FIELD.TYPE_STRING: {"type": "string"},
    _FIELD.TYPE_BYTES: {"type": "string", "format": "byte"},
    _FIELD.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _FIELD.TYPE_FLOAT: {"type": "number", "format": "float"},
    _FIELD.TYPE_INT32: {"type": "integer", "format": "int32"},
    _FIELD.TYPE_UINT32: {"type": "integer", "format": "int64"},
    _FIELD.TYPE_INT64: {"type": "string", "format": "int64"},
    _FIELD.TYPE_UINT64: {"type": "string", "format": "uint64"},
}
_WELL_KNOWN: dict[str, Json] = {
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "example": "3.5s"},
    "FieldMask": {"type": "string"},
    "Struct": {"type": "object"},
    "Value": {},
    "ListValue": {"type": "array", "items": {}},
    "NullValue": {},
    "Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "additionalProperties": True},
    "Empty": {"type": "object"},
}


class _Schemas:
    """The schemas of messages and enums, each noted once where it is first met."""

    def __init__(self) -> None:
        self.all: dict[str, Json] = {}

    def of(self, descriptor: Descriptor | EnumDescriptor) -> Json:
        """The schema of the type: in place, or a reference."""
        if descriptor.full_name.startswith(WELL_KNOWN):
            return self._well_known(descriptor)
        name = _name(descriptor.full_name)
        if name not in self.all:
            self.all[name] = {}
            self.all[name].update(self._made(descriptor))
        return {"$ref": _REFERENCE + name}

    def field(self, field: FieldDescriptor) -> Json:
        """The schema of a field's value."""
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self.field(kind.fields_by_name["value"])}
        kind_or_enum = kind or field.enum_type
        one = self.of(kind_or_enum) if kind_or_enum is not None else dict(_TYPES[field.type])
        return {"type": "array", "items": one} if field.is_repeated else one

    def _made(self, descriptor: Descriptor | EnumDescriptor) -> Json:
        if isinstance(descriptor, EnumDescriptor):
            names = [value.name for value in descriptor.values]
            return {"type": "string", "enum": names, "default": names[0]}
        return {"type": "object", "properties": {one.name: self.field(one) for one in descriptor.fields}}

    def _well_known(self, descriptor: Any) -> Json:
        known = _WELL_KNOWN.get(descriptor.name)
        return dict(known) if known is not None else self.field(descriptor.fields_by_name["value"])


def openapi(services: Mapping[ServiceDescriptor, object], version: str) -> Json:
    """The OpenAPI 3.0 document of what the services offer."""
    schemas = _Schemas()
    paths: dict[str, Json] = {}
    offered = [descriptor for descriptor in SERVICES if descriptor in services]
    for descriptor in offered:
        for method in descriptor.methods:
            if hasattr(services[descriptor], method.name):
                for count, (verb, template, body) in enumerate(bindings(method)):
                    operation = _operation(schemas, method, template, body, count)
                    paths.setdefault(template, {})[verb.lower()] = operation
    return {
        "openapi": "3.0.3",
        "info": {"title": offered[0].file.name, "version": version},
        "tags": [{"name": descriptor.name} for descriptor in offered],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.all.items()))},
    }


def _operation(schemas: _Schemas, method: MethodDescriptor, template: str, body: str, count: int) -> Json:
    inside = VARIABLE.findall(template)
    name = f"{method.containing_service.name}_{method.name}"
    words = method.GetOptions().Extensions[openapi_options.openapiv2_operation].description
    operation: Json = {
        "operationId": f"{name}{count + 1}" if count else name,
        "tags": [method.containing_service.name],
        "responses": {
            "200": _answer("A successful response.", schemas.of(method.output_type)),
            "default": _answer("An unexpected error response.", schemas.of(status_pb2.Status.DESCRIPTOR)),
        },
    }
    if words:
        operation["description"] = words
    leaves = dict(_leaves(method.input_type, ""))
    parameters = [_parameter(schemas, one, leaves[one], "path") for one in inside]
    if body:
        content = {JSON_TYPE: {"schema": schemas.of(method.input_type)}}
        operation["requestBody"] = {"required": True, "content": content}
    else:
        asked = [one for one in leaves if one not in inside]
        parameters += [_parameter(schemas, one, leaves[one], "query") for one in asked]
    if parameters:
        operation["parameters"] = parameters
    return operation


def _answer(words: str, schema: Json) -> Json:
    return {"description": words, "content": {JSON_TYPE: {"schema": schema}}}


def _parameter(schemas: _Schemas, name: str, field: FieldDescriptor, place: str) -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": schemas.field(field)}


def _leaves(
    descriptor: Descriptor, prefix: str, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Every field that a URL can set, under its dotted name."""
    for field in descriptor.fields:
        kind = field.message_type
        if kind is None or kind.full_name.startswith(WELL_KNOWN):
            yield prefix + field.name, field
        elif not field.is_repeated and kind.full_name not in above:
            yield from _leaves(kind, f"{prefix}{field.name}.", (*above, kind.full_name))


def _name(full_name: str) -> str:
    return full_name.removeprefix("flyteidl.").replace(".", "")


def swagger(document: Json) -> Json:
    """The same as Swagger 2.0."""
    parts = {"paths": document["paths"], "definitions": document["components"]["schemas"]}
    parts = json.loads(json.dumps(parts).replace(_REFERENCE, "#/definitions/"))
    for operations in parts["paths"].values():
        for operation in operations.values():
            _to_swagger(operation, parts["definitions"])
    return {
        "swagger": "2.0",
        "info": document["info"],
        "tags": document["tags"],
        "consumes": [JSON_TYPE],
        "produces": [JSON_TYPE],
        **parts,
    }


def _to_swagger(operation: Json, definitions: dict[str, Json]) -> None:
    for answer in operation["responses"].values():
        answer["schema"] = answer.pop("content")[JSON_TYPE]["schema"]
    for parameter in operation.get("parameters", ()):
        schema = parameter.pop("schema")
        enum = schema.get("$ref", "").removeprefix("#/definitions/")
        parameter |= definitions[enum] if enum else schema
        parameter.pop("example", None)
        if parameter["in"] == "path":
            parameter.pop("default", None)
        if parameter["type"] == "array":
            parameter["collectionFormat"] = "multi"
    if "requestBody" in operation:
        schema = operation.pop("requestBody")["content"][JSON_TYPE]["schema"]
        body = {"name": "body", "in": "body", "required": True, "schema": schema}
        operation.setdefault("parameters", []).append(body)


def add_openapi(app: FastAPI, services: Mapping[ServiceDescriptor, object], version: str) -> None:
    """Serve OpenAPI under `/openapi.json`, and Swagger where Flyte has it. Nothing is kept."""

    async def modern(request: Request) -> Response:
        return Response(_text(openapi(services, version)), media_type=JSON_TYPE)

    async def flyte(request: Request) -> Response:
        # The type is Flyte's, too.
        return Response(_text(swagger(openapi(services, version))), media_type="text/plain")

    app.router.routes += [Route("/openapi.json", modern), Route("/api/v1/openapi", flyte)]


def _text(document: Json) -> str:
    return json.dumps(document, indent=2)
