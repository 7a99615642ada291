"""Where the demo keeps its state, and how it is set. Every setting has a default that works."""

import os
import socket
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from lacewing.adapters.store import StoreSettings
from lacewing.errors import ConfigError

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/*\s]+$")]
"""A site as browsers name it: a scheme, a host, perhaps a port."""


class DemoSettings(BaseModel, extra="forbid", frozen=True):
    """The `lacewing.yaml` of a demo, in its home folder."""

    port: int = Field(30080, ge=1, le=65535, description="The one port for gRPC and HTTP.")
    host: str = Field("127.0.0.1", description="The address to listen on.")
    origins: list[Origin] = Field(
        [],
        description="Other sites whose pages may call this server from a browser, as in"
        " https://console.example; such a page can start code here.",
    )
    store: str = Field(
        "",
        description="Where files are kept: a path, s3://BUCKET/FOLDER, gs:// or abfs://;"
        " the folder `store` of the home if it is empty.",
    )
    store_settings: StoreSettings = Field(StoreSettings(), description="How an object store is reached.")
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
    keep_days: float = Field(7.0, gt=0, description="How long logs of attempts stay, in days.")
    keep_attempts: int = Field(5000, ge=100, description="How many attempts keep their logs at most.")
    log_megabytes: float = Field(16.0, gt=0, description="What a log is cut to, in MiB; its middle goes.")
    plugins: list[str] = Field(["container"], description="The enabled plugins, in the order of their calls.")
    fallback: str = Field("container", description="The backend of task types that no plugin claims.")
    plugin_settings: dict[str, dict[str, Any]] = Field({}, description="A section for each plugin.")

    @property
    def address(self) -> str:
        """`host:port` as clients of this machine say it; a wildcard is reached by the machine's name."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def home() -> Path:
    """The folder of all state: `LACEWING_HOME`, or `~/.lacewing`."""
    return Path(os.environ.get("LACEWING_HOME") or Path.home() / ".lacewing").absolute()


def database_url() -> str:
    """The database of this home."""
    return f"sqlite:///{home()}/lacewing.db"


def load_settings(**overrides: Any) -> DemoSettings:
    """The settings of this home. Raises ConfigError that names the file and the field."""
    path = home() / "lacewing.yaml"
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        found = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
        if not isinstance(found, dict):
            raise ConfigError(f"{path} must hold settings, one `name: value` a line")
        return DemoSettings.model_validate(found | given)
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(map(_mistake, error.errors()))}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _mistake(error: Any) -> str:
    field = ".".join(map(str, error["loc"])) or "settings"
    if error["type"] == "extra_forbidden":
        return f"there is no setting `{field}`; there are {', '.join(DemoSettings.model_fields)}"
    return f"`{field}`: {error['msg']}"
