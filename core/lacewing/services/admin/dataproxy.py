"""Uploads of clients: a place in the store, and a signed URL that this server takes the bytes under.

Rules: contract "admin", section 7.1. A URL is bound to its path, its expiry and the content's MD5.
"""

import base64
import hashlib
import hmac
import os
import secrets
import time
import urllib.parse
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from flyteidl.service import dataproxy_pb2

from lacewing.errors import InvalidArgument
from lacewing.services.rpc import Call

_HOUR = 3600


class Signer:
    """Signs and checks URLs under `/data`. `base_url` is asked at every signature."""

    def __init__(self, secret: bytes, base_url: Callable[[], str]) -> None:
        self._secret, self._base_url = secret, base_url

    def sign(self, path: str, seconds: float, md5: str) -> str:
        """The URL to PUT the content of this MD5 (base64, or empty) to."""
        query = {"expires": str(int(time.time() + seconds)), "md5": md5}
        query["signature"] = self._signature(path, query["expires"], md5)
        return f"{self._base_url()}/data{urllib.parse.quote(path)}?{urllib.parse.urlencode(query)}"

    def refusal(self, path: str, expires: str, md5: str, signature: str) -> str:
        """Why the URL is not good, or nothing."""
        if not hmac.compare_digest(self._signature(path, expires, md5), signature):
            return "the signature does not fit; ask for a new upload location"
        return "the URL has expired; ask for a new upload location" if time.time() > int(expires) else ""

    def _signature(self, path: str, expires: str, md5: str) -> str:
        return hmac.new(self._secret, f"{path}\n{expires}\n{md5}".encode(), hashlib.sha256).hexdigest()


class DataProxy:
    """The RPCs about data."""

    def __init__(self, root: str, signer: Signer) -> None:
        self._root, self._signer = root, signer

    async def CreateUploadLocation(
        self, request: Any, call: Call
    ) -> dataproxy_pb2.CreateUploadLocationResponse:
        """A place for a file, and the URL to send it to."""
        for name in ("project", "domain"):
            if not getattr(request, name):
                raise InvalidArgument(f"missing {name}")
        if not (request.filename_root or request.content_md5):
            raise InvalidArgument("content_md5 or filename_root is required")
        seconds = request.expires_in.ToSeconds() if request.HasField("expires_in") else _HOUR
        if not 0 < seconds <= _HOUR:
            raise InvalidArgument("expires_in must be more than nothing and at most an hour")
        folder = request.filename_root or base64.b32encode(request.content_md5).decode()
        file = request.filename or secrets.token_hex(10)
        parts = [request.project, request.domain, folder, file]
        if any(part in (".", "..") for one in parts for part in one.split("/")):
            raise InvalidArgument("names of projects, folders and files may not hold '..'")
        path = "/".join([self._root, "uploads", *parts])
        md5 = base64.b64encode(request.content_md5).decode()
        answer = dataproxy_pb2.CreateUploadLocationResponse(
            signed_url=self._signer.sign(path, seconds, md5), native_url=path
        )
        answer.expires_at.FromSeconds(int(time.time() + seconds))
        return answer


def upload_app(root: str, signer: Signer) -> FastAPI:
    """The HTTP side: `PUT /data/...` under a signed URL, and `GET /healthcheck`."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)

    @app.get("/healthcheck")
    async def healthcheck() -> Response:
        return Response()

    @app.put("/data/{path:path}")
    async def upload(path: str, request: Request, expires: str, signature: str, md5: str = "") -> Response:
        target = f"/{path}"
        if reason := signer.refusal(target, expires, md5, signature):
            return Response(reason, 403)
        if not target.startswith(f"{root}/"):
            return Response("the path is outside of the store", 403)
        return await receive(Path(target), request, md5)

    return app


async def receive(target: Path, request: Request, md5: str) -> Response:
    """Write the body beside the target, check it, and move it into place."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            async for chunk in request.stream():
                digest.update(chunk)
                file.write(chunk)
        if md5 and base64.b64encode(digest.digest()).decode() != md5:
            return Response("the content does not have the MD5 that the URL was signed for", 400)
        os.replace(temporary, target)
    except OSError as error:
        return Response(f"cannot store the file: {error.strerror}", 507)
    finally:
        temporary.unlink(missing_ok=True)
    return Response()
