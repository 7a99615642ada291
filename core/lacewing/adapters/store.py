"""Where files are kept, by one URL: a folder or an object store, whose libraries are loaded only then.

Credentials come from the environment, under the names that flytekit reads there; nothing here prints them.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from lacewing.adapters.blob import LocalBlobStore
from lacewing.errors import ConfigError
from lacewing.ports import BlobStore, Signing

_OBJECTS = {"s3": "s3", "gs": "gcs", "abfs": "azure"}
_PASSED = {
    "s3": ("FLYTE_AWS_", "AWS_"),
    "gs": ("FLYTE_GCP_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST"),
    "abfs": ("FLYTE_AZURE_", "AZURE_"),
}


class StoreSettings(BaseModel, extra="forbid", frozen=True):
    """How an object store is reached. What is empty comes from the environment or the provider."""

    endpoint: str = Field(
        default="", description="Where the server and its tasks reach it: http://minio:9000."
    )
    public_endpoint: str = Field(default="", description="Where clients reach it; signed URLs lead there.")
    region: str = Field(default="", description="S3's region.")
    addressing: Literal["path", "virtual"] = Field(
        default="path", description="How S3's buckets are named at an endpoint of one's own."
    )
    timeout_seconds: float = Field(default=30.0, gt=0, description="For one request.")
    retries: int = Field(default=3, ge=0, description="How often a request is repeated.")
    retry_seconds: float = Field(default=30.0, gt=0, description="For all the tries of a request together.")


class Store(NamedTuple):
    """An opened store: its files, who signs URLs of them, and the root below which they are."""

    blobs: BlobStore
    signing: Signing | None
    """None for a folder, whose URLs the server itself has to serve."""
    root: str


async def open_blob_store(url: str, settings: StoreSettings, environ: Mapping[str, str]) -> Store:
    """The store that the URL names: a path, `file://`, `s3://`, `gs://` or `abfs://`.

    Raises ConfigError, also for an object store that cannot be written now.
    """
    url = url.rstrip("/")
    scheme = _scheme(url)
    if scheme == "file":
        path = Path(url.removeprefix("file://"))
        if not path.is_absolute():
            raise ConfigError(f"the store {url!r} must be an absolute path")
        return Store(LocalBlobStore(), None, str(path))
    if scheme not in _OBJECTS:
        known = ", ".join(f"{one}://" for one in ("file", *_OBJECTS))
        raise ConfigError(f"the store {url!r} is of no known kind; there is {known}")
    if not urlsplit(url).netloc:
        raise ConfigError(f"the store {url!r} names no bucket; write {scheme}://bucket/folder")
    objects = _load("object_store", url)
    provider = _load(_OBJECTS[scheme], url).Provider(settings, environ)
    blobs = objects.ObjectBlobStore(provider)
    await blobs.check(url)
    return Store(blobs, objects.ObjectSigning(provider, blobs), url)


def task_environment(url: str, settings: StoreSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables by which tasks reach the same store."""
    scheme = _scheme(url)
    found = {name: value for name, value in environ.items() if name.startswith(_PASSED.get(scheme, ("\0",)))}
    if scheme == "s3":
        if settings.endpoint:
            found["FLYTE_AWS_ENDPOINT"] = settings.endpoint
        if settings.addressing == "virtual":
            found["FLYTE_AWS_ADDRESSING_STYLE"] = "virtual"
        if settings.region:
            found["AWS_DEFAULT_REGION"] = settings.region
    return found


def warm_modules(url: str) -> tuple[str, ...]:
    """What tasks import to reach the store."""
    return {"s3": ("s3fs",), "gs": ("gcsfs",), "abfs": ("adlfs",)}.get(_scheme(url), ())


def _scheme(url: str) -> str:
    return "file" if url.startswith("/") else urlsplit(url).scheme


def _load(name: str, url: str) -> ModuleType:
    try:
        return importlib.import_module(f"lacewing.adapters.{name}")
    except ImportError as error:
        raise ConfigError(
            f"the store {url} needs the module {error.name}: pip install 'lacewing[objects]'"
        ) from error
