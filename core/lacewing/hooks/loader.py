"""Loads the plugins that the configuration names, in that order, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from lacewing.errors import ConfigError
from lacewing.hooks import spec
from lacewing.hooks.registry import Registry, build_registry
from lacewing.hooks.setup import Setup

GROUP = "lacewing"


@dataclass(frozen=True)
class Installed:
    """A plugin that could be enabled."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint


def installed() -> dict[str, Installed]:
    """Every installed plugin by name; none of them is imported."""
    found = {}
    for point in entry_points(group=GROUP):
        distribution = point.dist
        found[point.name] = Installed(
            point.name,
            distribution.name if distribution else "?",
            distribution.version if distribution else "?",
            point,
        )
    return found


def load_plugins(
    enabled: Sequence[str], sections: Mapping[str, Mapping[str, Any]], fallback: str | None
) -> Registry:
    """Import the enabled plugins and ask them what they bring.

    Raises ConfigError for an unknown name, a broken plugin, or a section of settings that nobody claims.
    """
    manager = pluggy.PluginManager("lacewing")
    manager.add_hookspecs(spec)
    available = installed()
    # pluggy calls the last registered first; reversed, the list reads in the order of calls.
    for name in reversed(enabled):
        if name not in available:
            raise ConfigError(f"plugin {name!r} is not installed; installed are {sorted(available)}")
        try:
            manager.register(available[name].entry_point.load(), name)
        except ImportError as error:
            raise ConfigError(f"plugin {name!r} cannot be imported: {error}") from error
    manager.check_pending()
    setup = Setup(sections)
    backends = [b for found in manager.hook.register_backends(setup=setup) for b in found]
    if unclaimed := setup.unclaimed():
        raise ConfigError(f"plugins.settings has sections that no enabled plugin asked for: {unclaimed}")
    return build_registry(backends, fallback)
