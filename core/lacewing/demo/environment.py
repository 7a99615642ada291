"""Python environments that tasks run in, each under an image name that the demo made for it.

A closure names an image, and a demo has none: the name stands for a virtual environment of this machine.
Names are kept in the home, so that what was registered yesterday runs today.
"""

import contextlib
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from lacewing.errors import ConfigError

_FILE = "environments.json"


class ImageMap(Mapping[str, Path]):
    """Image pattern to environment: the settings' first, then the registered ones. Read anew when changed."""

    def __init__(self, home: Path, configured: Mapping[str, Path]) -> None:
        self._files = (home / "lacewing.yaml", home / _FILE)
        self._configured, self._registered = dict(configured), dict[str, Path]()
        self._seen: tuple[float, ...] = ()

    def _now(self) -> dict[str, Path]:
        seen = tuple(_changed_at(path) for path in self._files)
        if seen != self._seen:
            self._seen = seen
            # A file that is being written, or wrong, leaves the map as it was.
            with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
                images = (yaml.safe_load(self._files[0].read_text()) or {}).get("images", {})
                self._configured = {str(pattern): Path(venv) for pattern, venv in images.items()}
            with contextlib.suppress(OSError, ValueError):
                self._registered = _read(self._files[1])
        return {**self._registered, **self._configured}

    def __getitem__(self, pattern: str) -> Path:
        return self._now()[pattern]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


def callers_environment(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The environment to register: the one named, the active one, the one whose `pyflyte` is first in PATH.

    None is Lacewing's own. Raises ConfigError for a named one that has no flytekit.
    """
    if explicit is not None:
        found = explicit.absolute()
        found = found if found.is_dir() else found.parent.parent
        if not (found / "bin/python").exists():
            raise ConfigError(f"{explicit} is no Python environment: there is no {found / 'bin/python'}")
        if not (found / "bin/pyflyte").exists():
            python = found / "bin/python"
            raise ConfigError(
                f"the environment {found} has no flytekit; install it: {python} -m pip install flytekit"
            )
    else:
        active = Path(environ.get("VIRTUAL_ENV") or "/nowhere")
        first = shutil.which("pyflyte", path=environ.get("PATH"))
        candidates = [active, *([Path(first).absolute().parent.parent] if first else [])]
        usable = [
            one for one in candidates if (one / "bin/pyflyte").exists() and (one / "bin/python").exists()
        ]
        if not usable:
            return None
        found = usable[0]
    return None if found == Path(sys.prefix) else found


def register(home: Path, venv: Path) -> str:
    """The image name of an environment, known to the demo from now on."""
    digest = hashlib.sha256(str(venv).encode()).hexdigest()[:12]
    name = re.sub(r"[^a-z0-9]+", "-", f"{venv.parent.name}-{venv.name}".lower()).strip("-") or "environment"
    image = f"lacewing.local/{name}:{digest}"
    path = home / _FILE
    known = _read(path) if path.exists() else {}
    if known.get(image) != venv:
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({key: str(value) for key, value in {**known, image: venv}.items()}))
        temporary.replace(path)
    return image


def _read(path: Path) -> dict[str, Path]:
    return {image: Path(venv) for image, venv in json.loads(path.read_text()).items()}


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
