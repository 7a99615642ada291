"""Runs tasks through a connector service, which says at start which task types it runs."""

from lacewing import Setup, hookimpl

from lacewing_connector.backend import ConnectorBackend
from lacewing_connector.service import discover
from lacewing_connector.settings import ConnectorSettings

__all__ = ["ConnectorBackend", "ConnectorSettings", "register_backends"]


@hookimpl
def register_backends(setup: Setup) -> list[ConnectorBackend]:
    """One backend for all that the service runs. Raises ConfigError where the service does not answer."""
    settings = setup.settings("connector", ConnectorSettings)
    return [ConnectorBackend(settings, discover(settings))]
