"""What a plugin is given at start: its own section of the configuration, validated."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lacewing.errors import ConfigError

S = TypeVar("S", bound=BaseModel)


class Setup:
    """Hands each plugin its settings, and remembers who asked."""

    def __init__(self, sections: Mapping[str, Mapping[str, Any]]) -> None:
        self._sections = dict(sections)
        self._claimed: set[str] = set()

    def settings(self, name: str, model: type[S]) -> S:
        """The section `plugins.settings.<name>` as `model`; defaults where it is absent."""
        self._claimed.add(name)
        try:
            return model.model_validate(self._sections.get(name, {}))
        except ValidationError as error:
            raise ConfigError(f"plugins.settings.{name}: {error}") from error

    def unclaimed(self) -> list[str]:
        """The sections that no plugin asked for."""
        return sorted(set(self._sections) - self._claimed)
