"""Runs container tasks as pods: one pod for each attempt."""

from lacewing import Setup, hookimpl

from lacewing_container.backend import ContainerBackend
from lacewing_container.settings import ContainerSettings

__all__ = ["ContainerBackend", "ContainerSettings", "register_backends"]


@hookimpl
def register_backends(setup: Setup) -> list[ContainerBackend]:
    """The one backend of this plugin."""
    return [ContainerBackend(setup.settings("container", ContainerSettings))]
