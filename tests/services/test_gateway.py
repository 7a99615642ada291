"""REST over real HTTP, held against what Flyte 1.16.8 answered."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from flyteidl.admin import common_pb2, execution_pb2, project_pb2, task_pb2
from flyteidl.service import admin_pb2_grpc, dataproxy_pb2
from google.protobuf import json_format, message_factory
from google.rpc import status_pb2
from lacewing.services.codec import BINARY, CAMEL, SNAKE
from lacewing.services.gateway import SERVICES, bindings
from lacewing.services.query import set_values
from lacewing.testing.factories import make_template
from starlette.routing import Match, Route

OCTETS = "application/octet-stream"
RECORDED = json.loads((Path(__file__).parents[1] / "data/vectors/answers.json").read_text())
ANSWERS = [answer for answer in RECORDED if "http" in answer]
# What needs neither the workflows that the other server had, nor an RPC that ours does not have yet.
# The root is the console's way in.
ALONE = [
    answer
    for answer in ANSWERS
    if answer["http"] != "GET /"
    and not any(word in answer["http"] for word in ("<", "{V}", "basics", "/metrics/", "openapi", "/signals"))
    and (
        answer["status"] != 200 or not any(word in answer["http"] for word in ("limit=2", "/tasks/", "named"))
    )
    and "/executions/flytesnacks/development?limit" not in answer["http"]
]
WHOLE = [
    answer
    for answer in ANSWERS
    if answer["status"] == 200
    and answer["type"]
    and answer["size"] == (len(answer["text"].encode()) if "text" in answer else len(answer["hex"]) // 2)
]


def shape(data: Any) -> Any:
    """What is there, whatever its value."""
    if isinstance(data, dict):
        return {name: shape(value) for name, value in data.items()}
    return [shape(one) for one in data[:1]] if isinstance(data, list) else type(data).__name__


async def ask(served: Any, answer: dict[str, Any]) -> httpx.Response:
    verb, url = answer["http"].split(" ", 1)
    headers = {"accept": answer["accept"] or "*/*"}
    if answer["body"]:
        headers["content-type"] = "application/json"
    response: httpx.Response = await served.http.request(verb, url, content=answer["body"], headers=headers)
    return response


def check(answer: dict[str, Any], response: httpx.Response) -> None:
    case = f"{answer['http']} as {answer['accept']}: {response.text}"
    assert (response.status_code, response.headers.get("content-type")) == (
        answer["status"],
        answer["type"],
    ), case
    if answer["type"] == OCTETS and answer["status"] != 200:
        code = status_pb2.Status.FromString(response.content).code
        assert code == status_pb2.Status.FromString(bytes.fromhex(answer["hex"])).code, case
    elif answer["type"] == "application/json":
        recorded = json.loads(answer["text"])
        assert shape(response.json()) == shape(recorded), case
        assert response.json().get("code") == recorded.get("code"), case
    else:
        assert bool(response.content) == bool(answer["size"]), case


async def test_a_server_without_workflows_answers_as_recorded(served: Any):
    assert len(ALONE) > 24
    for answer in ALONE:
        check(answer, await ask(served, answer))


def test_most_recorded_answers_are_whole():
    assert len(WHOLE) >= 30


def response_type(answer: dict[str, Any]) -> Any:
    """The message that the recorded path answers with."""
    verb, path = answer["http"].partition("?")[0].split(" ")
    for service in SERVICES:
        for method in service.methods:
            for other, template, _ in bindings(method):
                route = Route(template.replace(".", "_"), lambda request: None, methods=[other])
                scope = {"type": "http", "method": verb, "path": path}
                if route.matches(scope)[0] is Match.FULL:
                    return message_factory.GetMessageClass(method.output_type)
    raise AssertionError(f"nothing serves {path}")


@pytest.mark.parametrize("answer", WHOLE, ids=lambda one: f"{one['http']} as {one['accept']}")
def test_a_recorded_message_is_read_and_written_as_it_was(answer: dict[str, Any]):
    message = response_type(answer)()
    if answer["type"] == OCTETS:
        BINARY.decode(bytes.fromhex(answer["hex"]), message)
        again = message.__class__.FromString(BINARY.encode(message))
        assert again == message
        assert len(BINARY.encode(message)) == answer["size"]
    else:
        codec = SNAKE if answer["accept"] == "application/json" else CAMEL
        codec.decode(answer["text"].encode(), message)
        assert json.loads(codec.encode(message)) == json.loads(answer["text"])


async def test_what_is_made_over_http_is_there_over_grpc_and_back(served: Any):
    template = make_template("probe.py/x", "container", image="example.org/i:1", command=["/true"])
    request = task_pb2.TaskCreateRequest(id=template.id, spec=task_pb2.TaskSpec(template=template))
    stub = admin_pb2_grpc.AdminServiceStub(served.channel)
    path = "/api/v1/tasks"
    bodies = {
        OCTETS: request.SerializeToString(),
        "application/json": json_format.MessageToJson(request, preserving_proto_field_name=True).encode(),
        "text/json": json_format.MessageToJson(request).encode(),
    }
    for version, (kind, body) in enumerate(bodies.items()):
        sent = body.replace(b"v1", b"v%d" % version)
        made = await served.http.post(path, content=sent, headers={"content-type": kind})
        assert made.status_code == 200, made.text
        request.id.version = f"v{version}"
        found = await stub.GetTask(common_pb2.ObjectGetRequest(id=request.id))
        assert found.closure.compiled_task.template.container.image == "example.org/i:1"
    again = await served.http.post(path, content=sent, headers={"content-type": kind})
    assert (again.status_code, again.json()["code"]) == (409, 6)
    # A name with a slash is out of REST's reach, a version with odd signs is not.
    listed = await served.http.get(f"{path}/flytesnacks/development?limit=5&sort_by.key=version")
    assert [task["id"]["version"] for task in listed.json()["tasks"]] == ["v2", "v1", "v0"]
    assert (await served.http.get(f"{path}/flytesnacks/development/probe.py%2Fx/v1")).status_code == 404


async def test_a_large_message_goes_both_ways_in_every_codec(served: Any):
    template = make_template("large", "container", image="example.org/i:1", command=["/true"])
    template.container.args.extend(f"argument {number}" for number in range(20_000))
    request = task_pb2.TaskCreateRequest(id=template.id, spec=task_pb2.TaskSpec(template=template))
    path = "/api/v1/tasks/flytesnacks/development/large"
    for version, codec in enumerate((BINARY, SNAKE, CAMEL)):
        request.id.version = f"v{version}"
        kind = codec.content_type if codec is not CAMEL else "*/*"
        headers = {"content-type": kind, "accept": kind}
        made = await served.http.post("/api/v1/tasks", content=codec.encode(request), headers=headers)
        assert made.status_code == 200, made.text[:200]
        found = await served.http.get(f"{path}/v{version}", headers=headers)
        task = task_pb2.Task()
        codec.decode(found.content, task)
        assert task.closure.compiled_task.template.container.args == template.container.args


async def test_the_path_rules_over_the_body_and_delete_takes_one(served: Any):
    path = "/api/v1/project_attributes/flytesnacks"
    attributes = {"clusterResourceAttributes": {"attributes": {"a": "b"}}}
    body = {"attributes": {"project": "other", "matchingAttributes": attributes}}
    assert (await served.http.put(path, json=body)).status_code == 200
    read = await served.http.get(path, params={"resourceType": "1"})
    found = read.json()["attributes"]
    assert found["project"] == "flytesnacks"
    assert found["matchingAttributes"]["clusterResourceAttributes"] == {"attributes": {"a": "b"}}
    gone = await served.http.request("DELETE", path, json={"resource_type": "CLUSTER_RESOURCE"})
    assert gone.status_code == 200
    assert (await served.http.get(path, params={"resource_type": 1})).status_code == 404


async def test_a_body_that_cannot_be_read_is_refused_in_words(served: Any):
    bodies: list[tuple[Any, str]] = [
        ("[1]", "Failed to parse"),
        ("7", "Failed to parse"),
        ("[" * 5000, "recursion"),
        (b"\xff\xfe", "decode"),
        ('{"spec": {"launchPlan": 7}}', "launchPlan"),
        ('{"spec": {"bogus": 1}}', 'no field named "bogus"'),
        ('{"project": "a", "project": "b"}', "duplicate key project"),
    ]
    headers = {"content-type": "application/json"}
    for body, words in bodies:
        response = await served.http.post("/api/v1/executions", content=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, 3)
        assert words in response.json()["message"]
        assert "\n" not in response.json()["message"]


async def test_bytes_that_are_no_message_are_refused_in_bytes(served: Any):
    headers = {"content-type": OCTETS}
    response = await served.http.post("/api/v1/executions", content=b"\xff\xff", headers=headers)
    assert response.status_code == 400
    assert "ExecutionCreateRequest" in status_pb2.Status.FromString(response.content).message


async def test_only_exact_json_minds_unknown_fields(served: Any):
    body = '{"bogus": 1, "project": {"id": "probe-b", "name": "n"}}'
    for kind, status in (("application/json", 400), ("application/json; charset=utf-8", 200)):
        response = await served.http.post("/api/v1/projects", content=body, headers={"content-type": kind})
        assert response.status_code == status


async def test_what_cannot_be_asked_says_why(served: Any):
    urls = [
        ("/api/v1/tasks", 501, "Method Not Allowed"),
        ("/me", 501, "unknown service flyteidl.service.IdentityService"),
        ("/api/v1/tasks/p/d?limit=1&limit=2", 400, 'parsing field "limit": it takes one value, not 2'),
        ("/api/v1/tasks/p/d?sort_by=name", 400, 'parsing field "sort_by": it is a message'),
        ("/api/v1/tasks/p/d?sortBy.direction=UP", 400, "Invalid enum value UP"),
        ("/api/v1/named_entities/NOPE/p/d?limit=1", 400, "Invalid enum value NOPE"),
    ]
    for url, status, message in urls:
        response = await served.http.get(url)
        assert response.status_code == status, url
        assert message in response.json()["message"]


async def test_no_service_has_a_form_of_binding_that_the_gateway_does_not_know():
    forms = {body for service in SERVICES for method in service.methods for _, _, body in bindings(method)}
    assert forms == {"", "*"}
    assert sum(len(bindings(method)) for service in SERVICES for method in service.methods) == 69


def test_values_of_a_url_take_every_form():
    request = project_pb2.ProjectListRequest()
    set_values(request, [("limit", "7"), ("sortBy.key", "name"), ("sort_by.direction", "1"), ("x.y", "z")])
    assert (request.limit, request.sort_by.key, request.sort_by.direction) == (7, "name", 1)
    closure = execution_pb2.ExecutionClosure()
    values = [("created_at", "2026-11-24T00:10:02.5Z"), ("duration", "3.5s"), ("notifications.type", "1")]
    set_values(closure, values)
    assert (closure.created_at.nanos, closure.duration.seconds) == (500_000_000, 3)
    spec = execution_pb2.ExecutionSpec()
    set_values(spec, [("tags", "a"), ("tags", "b"), ("interruptible", "true"), ("overwriteCache", "1")])
    assert (list(spec.tags), spec.interruptible.value, spec.overwrite_cache) == (["a", "b"], True, True)
    upload = dataproxy_pb2.CreateUploadLocationRequest()
    set_values(upload, [("content_md5", "AP-_"), ("expiresIn", "60s")])
    assert (upload.content_md5, upload.expires_in.seconds) == (b"\x00\xff\xbf", 60)
