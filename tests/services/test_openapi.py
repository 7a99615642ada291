"""The description of the REST API, over real HTTP and held against its schema."""

import json
from typing import Any

from lacewing.services.gateway import SERVICES, bindings
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator


async def test_both_documents_are_valid(served: Any):
    for path, kind, validator in (
        ("/openapi.json", "application/json", OpenAPIV30SpecValidator),
        ("/api/v1/openapi", "text/plain; charset=utf-8", OpenAPIV2SpecValidator),
    ):
        response = await served.http.get(path)
        assert (response.status_code, response.headers["content-type"]) == (200, kind)
        problems = [error.message for error in validator(response.json()).iter_errors()]
        assert problems == [], path


async def test_every_route_that_answers_is_described_and_no_other(served: Any):
    described = (await served.http.get("/openapi.json")).json()["paths"]
    offered = {
        (template, verb.lower())
        for service in SERVICES
        for method in service.methods
        for verb, template, _ in bindings(method)
        if hasattr(served.services.get(service), method.name)
    }
    assert {(path, verb) for path, verbs in described.items() for verb in verbs} == offered
    assert len(offered) > 50


async def test_an_operation_reads_as_in_flytes_document(served: Any):
    document = (await served.http.get("/api/v1/openapi")).json()
    assert document["info"]["title"] == "flyteidl/service/admin.proto"
    operation = document["paths"]["/api/v1/active_launch_plans/{project}/{domain}"]["get"]
    assert operation["operationId"] == "AdminService_ListActiveLaunchPlans"
    assert operation["tags"] == ["AdminService"]
    assert operation["responses"]["200"]["schema"] == {"$ref": "#/definitions/adminLaunchPlanList"}
    assert operation["responses"]["default"]["schema"] == {"$ref": "#/definitions/googlerpcStatus"}
    parameters = {one["name"]: one for one in operation["parameters"]}
    assert list(parameters) == [
        "project",
        "domain",
        "limit",
        "token",
        "sort_by.key",
        "sort_by.direction",
        "org",
    ]
    assert parameters["sort_by.direction"]["enum"] == ["DESCENDING", "ASCENDING"]
    assert parameters["limit"] == {
        "name": "limit",
        "in": "query",
        "required": False,
        "type": "integer",
        "format": "int64",
    }
    assert "#/components" not in json.dumps(document)
