"""Stores by their URL, what they say when they cannot be used, and where their signed URLs lead."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lacewing.adapters.blob import LocalBlobStore
from lacewing.adapters.object_store import ObjectBlobStore, ObjectSigning
from lacewing.adapters.s3 import Provider
from lacewing.adapters.store import StoreSettings, open_blob_store, task_environment
from lacewing.errors import ConfigError, TaskError, TransientError

KEYS = {"FLYTE_AWS_ACCESS_KEY_ID": "key", "FLYTE_AWS_SECRET_ACCESS_KEY": "secret"}
QUICK = {"timeout_seconds": 0.5, "retries": 1, "retry_seconds": 1.0}


def blobs_at(endpoint: str, **keys: str) -> ObjectBlobStore:
    return ObjectBlobStore(Provider(StoreSettings(endpoint=endpoint, **QUICK), {**KEYS, **keys}))


def signing(bucket: str, **settings: Any) -> tuple[ObjectSigning, str]:
    provider = Provider(StoreSettings(**settings), KEYS)
    return ObjectSigning(provider, ObjectBlobStore(provider)), f"s3://{bucket}/a b/c"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "{path}/"])
async def test_a_path_is_a_folder_of_this_machine(tmp_path: Path, form: str):
    store = await open_blob_store(form.format(path=tmp_path), StoreSettings(), {})
    assert isinstance(store.blobs, LocalBlobStore)
    assert (store.root, store.signing) == (str(tmp_path), None)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/x", "is of no known kind; there is file://, s3://, gs://, abfs://"),
        ("folder", "is of no known kind"),
        ("file://folder", "must be an absolute path"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("abfs://x/y", "FLYTE_AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
async def test_a_url_that_cannot_be_a_store_says_why(url: str, words: str):
    with pytest.raises(ConfigError, match=words):
        await open_blob_store(url, StoreSettings(), KEYS)


async def test_a_store_that_cannot_be_reached_is_told_at_the_start(silent: str):
    settings = StoreSettings(endpoint=silent, **QUICK)
    with pytest.raises(ConfigError, match="the store s3://bucket/x cannot be used: cannot write"):
        await open_blob_store("s3://bucket/x", settings, KEYS)


@pytest.mark.parametrize(
    "uri", ["/a", "gs://bucket/a", "s3://bucket", "s3://bucket/", "s3://b/a//b", "s3://b/../a", "s3://b/\0"]
)
async def test_a_name_that_no_object_can_have_is_refused_for_good(uri: str):
    blobs = blobs_at("http://127.0.0.1:1")
    for use in (blobs.read, blobs.size, blobs.md5, lambda one: blobs.write(one, b"")):
        with pytest.raises(TaskError):
            await use(uri)


async def test_a_store_that_is_silent_or_away_is_asked_again_later(silent: str):
    for endpoint in (silent, "http://127.0.0.1:1"):
        blobs = blobs_at(endpoint)
        with pytest.raises(TransientError, match="cannot read s3://b/a") as error:
            await blobs.read("s3://b/a")
        assert len(error.value.message) < 500
        with pytest.raises(TransientError, match="cannot write s3://b/a"):
            await blobs.write("s3://b/a", b"")


@pytest.mark.s3
@pytest.mark.timeout(1200)
async def test_a_wrong_key_and_a_missing_bucket_may_be_mended(s3: Any):
    stranger = blobs_at(s3.endpoint, **{**s3.environment, "FLYTE_AWS_SECRET_ACCESS_KEY": "wrong"})
    with pytest.raises(TransientError, match="refuses the credentials"):
        await stranger.read("s3://bucket/a")
    with pytest.raises(TransientError, match="refuses the credentials"):
        await stranger.write("s3://bucket/a", b"")
    own = blobs_at(s3.endpoint, **s3.environment)
    with pytest.raises(TransientError, match="there is no such bucket"):
        await own.write("s3://nowhere/a", b"")
    with pytest.raises(FileNotFoundError):
        await own.read("s3://nowhere/a")


@pytest.mark.s3
@pytest.mark.timeout(1200)
async def test_an_object_in_parts_has_no_known_md5(s3: Any):
    own = blobs_at(s3.endpoint, **s3.environment)
    with s3.files().open("bucket/parts", "wb", block_size=5 << 20) as file:
        file.write(b"x" * (11 << 20))
    assert await own.md5("s3://bucket/parts") == b""
    assert await own.md5("s3://bucket/nothing") is None


@pytest.mark.parametrize(
    ("settings", "bucket", "base"),
    [
        ({"endpoint": "http://in:1"}, "b", "http://in:1/b/a%20b/c"),
        ({"endpoint": "http://in:1", "public_endpoint": "https://out"}, "b", "https://out/b/a%20b/c"),
        ({"endpoint": "https://own", "addressing": "virtual"}, "b", "https://b.own/a%20b/c"),
        ({"region": "eu-west-1"}, "b", "https://b.s3.eu-west-1.amazonaws.com/a%20b/c"),
        ({"region": "eu-west-1"}, "b.c", "https://s3.eu-west-1.amazonaws.com/b.c/a%20b/c"),
    ],
)
async def test_signed_urls_lead_to_where_clients_are(settings: dict[str, Any], bucket: str, base: str):
    signer, uri = signing(bucket, **settings)
    upload = await signer.upload(uri, 60, b"0" * 16, metadata=True)
    for url in (upload.url, await signer.download(uri, 60)):
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == base
        assert parse_qs(parts.query)["X-Amz-Expires"] == ["60"]
    signed = parse_qs(urlsplit(upload.url).query)["X-Amz-SignedHeaders"]
    assert signed == ["content-md5;host;x-amz-meta-flytecontentmd5"]


def test_tasks_have_what_they_need_to_reach_the_store():
    environ = {**KEYS, "AWS_PROFILE": "p", "HOME": "/h", "FLYTE_AZURE_STORAGE_ACCOUNT_KEY": "other"}
    settings = StoreSettings(endpoint="http://in:1", region="r")
    assert task_environment("s3://b/x", settings, environ) == {
        **KEYS,
        "AWS_PROFILE": "p",
        "FLYTE_AWS_ENDPOINT": "http://in:1",
        "AWS_DEFAULT_REGION": "r",
    }
    assert task_environment("/folder", settings, environ) == {}


def program(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_demo_whose_store_is_a_folder_loads_no_object_store():
    text = "import lacewing.demo.serve, sys; print({'obstore', 'botocore', 'google.auth'} & set(sys.modules))"
    assert program(text) == "set()\n"


def test_a_store_whose_library_is_missing_names_the_remedy():
    printed = program(
        "import asyncio, sys; sys.modules['obstore'] = None\n"
        "from lacewing.adapters.store import *\n"
        "try: asyncio.run(open_blob_store('s3://b/x', StoreSettings(), {}))\n"
        "except ConfigError as error: print(error.message)"
    )
    assert "needs the module obstore: pip install 'lacewing[objects]'" in printed
