"""The HTTP side of the data proxy: files of the store under signed URLs, whole or in ranges.

Nothing outside of the store is read or written, whatever a URL says.
"""

import base64
import hashlib
import os
import uuid
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse

from lacewing.services.admin.signer import Signer

# A file may be a page that a task wrote: it is shown, and kept apart from the pages of this server.
_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}


def upload_app(root: str, signer: Signer) -> FastAPI:
    """`PUT` and `GET /data/...` under signed URLs, and `GET /healthcheck`."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)

    def refusal(method: str, target: str, expires: str, md5: str, signature: str) -> Response | None:
        if reason := signer.refusal(method, target, expires, md5, signature):
            return Response(reason, 403)
        if not Path(target).resolve().is_relative_to(Path(root).resolve()):
            return Response("the path is outside of the store", 403)
        return None

    @app.get("/healthcheck")
    async def healthcheck() -> Response:
        return Response()

    @app.put("/data/{path:path}")
    async def upload(path: str, request: Request, expires: str, signature: str, md5: str = "") -> Response:
        target = f"/{path}"
        refused = refusal("PUT", target, expires, md5, signature)
        return refused or await receive(Path(target), request, md5)

    @app.api_route("/data/{path:path}", methods=["GET", "HEAD"])
    async def download(path: str, expires: str, signature: str, md5: str = "") -> Response:
        target = f"/{path}"
        refused = refusal("GET", target, expires, md5, signature)
        if refused is None and not Path(target).is_file():
            return Response(f"{target} is not there", 404)
        return refused or FileResponse(target, headers=_HEADERS)

    return app


async def receive(target: Path, request: Request, md5: str) -> Response:
    """Write the body beside the target, check it, and move it into place."""
    temporary = target.with_name(f".{uuid.uuid4().hex}")
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
