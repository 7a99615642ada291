"""Signed URLs under `/data`: who has one may read or write one file for a while. Pure but for the time.

A signature covers the method, the path, the expiry and the content's MD5. It is made anew at every request.
"""

import hashlib
import hmac
import time
import urllib.parse
from collections.abc import Callable


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
