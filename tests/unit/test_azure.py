"""Azure Blob Storage: what is told without asking it."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lacewing.adapters.azure import Provider
from lacewing.adapters.object_store import ObjectBlobStore, ObjectSigning
from lacewing.adapters.store import StoreSettings, task_environment
from lacewing.errors import ConfigError, TransientError

ACCOUNT = {
    "FLYTE_AZURE_STORAGE_ACCOUNT_NAME": "account",
    "FLYTE_AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(b"key").decode(),
}


def signing(**settings: Any) -> ObjectSigning:
    provider = Provider(StoreSettings(**settings), ACCOUNT)
    return ObjectSigning(provider, ObjectBlobStore(provider))


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, "https://account.blob.core.windows.net"),
        ({"endpoint": "http://in:1/account"}, "http://in:1/account"),
        ({"endpoint": "http://in:1/account", "public_endpoint": "https://out"}, "https://out"),
    ],
)
async def test_an_upload_says_what_azure_wants_and_leads_to_where_clients_are(
    settings: dict[str, Any], base: str
):
    upload = await signing(**settings).upload("abfs://box/a b/c==", 60, b"0" * 16, metadata=True)
    md5 = base64.b64encode(b"0" * 16).decode()
    assert upload.headers == {
        "x-ms-blob-type": "BlockBlob",
        "Content-MD5": md5,
        "x-ms-meta-flyteContentMD5": md5,
    }
    parts = urlsplit(upload.url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{base}/box/a%20b/c%3D%3D"
    assert parse_qs(parts.query)["sp"] == ["cw"]
    download = await signing(**settings).download("abfs://box/a b/c==", 60)
    assert parse_qs(urlsplit(download).query)["sp"] == ["r"]


async def test_azure_out_of_reach_is_asked_again_later():
    settings = StoreSettings(endpoint="http://127.0.0.1:1/account", retries=0)
    blobs = ObjectBlobStore(Provider(settings, ACCOUNT))
    with pytest.raises(TransientError, match="cannot read abfs://box/a"):
        await blobs.read("abfs://box/a")


def test_an_account_has_to_be_named():
    with pytest.raises(ConfigError, match="FLYTE_AZURE_STORAGE_ACCOUNT_NAME"):
        Provider(StoreSettings(), {})


def test_tasks_reach_the_same_account():
    assert task_environment("abfs://box/x", StoreSettings(), {**ACCOUNT, "AWS_PROFILE": "p"}) == ACCOUNT
