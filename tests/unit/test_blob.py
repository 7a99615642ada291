"""Files of this machine as a BlobStore."""

import pytest
from lacewing.adapters.blob import LocalBlobStore
from lacewing.errors import TaskError, TransientError

BLOBS = LocalBlobStore()


async def test_what_is_written_is_read_and_no_neighbour_stays(tmp_path):
    uri = f"{tmp_path}/deep/{'x' * 255}"
    await BLOBS.write(uri, b"data")
    assert await BLOBS.read(f"file://{uri}") == b"data"
    assert await BLOBS.size(uri) == 4
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x" * 255]


@pytest.mark.parametrize("uri", ["s3://bucket/key", "relative", "/a/../b", "/nul\0", f"/{'x' * 300}"])
async def test_a_name_that_no_file_can_have_is_refused_for_good(uri):
    for use in (BLOBS.read(uri), BLOBS.size(uri), BLOBS.write(uri, b"")):
        with pytest.raises(TaskError):
            await use


async def test_a_file_that_cannot_be_read_now_is_asked_for_again(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(TransientError, match="cannot read"):
        await BLOBS.read(str(loop))
