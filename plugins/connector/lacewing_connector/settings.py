"""How the connector service is reached."""

from pydantic import BaseModel, Field


class ConnectorSettings(BaseModel, extra="forbid", frozen=True):
    """The section `connector` of the plugins' settings."""

    endpoint: str = Field("localhost:8000", description="host:port of the connector service.")
    secure: bool = Field(False, description="Whether to speak TLS to it.")
    timeout_seconds: float = Field(10.0, description="How long one call may take, in seconds.")
    sync_timeout_seconds: float = Field(60.0, description="The same for a sync connector's whole work.")
    poll_seconds: float = Field(1.0, description="The pause between two looks at one task, in seconds.")
