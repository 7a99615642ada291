"""What comes over the network and is no proper request: refused clearly, and nobody else notices."""

import base64
import contextlib
import hashlib
import os
import socket
import struct
import urllib.error
import urllib.request

import grpc
import pytest
from flyteidl.admin import common_pb2, version_pb2
from flyteidl.service import dataproxy_pb2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture
def answering(machine):
    """The demo, which must still answer when the test is over."""
    yield machine
    assert machine.admin.GetVersion(version_pb2.GetVersionRequest(), timeout=30).control_plane_version.Version
    assert machine.process.poll() is None


def connect(machine) -> socket.socket:
    return socket.create_connection(("127.0.0.1", machine.port), timeout=60)


def open_connections(machine) -> int:
    folder = f"/proc/{machine.process.pid}/fd"
    found = 0
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
    return found


GARBAGE = {
    "zeros": bytes(100),
    "noise": bytes(range(255, 0, -1)) * 40,
    "a TLS hello": bytes.fromhex("16030100a5010000a1030300") + bytes(160),
    "half a preface": b"PRI * HTTP/2.0\r\n\r\nXX",
    "a preface and noise": PREFACE + bytes(range(255)),
    "a long line": b"GET /" + b"a" * 200_000,
    "an HTTP/2 of another version": b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
    "headers without end": b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000,
}


@pytest.mark.parametrize("name", sorted(GARBAGE))
def test_garbage_ends_its_own_connection_only(answering, name):
    with connect(answering) as client, contextlib.suppress(ConnectionError):
        client.sendall(GARBAGE[name])
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 16):
            pass


def test_http2_that_is_no_grpc_is_answered(answering):
    """A settings frame, then a GET of `/` with literal headers."""
    headers = b"".join(
        b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", b"a"),
        ]
    )
    frame = struct.pack(">I", len(headers))[1:] + b"\x01\x05" + struct.pack(">I", 1) + headers
    with connect(answering) as client:
        client.sendall(PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + frame)
        assert client.recv(1 << 16)
        client.shutdown(socket.SHUT_WR)


def test_connections_that_say_nothing_are_let_go_of(answering):
    before = open_connections(answering)
    with contextlib.ExitStack() as stack:
        for words in (b"", b"G", b"PR"):
            for _ in range(40):
                stack.enter_context(connect(answering)).sendall(words)
        answering.admin.GetVersion(version_pb2.GetVersionRequest(), timeout=30)
        answering.until(lambda: open_connections(answering) > before)
        answering.until(lambda: open_connections(answering) <= before + 5)


def test_a_client_that_goes_away_leaves_nothing_open(answering):
    before = open_connections(answering)
    for words in (PREFACE, b"PUT /data/x HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc"):
        for _ in range(30):
            client = connect(answering)
            client.sendall(words)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    answering.until(lambda: open_connections(answering) <= before)


def location(machine, data: bytes, **more) -> dataproxy_pb2.CreateUploadLocationResponse:
    request = dataproxy_pb2.CreateUploadLocationRequest(
        project="flytesnacks", domain="development", content_md5=hashlib.md5(data).digest(),
        **{"filename": "file", **more},
    )  # fmt: skip
    return machine.data_proxy.CreateUploadLocation(request)


def put(url: str, data: bytes) -> tuple[int, str]:
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    request = urllib.request.Request(url, data, {"Content-MD5": md5}, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_sixty_four_megabytes_are_uploaded(answering):
    data = os.urandom(1 << 20) * 64
    place = location(answering, data)
    assert put(place.signed_url, data)[0] == 200
    with open(place.native_url, "rb") as stored:
        assert hashlib.md5(stored.read()).digest() == hashlib.md5(data).digest()


def test_other_bytes_than_announced_are_refused_and_not_stored(answering):
    place = location(answering, b"these")
    status, words = put(place.signed_url, b"those")
    assert status == 400
    assert "MD5" in words
    assert not os.path.exists(place.native_url)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/data/", "/data/x"),
        ("file?", "elif?"),
        ("file?", "..%2f..%2ffile?"),
        ("expires=", "expires=9"),
        ("expires=", "expires=x"),
        ("expires=", "expires=%00"),
        ("signature=", "signature=0"),
        ("signature=", "signature=%C3%BC"),
        ("md5=", "md5=A"),
        ("signature=", "sign="),
    ],
)
def test_a_url_that_was_tampered_with_is_refused(answering, old, new):
    url = location(answering, b"data").signed_url
    assert old in url
    status, words = put(url.replace(old, new, 1), b"data")
    assert status in (400, 403, 404, 422), words
    assert words


def test_an_upload_that_breaks_off_leaves_nothing(answering):
    place = location(answering, b"x" * 100_000)
    path = place.signed_url.split(str(answering.port), 1)[1]
    folder = os.path.dirname(place.native_url)
    with connect(answering) as client:
        client.sendall(
            f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n".encode() + b"x" * 5000
        )
        answering.until(lambda: os.path.isdir(folder) and os.listdir(folder))
    answering.until(lambda: not os.listdir(folder))


@pytest.mark.parametrize("name", ["../../../../tmp/x", "..", "a/../../b", "a\x00b", "x" * 300, "a\nb", "."])
@pytest.mark.parametrize("field", ["filename", "filename_root"])
def test_a_name_that_leads_elsewhere_is_refused(answering, name, field):
    with pytest.raises(grpc.RpcError) as refused:
        location(answering, b"data", **{field: name})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in refused.value.details()


@pytest.mark.parametrize("name", ["/etc/passwd", "ä b/c.txt", "x" * 255, "%2e%2e"])
@pytest.mark.parametrize("field", ["filename", "filename_root"])
def test_an_unusual_name_stays_where_uploads_are(answering, name, field):
    place = location(answering, b"data", **{field: name})
    assert place.native_url.startswith(f"{answering.home}/store/uploads/flytesnacks/development/")
    assert put(place.signed_url, b"data")[0] == 200
    with open(place.native_url, "rb") as stored:
        assert stored.read() == b"data"


def test_a_message_over_the_limit_is_refused_by_the_channel(answering):
    request = common_pb2.ObjectGetRequest()
    request.id.name = "x" * (65 * 2**20)
    options = [("grpc.max_send_message_length", -1)]
    with (
        grpc.insecure_channel(f"127.0.0.1:{answering.port}", options=options) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        channel.unary_unary(
            "/flyteidl.service.AdminService/GetTask",
            request_serializer=lambda message: message.SerializeToString(),
        )(request, timeout=60)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_message_that_cannot_be_read_is_refused(answering):
    call = answering.channel.unary_unary("/flyteidl.service.AdminService/GetTask")
    with pytest.raises(grpc.RpcError) as refused:
        call(b"\xff\xff\xff\xff", timeout=60)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_unknown_method_is_unimplemented(answering):
    for method in ("/flyteidl.service.AdminService/Nothing", "/no.such.Service/Get"):
        with pytest.raises(grpc.RpcError) as refused:
            answering.channel.unary_unary(method)(b"", timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
