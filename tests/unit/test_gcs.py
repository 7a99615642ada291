"""Google Cloud Storage: what is told without asking it, with a key that was made for the test."""

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lacewing.adapters.gcs import Provider
from lacewing.adapters.object_store import ObjectBlobStore, ObjectSigning
from lacewing.adapters.store import StoreSettings
from lacewing.errors import ConfigError, TransientError


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as Google's tools find them."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    told = {
        "type": "service_account",
        "project_id": "p",
        "client_email": "a@p.example",
        "private_key_id": "1",
    }
    told |= {"private_key": key.decode(), "token_uri": "http://127.0.0.1:1/token"}
    (tmp_path / "key.json").write_text(json.dumps(told))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        (StoreSettings(), "https://storage.googleapis.com"),
        (StoreSettings(public_endpoint="https://out"), "https://out"),
    ],
)
async def test_an_upload_is_signed_with_its_headers(account: None, settings: StoreSettings, base: str):
    provider = Provider(settings, {})
    signing = ObjectSigning(provider, ObjectBlobStore(provider))
    upload = await signing.upload("gs://box/a b/c==", 60, b"0" * 16, metadata=True)
    md5 = base64.b64encode(b"0" * 16).decode()
    assert upload.headers == {"Content-MD5": md5, "x-goog-meta-flyteContentMD5": md5}
    parts = urlsplit(upload.url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{base}/box/a%20b/c%3D%3D"
    signed = parse_qs(parts.query)["X-Goog-SignedHeaders"]
    assert signed == ["content-md5;host;x-goog-meta-flytecontentmd5"]
    plain = parse_qs(urlsplit(await signing.download("gs://box/a", 60)).query)
    assert (plain["X-Goog-SignedHeaders"], plain["X-Goog-Expires"]) == (["host"], ["60"])


async def test_google_out_of_reach_is_asked_again_later(account: None):
    settings = StoreSettings(endpoint="http://127.0.0.1:1", retries=0)
    blobs = ObjectBlobStore(Provider(settings, {}))
    with pytest.raises(TransientError, match="cannot read gs://box/a"):
        await blobs.read("gs://box/a")


def test_missing_credentials_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
    with pytest.raises(ConfigError, match="there are no credentials for gs://"):
        Provider(StoreSettings(), {})
