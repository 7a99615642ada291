"""The demo over a real S3 server, with an unmodified pyflyte that has no credentials of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine
from s3_server import BUCKET, S3Server

# Building the server takes a while, once.
pytestmark = [pytest.mark.s3, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def stored(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A demo whose files are in S3."""
    folder = tmp_path_factory.mktemp("stored")
    machine = Machine(folder / "home", folder, s3.environment)
    machine.home.mkdir()
    (machine.home / "lacewing.yaml").write_text(f"store: s3://{BUCKET}/lacewing\n")
    machine.start()
    yield machine
    machine.end()
    machine.channel.close()


def test_frames_files_and_folders_go_through_s3(stored: Machine, s3: S3Server):
    given = stored.folder / "given.txt"
    given.write_text("seven..")
    ended = stored.run("stored.py", "through", "--file", str(given), "--rows", "5")
    assert ended.closure.phase == 4, ended.error
    assert ended.outputs.literals["o2"].scalar.primitive.string_value == "20 7"
    uri = ended.outputs.literals["o1"].scalar.blob.uri
    assert uri.startswith(f"s3://{BUCKET}/lacewing/data/")
    assert s3.files().cat(uri) == b"20 7"
    assert not (stored.home / "store").exists()


def test_map_tasks_and_dynamic_tasks_go_through_s3(stored: Machine):
    ended = stored.run("stored.py", "spread", "--n", "4", nodes=False)
    assert ended.closure.phase == 4, ended.error
    assert ended.outputs.literals["o0"].scalar.primitive.integer == 14 + 14


def test_code_is_fetched_once_and_runs_warm(stored: Machine):
    fetched = {path: path.stat().st_mtime for path in stored.home.glob("cluster/fetched/*")}
    ended = stored.run("stored.py", "spread", "--n", "2", nodes=False)
    assert ended.closure.phase == 4, ended.error
    assert set(stored.home.glob("cluster/fetched/*")) == set(fetched)
    logs = [path.read_text() for path in stored.home.glob("cluster/pods/*/*/log.txt")]
    assert logs
    assert not any("Downloading" in log for log in logs)


def test_an_error_comes_through_s3(stored: Machine):
    ended = stored.run("stored.py", "failing", nodes=False)
    assert ended.closure.phase == 6
    assert "it is wrong" in ended.closure.error.message


def test_a_store_that_is_not_there_is_told_at_the_start(s3: S3Server, tmp_path: Path):
    machine = Machine(tmp_path / "home", tmp_path, s3.environment)
    machine.home.mkdir()
    (machine.home / "lacewing.yaml").write_text("store: s3://nowhere/lacewing\n")
    done = machine.command("start", "--port", str(machine.port))
    assert done.returncode == 1
    assert "the store s3://nowhere/lacewing cannot be used" in " ".join(done.stdout.split())
    assert "there is no such bucket" in " ".join(done.stdout.split())
