"""What all plugins amounted to: an immutable value, built at start and passed in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lacewing.errors import ConfigError, TaskError
from lacewing.ports import Backend


@dataclass(frozen=True)
class Registry:
    """The backends by task type. A type that none claims goes to `fallback`."""

    by_type: Mapping[str, Backend]
    fallback: Backend | None = None

    def backend(self, task_type: str) -> Backend:
        """The backend that runs the type; raises TaskError where there is none."""
        backend = self.by_type.get(task_type, self.fallback)
        if backend is None:
            raise TaskError(
                f"no enabled plugin runs tasks of type {task_type!r}; see `lacewing plugins`",
                code="UnsupportedTaskType",
            )
        return backend

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Every backend once, in order of its name."""
        found = {backend.name: backend for backend in self.by_type.values()}
        if self.fallback is not None:
            found[self.fallback.name] = self.fallback
        return tuple(found[name] for name in sorted(found))


def build_registry(backends: Iterable[Backend], fallback: str | None) -> Registry:
    """The registry of `backends`. Raises ConfigError for two claimants, or for an unknown fallback."""
    by_type: dict[str, Backend] = {}
    by_name: dict[str, Backend] = {}
    for backend in backends:
        by_name[backend.name] = backend
        for task_type in backend.task_types:
            other = by_type.setdefault(task_type, backend)
            if other is not backend:
                raise ConfigError(
                    f"plugins {other.name!r} and {backend.name!r} both claim task type {task_type!r};"
                    " enable only one of them"
                )
    if fallback is not None and fallback not in by_name:
        raise ConfigError(f"plugins.fallback is {fallback!r}, but the backends are {sorted(by_name)}")
    return Registry(by_type, by_name[fallback] if fallback else None)
