"""Every BlobStore keeps the same promises: memory, a folder, S3."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from lacewing.adapters.blob import LocalBlobStore
from lacewing.adapters.store import StoreSettings, open_blob_store
from lacewing.ports import BlobStore
from lacewing.testing import BlobStoreContract, MemoryBlobStore


class TestMemory(BlobStoreContract):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobStore()

    @pytest.fixture
    def root(self) -> str:
        return "/root"


class TestLocal(BlobStoreContract):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return LocalBlobStore()

    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return str(tmp_path)


@pytest.mark.s3
@pytest.mark.timeout(1200)
class TestS3(BlobStoreContract):
    @pytest.fixture
    async def blobs(self, s3: Any) -> BlobStore:
        return (await open_blob_store("s3://bucket", StoreSettings(), s3.environment)).blobs

    @pytest.fixture
    def root(self) -> str:
        return f"s3://bucket/{uuid.uuid4().hex}"
