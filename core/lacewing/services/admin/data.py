"""What an execution, a node or an attempt was given and gave, as clients read it.

Rules: contract "admin", section 7. Reading never fails for the sake of a file: what is gone or broken is
empty, and what is too large to be sent is named, for the client to fetch by itself.
"""

from typing import Any

import structlog
from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError

from lacewing.errors import LacewingError
from lacewing.ports import BlobStore

log = structlog.get_logger(__name__)
_INLINE_BYTES = 2 * 2**20


async def fill_data(blobs: BlobStore, answer: Any, input_uri: str, output_uri: str) -> None:
    """Put the inputs and the outputs into a `...GetDataResponse`."""
    await _fill(blobs, input_uri, answer.full_inputs, answer.inputs)
    await _fill(blobs, output_uri, answer.full_outputs, answer.outputs)


async def _fill(blobs: BlobStore, uri: str, full: literals_pb2.LiteralMap, named: Any) -> None:
    named.SetInParent()
    full.SetInParent()
    try:
        size = await blobs.size(uri) if uri else None
        if size is not None and size > _INLINE_BYTES:
            # No signed URL: flytekit takes the question mark in one for a pattern, and makes a folder.
            named.url, named.bytes = uri, size
        elif size is not None:
            full.MergeFromString(await blobs.read(uri))
    except (DecodeError, FileNotFoundError, LacewingError) as error:
        full.Clear()
        log.warning("a file of data cannot be read", uri=uri, reason=str(error))
