"""The settings, and the page that lists them."""

import json
from pathlib import Path

import pytest
from lacewing import ConfigError, Setup
from lacewing_container import ContainerSettings, register_backends

README = Path(__file__).parents[1] / "README.md"


def row(name: str) -> str:
    """A setting's line in the table of the README."""
    field = ContainerSettings.model_fields[name]
    default = json.dumps(field.default)
    return (
        f"| `{name}` | {f'`{default}`' if field.default not in ('', [], {}) else ''} | {field.description} |"
    )


def test_the_readme_lists_every_setting_with_its_description():
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `")]
    assert rows == [row(name) for name in sorted(ContainerSettings.model_fields)]


def test_the_section_of_the_configuration_reaches_the_backend():
    (backend,) = register_backends(Setup({"container": {"scheduler_name": "ours"}}))
    assert backend.settings.scheduler_name == "ours"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"retry_memory_factr": 2}, "retry_memory_factr"),
        ({"retry_memory_factor": 0.5}, "retry_memory_factor"),
        ({"retry_memory_limit": "lots"}, "'lots' is not a quantity"),
        ({"log_templates": [{"name": "x"}]}, "uris"),
    ],
)
def test_a_wrong_setting_is_named_at_start(section, words):
    with pytest.raises(ConfigError, match=words):
        register_backends(Setup({"container": section}))
