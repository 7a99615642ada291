"""Files in an object store, on obstore. A provider says how its buckets are opened and its URLs are signed.

A write is whole or not at all, as such stores are. What obstore raises never leaves here: it has one of three
meanings, gone, never, or try again.
"""

import base64
import binascii
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypeVar

import obstore
from obstore import exceptions
from obstore.store import ObjectStore

from lacewing.adapters.store import StoreSettings
from lacewing.errors import ConfigError, LacewingError, TaskError, TransientError
from lacewing.ports import SignedUpload

T = TypeVar("T")
_DELAY = 5.0
_CONNECT_SECONDS = 5.0
_MD5_BYTES = 16
_METADATA = "flytecontentmd5"
_REFUSED = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)


class ObjectProvider(Protocol):
    """One kind of object store. `upload_headers` go with every upload."""

    scheme: str
    metadata_prefix: str
    upload_headers: Mapping[str, str]

    def open(self, bucket: str) -> ObjectStore:
        """The bucket, not yet asked for anything."""
        ...

    async def sign(
        self, method: str, bucket: str, key: str, seconds: float, headers: Mapping[str, str]
    ) -> str:
        """A URL at the public endpoint that is good for this method with these headers."""
        ...


class ObjectBlobStore:
    """A BlobStore of objects, in every bucket that the credentials reach."""

    def __init__(self, provider: ObjectProvider) -> None:
        self._provider = provider
        self._buckets: dict[str, ObjectStore] = {}

    async def read(self, uri: str) -> bytes:
        """The whole object; FileNotFoundError if it is not there."""
        return await self._ask("read", uri, self._read(uri))

    async def write(self, uri: str, data: bytes) -> None:
        """Store the object."""
        bucket, key = self.locate(uri)
        try:
            # In one request: an upload in parts has no MD5, and can be left half done.
            await self._ask("write", uri, obstore.put_async(bucket, key, data, use_multipart=False))
        except FileNotFoundError:
            raise TransientError(f"cannot write {uri}: there is no such bucket", delay=_DELAY) from None

    async def size(self, uri: str) -> int | None:
        """How many bytes, or None."""
        bucket, key = self.locate(uri)
        try:
            return int((await self._ask("read", uri, obstore.head_async(bucket, key)))["size"])
        except FileNotFoundError:
            return None

    async def md5(self, uri: str) -> bytes | None:
        """The MD5 that the object was uploaded with, empty if that is not known; None if it is not there."""
        bucket, key = self.locate(uri)
        try:
            found = await self._ask("read", uri, obstore.get_async(bucket, key, options={"head": True}))
        except FileNotFoundError:
            return None
        attributes = {str(name).lower(): str(value) for name, value in found.attributes.items()}
        return _digest(attributes.get(_METADATA, "")) or _etag(found.meta["e_tag"] or "")

    async def check(self, root: str) -> None:
        """Write and read below `root`; a ConfigError says why the store cannot be used."""
        uri = f"{root}/.lacewing"
        try:
            await self.write(uri, b"Lacewing keeps the files of its runs here.\n")
            await self.read(uri)
        except (FileNotFoundError, LacewingError) as error:
            raise ConfigError(f"the store {root} cannot be used: {error}") from error

    def locate(self, uri: str) -> tuple[ObjectStore, str]:
        """The bucket and the key that a URI names. Raises TaskError for a URI of another kind."""
        name, key = split(self._provider.scheme, uri)
        if name not in self._buckets:
            self._buckets[name] = self._provider.open(name)
        return self._buckets[name], key

    async def _read(self, uri: str) -> bytes:
        bucket, key = self.locate(uri)
        return bytes(await (await obstore.get_async(bucket, key)).bytes_async())

    async def _ask(self, verb: str, uri: str, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except FileNotFoundError:
            raise FileNotFoundError(uri) from None
        except _REFUSED as error:
            raise TransientError(
                f"cannot {verb} {uri}: the store refuses the credentials ({_short(error)})", delay=_DELAY
            ) from None
        except (exceptions.InvalidPathError, ValueError) as error:
            raise TaskError(f"cannot {verb} {uri}: {_short(error)}", code="BadPath") from None
        except (exceptions.BaseError, OSError) as error:
            raise TransientError(f"cannot {verb} {uri}: {_short(error)}", delay=_DELAY) from None


class ObjectSigning:
    """Signing by the store's provider."""

    def __init__(self, provider: ObjectProvider, blobs: ObjectBlobStore) -> None:
        self._provider, self._blobs = provider, blobs

    async def upload(self, uri: str, seconds: float, md5: bytes, *, metadata: bool) -> SignedUpload:
        """A URL to PUT to. What is signed is only what a client is told to send, or sends by itself."""
        headers = dict(self._provider.upload_headers)
        if md5:
            headers["Content-MD5"] = base64.b64encode(md5).decode()
        if md5 and metadata:
            headers[f"{self._provider.metadata_prefix}flyteContentMD5"] = headers["Content-MD5"]
        return SignedUpload(await self._sign("PUT", uri, seconds, headers), headers)

    async def download(self, uri: str, seconds: float) -> str:
        """A URL to GET the object from."""
        return await self._sign("GET", uri, seconds, {})

    async def md5(self, uri: str) -> bytes | None:
        """The MD5 of what is there."""
        return await self._blobs.md5(uri)

    async def _sign(self, method: str, uri: str, seconds: float, headers: Mapping[str, str]) -> str:
        bucket, key = split(self._provider.scheme, uri)
        return await self._provider.sign(method, bucket, key, seconds, headers)


def split(scheme: str, uri: str) -> tuple[str, str]:
    """The bucket and the key of a URI. Raises TaskError for one of another scheme, or without a key."""
    start = f"{scheme}://"
    bucket, _, key = uri.removeprefix(start).partition("/")
    parts = key.split("/")
    if not uri.startswith(start) or not bucket or ".." in parts or "" in parts or "\0" in key:
        raise TaskError(f"{uri!r} is no file of this store, which holds {start}BUCKET/KEY", code="BadPath")
    return bucket, key


def client_options(settings: StoreSettings, endpoint: str) -> Any:
    """How obstore's client behaves."""
    seconds = settings.timeout_seconds
    return {
        "timeout": f"{seconds}s",
        "connect_timeout": f"{min(seconds, _CONNECT_SECONDS)}s",
        "allow_http": endpoint.startswith("http://"),
    }


def _digest(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if len(found) == _MD5_BYTES else b""


def _etag(text: str) -> bytes:
    """What an ETag says of the content; one that is no MD5 says nothing."""
    text = text.strip('"')
    try:
        return bytes.fromhex(text) if len(text) == 2 * _MD5_BYTES else b""
    except ValueError:
        return b""


def _short(error: Exception) -> str:
    """The first line of obstore's words, which go on for pages."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
