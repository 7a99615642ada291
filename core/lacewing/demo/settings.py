"""Where the demo keeps its state, and how it is set. Every setting has a default that works."""

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from lacewing.errors import ConfigError


class DemoSettings(BaseModel, extra="forbid", frozen=True):
    """The `lacewing.yaml` of a demo, in its home folder."""

    port: int = Field(30080, description="The one port for gRPC and HTTP.")
    host: str = Field("127.0.0.1", description="The address to listen on.")
    origins: list[str] = Field(["*"], description="Sites whose pages may call the REST API from a browser.")
    slots: int = Field(
        default_factory=lambda: 2 * (os.cpu_count() or 1),
        description="How many tasks that ask for no resources run at once.",
    )
    hold_seconds: float = Field(
        50.0,
        ge=0,
        description="How long a repeated GetExecution waits for news, in seconds; 0 answers at once.",
    )
    images: dict[str, Path] = Field(
        {}, description="Image pattern to the virtual environment that it stands for."
    )
    plugins: list[str] = Field(["container"], description="The enabled plugins, in the order of their calls.")
    fallback: str = Field("container", description="The backend of task types that no plugin claims.")
    plugin_settings: dict[str, dict[str, Any]] = Field({}, description="A section for each plugin.")


def home() -> Path:
    """The folder of all state: `LACEWING_HOME`, or `~/.lacewing`."""
    return Path(os.environ.get("LACEWING_HOME") or Path.home() / ".lacewing").absolute()


def database_url() -> str:
    """The database of this home."""
    return f"sqlite:///{home()}/lacewing.db"


def load_settings(**overrides: Any) -> DemoSettings:
    """The settings of this home. Raises ConfigError that names the file and the field."""
    path = home() / "lacewing.yaml"
    try:
        data = yaml.safe_load(path.read_text()) if path.exists() else {}
        return DemoSettings.model_validate(
            (data or {}) | {k: v for k, v in overrides.items() if v is not None}
        )
    except (ValidationError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
