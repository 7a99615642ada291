"""Runs container tasks as pods: one pod for each attempt."""

from lacewing import Setup, hookimpl

from lacewing_container.backend import ContainerBackend

__all__ = ["ContainerBackend", "register_backends"]


@hookimpl
def register_backends(setup: Setup) -> list[ContainerBackend]:
    """The one backend of this plugin."""
    return [ContainerBackend()]
