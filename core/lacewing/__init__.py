"""Lacewing: a workflow control plane that Flyte 1 clients can talk to unchanged.

These names are all that a plugin imports, besides `lacewing.pods` and `lacewing.testing`.
"""

from lacewing.backends.manifest import ManifestBackend
from lacewing.backends.remote import RemoteBackend
from lacewing.errors import ConfigError, LacewingError, TaskError, TransientError
from lacewing.hooks.setup import Setup
from lacewing.hooks.spec import hookimpl
from lacewing.model.phases import ErrorKind, TaskPhase
from lacewing.model.task import POD, Handle, Link, Manifest, Observation, ResourceKind, TaskContext
from lacewing.ports import Backend, Cluster

__version__ = "0.1.0"

__all__ = [
    "POD",
    "Backend",
    "Cluster",
    "ConfigError",
    "ErrorKind",
    "Handle",
    "LacewingError",
    "Link",
    "Manifest",
    "ManifestBackend",
    "Observation",
    "RemoteBackend",
    "ResourceKind",
    "Setup",
    "TaskContext",
    "TaskError",
    "TaskPhase",
    "TransientError",
    "__version__",
    "hookimpl",
]
