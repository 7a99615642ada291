"""The files that Flyte's clients read. A file that the user wrote is never touched."""

import contextlib
from pathlib import Path

_MARK = "# Written by `lacewing demo start`.\n"


def write_own(home: Path, address: str) -> Path:
    """The demo's own file, written anew at each start."""
    path = home / "config.yaml"
    path.write_text(_text(address))
    return path


def write_sandbox(user_home: Path, address: str) -> Path | None:
    """flytectl's sandbox file, if there is none or it is ours; None if it is the user's."""
    path = _sandbox(user_home)
    with contextlib.suppress(OSError):
        if not path.exists() or path.read_text().startswith(_MARK):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_text(address))
            return path
    return None


def remove_sandbox(user_home: Path) -> None:
    """Remove flytectl's sandbox file if it is ours."""
    path = _sandbox(user_home)
    with contextlib.suppress(OSError):
        if path.read_text().startswith(_MARK):
            path.unlink()


def _sandbox(user_home: Path) -> Path:
    return user_home / ".flyte" / "config-sandbox.yaml"


def _text(address: str) -> str:
    return f"{_MARK}admin:\n  endpoint: dns:///{address}\n  insecure: true\n"
