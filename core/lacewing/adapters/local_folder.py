"""What LocalCluster keeps of each pod on disk: its manifest, its log, the record of its exit.

`pod.json` stands for a pod that has not ended, `ended.json` for one that has. The log outlives both, for as
long as `sweep` lets it. Nothing here may lose the record of an end: the engine would run the task again.
"""

import contextlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from lacewing.model.task import Manifest

_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class PodFolder:
    """The folder of one pod."""

    path: Path

    @property
    def work(self) -> Path:
        """The working directory of its process."""
        return self.path / "work"

    @property
    def temporary(self) -> Path:
        """Where its process puts temporary files."""
        return self.path / "tmp"

    @property
    def log(self) -> Path:
        """What its process wrote."""
        return self.path / "log.txt"

    @property
    def exit(self) -> Path:
        """Where the fork server records the end."""
        return self.path / "exit.json"

    def begin(self, manifest: Manifest) -> None:
        """Make the folder and remember that the pod is to run."""
        self.work.mkdir(parents=True, exist_ok=True)
        self.temporary.mkdir(exist_ok=True)
        _write(self.path, "pod.json", manifest)

    def finish(self, manifest: Manifest) -> None:
        """Remember how the pod ended."""
        _write(self.path, "ended.json", manifest)
        _remove(self.path, "pod.json", "exit.json", "oom")

    def forget(self) -> None:
        """The object is deleted. Its log stays."""
        _remove(self.path, "pod.json", "ended.json")

    def ended(self) -> Manifest | None:
        """The pod that ended here."""
        with contextlib.suppress(OSError):
            found: Manifest = json.loads((self.path / "ended.json").read_bytes())
            return found
        return None

    def clear(self) -> None:
        """Remove the files of the process."""
        for folder in (self.work, self.temporary):
            try:
                os.rmdir(folder)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)

    def tail(self) -> str:
        """The end of the log."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
        return ""

    def cap_log(self, limit: int) -> None:
        """Cut the middle out of a log that is larger than `limit` bytes. Who writes to it may go on."""
        with contextlib.suppress(OSError):
            size = self.log.stat().st_size
            if size <= limit:
                return
            half = limit // 2
            with self.log.open("r+b") as file:
                file.seek(size - half)
                tail = file.read()
                file.truncate(half)
            with self.log.open("ab") as file:
                file.write(f"\n[... {size - 2 * half} bytes cut by Lacewing ...]\n".encode() + tail)


def sweep(root: Path, keep_seconds: float, keep_count: int) -> None:
    """Remove the oldest of what ended, and distributions that no task has used for as long."""
    old = time.time() - keep_seconds
    ended = []
    for path in root.glob("pods/*/*"):
        with contextlib.suppress(OSError):
            if not (path / "pod.json").exists():
                ended.append((path.stat().st_mtime, path))
    ended.sort(reverse=True)
    for place, (at, path) in enumerate(ended):
        if place >= keep_count or at < old:
            shutil.rmtree(path, ignore_errors=True)
    for path in (*root.glob("unpacked/*"), *root.glob("fetched/*")):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < old:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write(folder: Path, name: str, manifest: Manifest) -> None:
    temporary = f"{folder}/{name}.new"
    with open(temporary, "w") as file:
        file.write(json.dumps(manifest))
    os.replace(temporary, f"{folder}/{name}")


def _remove(folder: Path, *names: str) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")
