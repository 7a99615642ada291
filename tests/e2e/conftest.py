"""A demo of one's own for a module of tests; its home is thrown away."""

from collections.abc import Iterator

import pytest
from machine import Machine


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A demo that runs while the module's tests do."""
    folder = tmp_path_factory.mktemp("machine")
    running = Machine(folder / "home", folder)
    running.start()
    yield running
    running.end()
    running.channel.close()
