"""Data of clients: where to upload, signed URLs to download, and values by their flyte:// names.

Rules: contract "admin", section 7. URLs are given out for files of the store only.
"""

import base64
import re
import secrets
import time
from typing import Any

from flyteidl.admin import node_execution_pb2, task_execution_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import dataproxy_pb2
from google.protobuf.duration_pb2 import Duration

from lacewing.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from lacewing.ports import BlobStore, Signing
from lacewing.services.admin.rows import check_path
from lacewing.services.admin.views import Views
from lacewing.services.admin.words import id_text
from lacewing.services.rpc import Call

_HOUR = 3600
_NAME_LENGTH = 20
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MOST_BYTES = 16 << 20
_PART = "([A-Za-z0-9_-]+)"
_FLYTE_URL = re.compile(f"flyte://v1/{_PART}/{_PART}/{_PART}/{_PART}(?:/([0-9]+))?/([iod])(?:/{_PART})?")
_DECK = dataproxy_pb2.ARTIFACT_TYPE_DECK


class DataProxy:
    """The RPCs about data."""

    def __init__(self, root: str, signing: Signing, blobs: BlobStore, views: Views) -> None:
        self._root, self._signing, self._blobs, self._views = root, signing, blobs, views

    async def CreateUploadLocation(
        self, request: dataproxy_pb2.CreateUploadLocationRequest, call: Call
    ) -> dataproxy_pb2.CreateUploadLocationResponse:
        """A place for a file, and the URL to send it to."""
        if not (request.project and request.domain):
            raise InvalidArgument("project and domain are required parameters")
        if not (request.filename_root or request.content_md5):
            raise InvalidArgument("content_md5 or filename_root is a required parameter")
        path = self._upload_path(request)
        if request.filename and request.filename_root:
            await self._check_overwrite(path, request.content_md5)
        seconds, md5 = _seconds(request), request.content_md5
        signed = await self._signing.upload(path, seconds, md5, metadata=request.add_content_md5_metadata)
        answer = dataproxy_pb2.CreateUploadLocationResponse(
            signed_url=signed.url, native_url=path, headers=signed.headers
        )
        answer.expires_at.FromSeconds(int(time.time() + seconds))
        return answer

    def _upload_path(self, request: dataproxy_pb2.CreateUploadLocationRequest) -> str:
        folder = request.filename_root or base64.b32encode(request.content_md5).decode()
        file = request.filename or "".join(secrets.choice(_ALPHABET) for _ in range(_NAME_LENGTH))
        parts = [request.project, request.domain, folder, file]
        for name, part in zip(("project", "domain", "filename_root", "filename"), parts, strict=True):
            check_path(name, part)
        return "/".join([self._root, "uploads", *parts])

    async def CreateDownloadLocation(
        self, request: dataproxy_pb2.CreateDownloadLocationRequest, call: Call
    ) -> dataproxy_pb2.CreateDownloadLocationResponse:
        """A URL to get a file of the store from, whether it is there or not."""
        path, seconds = self._stored(request.native_url), _seconds(request)
        answer = dataproxy_pb2.CreateDownloadLocationResponse(
            signed_url=await self._signing.download(path, seconds)
        )
        answer.expires_at.FromSeconds(int(time.time() + seconds))
        return answer

    async def CreateDownloadLink(
        self, request: dataproxy_pb2.CreateDownloadLinkRequest, call: Call
    ) -> dataproxy_pb2.CreateDownloadLinkResponse:
        """A URL to get a node's deck from."""
        refused = "error while validating request. Error: "
        seconds = _seconds(request, refused)
        if request.artifact_type != _DECK:
            found = request.artifact_type
            name = dataproxy_pb2.ArtifactType.Name(found) if found in (0, _DECK) else found
            raise InvalidArgument(f"{refused}invalid artifact type [{name}]")
        if not request.HasField("node_execution_id"):
            raise InvalidArgument(f"{refused}source is required. Provided nil")
        answer = dataproxy_pb2.CreateDownloadLinkResponse()
        answer.pre_signed_urls.signed_url.append(await self._deck_url(request, seconds, call))
        answer.pre_signed_urls.expires_at.FromSeconds(int(time.time() + seconds))
        answer.signed_url.extend(answer.pre_signed_urls.signed_url)
        answer.expires_at.CopyFrom(answer.pre_signed_urls.expires_at)
        return answer

    async def _deck_url(
        self, request: dataproxy_pb2.CreateDownloadLinkRequest, seconds: float, call: Call
    ) -> str:
        wanted = node_execution_pb2.NodeExecutionGetRequest(id=request.node_execution_id)
        try:
            node = await self._views.GetNodeExecution(wanted, call)
        except NotFound as error:
            shown = id_text(request.node_execution_id)
            raise InvalidArgument(
                f"failed to find node execution [{shown}]. Error: {error.message}"
            ) from error
        uri = node.closure.deck_uri
        if not uri:
            request.expires_in.CopyFrom(Duration(seconds=int(seconds)))
            raise NotFound(f"no deckUrl found for request [{id_text(request)}]")
        if await self._blobs.size(uri) is None:
            raise NotFound(
                f"URL [{uri}] does not exist yet. Please try again later. If you are using the real-time"
                " deck, this could be because the 'persist' function has not been called yet."
            )
        return await self._signing.download(self._stored(uri), seconds)

    async def GetData(
        self, request: dataproxy_pb2.GetDataRequest, call: Call
    ) -> dataproxy_pb2.GetDataResponse:
        """What a flyte:// URL names: a map of values, one value, or a deck."""
        match = _FLYTE_URL.fullmatch(request.flyte_url)
        if match is None:
            raise InvalidArgument(
                f"failed to parse artifact url Error: failed to parse [{request.flyte_url}]"
            )
        project, domain, run, node_id, attempt, kind, name = match.groups()
        node = identifier_pb2.NodeExecutionIdentifier(
            node_id=node_id, execution_id={"project": project, "domain": domain, "name": run}
        )
        if kind == "d":
            if attempt or name:
                raise InvalidArgument(
                    f"a deck belongs to a node, not to an attempt or a variable: [{request.flyte_url}]"
                )
            link = dataproxy_pb2.CreateDownloadLinkRequest(artifact_type=_DECK, node_execution_id=node)
            urls = (await self.CreateDownloadLink(link, call)).pre_signed_urls
            return dataproxy_pb2.GetDataResponse(pre_signed_urls=urls)
        values = await self._values(node, attempt, kind, call)
        if not name:
            return dataproxy_pb2.GetDataResponse(literal_map=values)
        if name not in values.literals:
            known = ", ".join(sorted(values.literals)) or "none"
            raise InvalidArgument(f"{name} is not there [{request.flyte_url}]; there are: {known}")
        return dataproxy_pb2.GetDataResponse(literal=values.literals[name])

    async def _values(
        self, node: identifier_pb2.NodeExecutionIdentifier, attempt: str | None, kind: str, call: Call
    ) -> literals_pb2.LiteralMap:
        data: Any
        if attempt is None:
            wanted = node_execution_pb2.NodeExecutionGetDataRequest(id=node)
            data = await self._views.GetNodeExecutionData(wanted, call)
        else:
            found = await self._views.find_attempt(node, int(attempt))
            data = await self._views.GetTaskExecutionData(
                task_execution_pb2.TaskExecutionGetDataRequest(id=found), call
            )
        full, named = (data.full_inputs, data.inputs) if kind == "i" else (data.full_outputs, data.outputs)
        if named.bytes > _MOST_BYTES:
            raise ResourceExhausted(f"the values are {named.bytes} bytes large; fetch them from {named.url}")
        if named.bytes:
            return literals_pb2.LiteralMap.FromString(await self._blobs.read(named.url))
        return full

    def _stored(self, uri: str) -> str:
        path = uri.removeprefix("file://")
        if ".." in path.split("/") or "\0" in uri or not path.startswith(f"{self._root}/"):
            raise InvalidArgument(
                f"{uri!r} is no file of this server's store;"
                f" only what is below {self._root} can be downloaded"
            )
        return path

    async def _check_overwrite(self, path: str, md5: bytes) -> None:
        """Refuse a place that holds other content."""
        there = await self._signing.md5(path)
        if there is not None and (not md5 or there != md5):
            raise AlreadyExists(
                f"file already exists at location [{path}], specify a matching hash if you wish to rewrite"
            )


def _seconds(request: Any, prefix: str = "") -> float:
    if not request.HasField("expires_in"):
        return _HOUR
    seconds: float = request.expires_in.ToNanoseconds() / 1e9
    if seconds <= 0:
        raise InvalidArgument(f"{prefix}expiresIn [{seconds:g}s] is invalid")
    if seconds > _HOUR:
        raise InvalidArgument(
            f"{prefix}expiresIn [{seconds:g}s] cannot exceed max allowed expiration [1h0m0s]"
        )
    return seconds
