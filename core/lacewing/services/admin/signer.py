"""Signed URLs under `/data`: who has one may read or write one file of this machine for a while.

A signature covers the method, the path, the expiry and the content's MD5. It is made anew at every request.
"""

import asyncio
import base64
import hashlib
import hmac
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from lacewing.ports import SignedUpload


class Signer:
    """Signs and checks. `base_url` is asked at every signature."""

    def __init__(self, secret: bytes, base_url: Callable[[], str]) -> None:
        self._secret, self._base_url = secret, base_url

    def sign(self, method: str, path: str, seconds: float, md5: str = "") -> str:
        """The URL to GET the file, or to PUT the content of this MD5 (base64, or empty) to."""
        query = {"expires": str(int(time.time() + seconds)), "md5": md5}
        query["signature"] = self._signature(method, path, query["expires"], md5)
        return f"{self._base_url()}/data{urllib.parse.quote(path)}?{urllib.parse.urlencode(query)}"

    def refusal(self, method: str, path: str, expires: str, md5: str, signature: str) -> str:
        """Why the URL is not good, or nothing."""
        expected = self._signature(method, path, expires, md5)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return "the signature does not fit; ask for a new URL"
        return "the URL has expired; ask for a new one" if time.time() > int(expires) else ""

    def _signature(self, method: str, path: str, expires: str, md5: str) -> str:
        text = "\n".join((method, path, expires, md5))
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


class LocalSigning:
    """Signing for files of this machine, which this server itself takes and gives."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def upload(self, uri: str, seconds: float, md5: bytes, *, metadata: bool) -> SignedUpload:
        """A URL to PUT to. The MD5 is never kept: that of a file can be had at any time."""
        text = base64.b64encode(md5).decode()
        headers = {"Content-MD5": text} if text else {}
        return SignedUpload(self._signer.sign("PUT", uri, seconds, text), headers)

    async def download(self, uri: str, seconds: float) -> str:
        """A URL to GET the file from."""
        return self._signer.sign("GET", uri, seconds)

    async def md5(self, uri: str) -> bytes | None:
        """The MD5 of the file; that of a folder nobody knows."""
        path = Path(uri)
        return await asyncio.to_thread(_md5, path) if path.exists() else None


def _md5(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
