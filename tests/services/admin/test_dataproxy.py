"""Uploads and downloads over gRPC and HTTP: places, signed URLs, ranges, and values by their names.

The same for files of the server and for objects in S3, whose URLs the server signs and never serves.
"""

import base64
import hashlib
import time
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from flyteidl.admin import event_pb2 as admin_event_pb2
from flyteidl.admin import execution_pb2, node_execution_pb2
from flyteidl.core import literals_pb2
from flyteidl.service import admin_pb2_grpc, dataproxy_pb2, dataproxy_pb2_grpc
from google.protobuf.json_format import ParseDict
from lacewing.adapters.store import Store, StoreSettings, open_blob_store
from lacewing.services import db
from lacewing.services.admin.signer import Signer

PLACE = {"project": "flytesnacks", "domain": "development"}
RUN = {**PLACE, "name": "run"}
NODE = {"execution_id": RUN, "node_id": "n0"}
BASE = "flyte://v1/flytesnacks/development/run"
Code = grpc.StatusCode
S3 = pytest.param("s3", marks=[pytest.mark.s3, pytest.mark.timeout(1200)])


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def at(url: str) -> str:
    """The URL as it leads from here: the served port is no part of what is signed."""
    return url.removeprefix("http://localhost")


@pytest.fixture(params=["local", S3])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Where the files of the server are."""
    if request.param == "local":
        return await open_blob_store(str(tmp_path / "store"), StoreSettings(), {})
    s3 = request.getfixturevalue("s3")
    return await open_blob_store(f"s3://bucket/{uuid.uuid4().hex}", StoreSettings(), s3.environment)


local_only = pytest.mark.parametrize("store", ["local"], indirect=True)
s3_only = pytest.mark.parametrize("store", [S3], indirect=True)


@pytest.fixture
def proxy(served: Any) -> Any:
    return dataproxy_pb2_grpc.DataProxyServiceStub(served.channel)


def place(**values: Any) -> dataproxy_pb2.CreateUploadLocationRequest:
    return dataproxy_pb2.CreateUploadLocationRequest(**PLACE, **values)


def deck(**values: Any) -> dataproxy_pb2.CreateDownloadLinkRequest:
    return ParseDict(
        {"artifact_type": "ARTIFACT_TYPE_DECK", "node_execution_id": NODE, **values},
        dataproxy_pb2.CreateDownloadLinkRequest(),
    )


def data(url: str) -> dataproxy_pb2.GetDataRequest:
    return dataproxy_pb2.GetDataRequest(flyte_url=url)


async def refused(call: Any, code: grpc.StatusCode, words: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert (error.value.code(), words in (error.value.details() or "")) == (code, True), error.value


async def write_values(store: Store, name: str, **values: int) -> str:
    literals = {name: {"scalar": {"primitive": {"integer": value}}} for name, value in values.items()}
    data = ParseDict({"literals": literals}, literals_pb2.LiteralMap()).SerializeToString()
    await store.blobs.write(f"{store.root}/{name}", data)
    return f"{store.root}/{name}"


@pytest.fixture
async def ran(served: Any, store: Store) -> str:
    """A node with inputs, outputs and two attempts; the URI of its deck, which is not written yet."""
    row: dict[str, Any] = {f"execution_{name}": value for name, value in RUN.items()}
    row |= {"phase": "RUNNING", "closure": execution_pb2.ExecutionClosure().SerializeToString(), "spec": b""}
    await served.database.write(lambda c: c.execute(db.executions.insert().values(row)))
    given = await write_values(store, "in.pb", a=1, b=10)
    gave = await write_values(store, "out.pb", o0=11)
    common = {"phase": "SUCCEEDED", "occurred_at": "2024-01-01T00:00:00Z", "input_uri": given}
    node = {"id": NODE, "output_uri": gave, "deck_uri": f"{store.root}/deck.html", **common}
    admin = admin_pb2_grpc.AdminServiceStub(served.channel)
    await admin.CreateNodeEvent(ParseDict({"event": node}, admin_event_pb2.NodeExecutionEventRequest()))
    task_id = {**PLACE, "resource_type": "TASK", "name": "t", "version": "v"}
    for attempt in (0, 1):
        task = {"task_id": task_id, "parent_node_execution_id": NODE, "retry_attempt": attempt, **common}
        if attempt:
            task["output_uri"] = gave
        await admin.CreateTaskEvent(ParseDict({"event": task}, admin_event_pb2.TaskExecutionEventRequest()))
    return f"{store.root}/deck.html"


async def test_what_was_uploaded_can_be_downloaded_whole_and_in_ranges(served: Any, proxy: Any):
    content = b"0123456789"
    answer = await proxy.CreateUploadLocation(place(filename="a b.txt", content_md5=md5(content)))
    put = await served.http.put(at(answer.signed_url), content=content, headers=dict(answer.headers))
    assert put.status_code == 200
    assert answer.native_url.endswith("/a b.txt")
    download = await proxy.CreateDownloadLocation(
        dataproxy_pb2.CreateDownloadLocationRequest(native_url=answer.native_url)
    )
    url = at(download.signed_url)
    whole = await served.http.get(url)
    assert (whole.status_code, whole.content) == (200, content)
    part = await served.http.get(url, headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert (await served.http.get(url, headers={"range": "bytes=99-"})).status_code == 416


@local_only
async def test_the_servers_own_files_are_shown_in_a_sandbox(served: Any, proxy: Any):
    await served.store.blobs.write(f"{served.store.root}/f.html", b"0123456789")
    request = dataproxy_pb2.CreateDownloadLocationRequest(native_url=f"{served.store.root}/f.html")
    url = at((await proxy.CreateDownloadLocation(request)).signed_url)
    head = await served.http.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
    assert "sandbox" in head.headers["content-security-policy"]


@local_only
async def test_a_signed_url_is_for_one_method_one_file_and_a_while(served: Any, proxy: Any):
    upload = at((await proxy.CreateUploadLocation(place(filename_root="r"))).signed_url)
    assert (await served.http.get(upload)).status_code == 403, "the URL of an upload reads nothing"
    native = f"{served.root}/store/f"
    request = dataproxy_pb2.CreateDownloadLocationRequest(native_url=native)
    url = at((await proxy.CreateDownloadLocation(request)).signed_url)
    assert (await served.http.get(url)).status_code == 404
    assert (await served.http.put(url, content=b"x")).status_code == 403
    assert (await served.http.get(url.replace("/store/f", "/store/g"))).status_code == 403
    assert (await served.http.get(url + "%C3%A9")).status_code == 403
    assert (await served.http.get(url.split("?")[0])).status_code == 422
    signer = Signer(b"secret", lambda: "")
    old = signer.sign("GET", native, -1)
    answer = await served.http.get(old)
    assert (answer.status_code, answer.text) == (403, "the URL has expired; ask for a new one")
    outside = signer.sign("GET", f"{served.root}/store/../db", 60)
    assert (await served.http.get(outside)).status_code == 403


async def test_other_content_than_was_signed_for_is_not_stored(served: Any, proxy: Any):
    answer = await proxy.CreateUploadLocation(place(filename="f", content_md5=md5(b"this")))
    put = await served.http.put(at(answer.signed_url), content=b"that")
    assert put.status_code in (400, 403)
    assert await served.store.blobs.size(answer.native_url) is None


async def test_a_file_is_replaced_only_by_the_same_content(served: Any, proxy: Any):
    wanted = place(filename="f", filename_root="r")
    first = await proxy.CreateUploadLocation(wanted)
    await served.http.put(at(first.signed_url), content=b"one")
    words = f"file already exists at location [{first.native_url}], specify a matching hash"
    await refused(proxy.CreateUploadLocation(wanted), Code.ALREADY_EXISTS, words)
    other = place(filename="f", filename_root="r", content_md5=md5(b"two"))
    await refused(proxy.CreateUploadLocation(other), Code.ALREADY_EXISTS, words)
    same = place(filename="f", filename_root="r", content_md5=md5(b"one"))
    assert (await proxy.CreateUploadLocation(same)).native_url == first.native_url
    unnamed = await proxy.CreateUploadLocation(place(filename_root="r"))
    assert len(Path(unnamed.native_url).name) == 20


@s3_only
async def test_a_store_keeps_the_md5_that_it_is_told_to(served: Any, proxy: Any, s3: Any):
    wanted = place(filename="f", filename_root="r", content_md5=md5(b"one"), add_content_md5_metadata=True)
    answer = await proxy.CreateUploadLocation(wanted)
    headers = dict(answer.headers)
    text = base64.b64encode(md5(b"one")).decode()
    assert headers == {"Content-MD5": text, "x-amz-meta-flyteContentMD5": text}
    assert (await served.http.put(answer.signed_url, content=b"one")).status_code == 403
    assert (await served.http.put(answer.signed_url, content=b"two", headers=headers)).status_code == 400
    assert (await served.http.put(answer.signed_url, content=b"one", headers=headers)).status_code == 200
    assert s3.files().metadata(answer.native_url) == {"flytecontentmd5": text}
    assert (await proxy.CreateUploadLocation(wanted)).native_url == answer.native_url


@s3_only
async def test_a_writer_that_sends_no_headers_has_none_signed(served: Any, proxy: Any):
    answer = await proxy.CreateUploadLocation(place(filename_root="r", add_content_md5_metadata=True))
    assert dict(answer.headers) == {}
    assert (await served.http.put(answer.signed_url, content=b"one")).status_code == 200


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"filename": "f"}, "content_md5 or filename_root is a required parameter"),
        ({"filename_root": "../../x"}, "may not hold '..'"),
        ({"filename_root": "r", "expires_in": {"seconds": 3601}}, "cannot exceed max allowed expiration"),
        ({"filename_root": "r", "expires_in": {"seconds": -1}}, "is invalid"),
    ],
)
async def test_a_place_that_cannot_be_is_refused(proxy: Any, values: dict[str, Any], words: str):
    await refused(proxy.CreateUploadLocation(place(**values)), Code.INVALID_ARGUMENT, words)


async def test_an_expiry_is_the_one_that_was_asked_for(proxy: Any):
    answer = await proxy.CreateUploadLocation(place(filename_root="r", expires_in={"seconds": 60}))
    assert answer.expires_at.seconds - 60 <= time.time()


@pytest.mark.parametrize("uri", ["/etc/passwd", "s3://bucket/x", "{root}/../db", "{root}room"])
async def test_only_the_store_can_be_downloaded(served: Any, proxy: Any, uri: str):
    request = dataproxy_pb2.CreateDownloadLocationRequest(native_url=uri.format(root=served.store.root))
    await refused(proxy.CreateDownloadLocation(request), Code.INVALID_ARGUMENT, "is no file of this server's")


async def test_a_deck_is_linked_once_it_is_written(served: Any, proxy: Any, ran: str):
    await refused(proxy.CreateDownloadLink(deck()), Code.NOT_FOUND, f"URL [{ran}] does not exist yet")
    await served.store.blobs.write(ran, b"<html>deck</html>")
    link = await proxy.CreateDownloadLink(deck())
    assert list(link.signed_url) == list(link.pre_signed_urls.signed_url)
    assert link.expires_at == link.pre_signed_urls.expires_at
    page = await served.http.get(at(link.signed_url[0]))
    assert page.text == "<html>deck</html>"
    named = await proxy.GetData(data(f"{BASE}/n0/d"))
    assert (await served.http.get(at(named.pre_signed_urls.signed_url[0]))).text == page.text


async def test_a_link_that_cannot_be_says_why(proxy: Any, ran: str):
    lost = deck(node_execution_id={**NODE, "node_id": "n9"})
    await refused(proxy.CreateDownloadLink(lost), Code.INVALID_ARGUMENT, "failed to find node execution")
    kind = deck(artifact_type="ARTIFACT_TYPE_UNDEFINED")
    await refused(proxy.CreateDownloadLink(kind), Code.INVALID_ARGUMENT, "invalid artifact type")
    source = dataproxy_pb2.CreateDownloadLinkRequest(artifact_type=1)
    await refused(proxy.CreateDownloadLink(source), Code.INVALID_ARGUMENT, "source is required")


async def test_values_are_found_by_their_names(proxy: Any, ran: str):
    found = await proxy.GetData(data(f"{BASE}/n0/i"))
    assert sorted(found.literal_map.literals) == ["a", "b"]
    assert (await proxy.GetData(data(f"{BASE}/n0/o/o0"))).literal.scalar.primitive.integer == 11
    assert (await proxy.GetData(data(f"{BASE}/n0/1/o/o0"))).literal.scalar.primitive.integer == 11
    first = await proxy.GetData(data(f"{BASE}/n0/0/o"))
    assert (first.WhichOneof("data"), dict(first.literal_map.literals)) == ("literal_map", {})


async def test_values_that_are_too_large_are_named_and_fetched_in_one_piece(
    served: Any, proxy: Any, ran: str
):
    given = literals_pb2.LiteralMap()
    given.literals["a"].scalar.primitive.string_value = "x" * (3 << 20)
    await served.store.blobs.write(f"{served.store.root}/in.pb", given.SerializeToString())
    admin = admin_pb2_grpc.AdminServiceStub(served.channel)
    node = ParseDict({"id": NODE}, node_execution_pb2.NodeExecutionGetDataRequest())
    answer = await admin.GetNodeExecutionData(node)
    assert (answer.inputs.bytes, len(answer.full_inputs.literals)) == (given.ByteSize(), 0)
    assert answer.inputs.url == f"{served.store.root}/in.pb"
    named = await proxy.GetData(data(f"{BASE}/n0/i"))
    assert named.literal_map.literals["a"].scalar.primitive.string_value == "x" * (3 << 20)


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        (BASE, Code.INVALID_ARGUMENT, f"failed to parse artifact url Error: failed to parse [{BASE}]"),
        ("http://x", Code.INVALID_ARGUMENT, "failed to parse"),
        (f"{BASE}/n0/x", Code.INVALID_ARGUMENT, "failed to parse"),
        (f"{BASE}/n0/o/o9", Code.INVALID_ARGUMENT, "o9 is not there"),
        (f"{BASE}/n0/0/d", Code.INVALID_ARGUMENT, "a deck belongs to a node"),
        (
            f"{BASE}/n9/o",
            Code.NOT_FOUND,
            'missing entity of type node execution with identifier node_id:"n9"',
        ),
        (f"{BASE}/n0/7/o", Code.NOT_FOUND, "missing entity of type task execution"),
    ],
)
async def test_a_name_that_leads_nowhere_says_so(proxy: Any, ran: str, url: str, code: Any, words: str):
    await refused(proxy.GetData(data(url)), code, words)
