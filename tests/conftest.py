"""Servers that tests of several folders share."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """A real S3 server. Whoever asks for none does not even import its client."""
    from s3_server import s3_server

    with s3_server() as server:
        yield server
