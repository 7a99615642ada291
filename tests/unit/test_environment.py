"""Environments and the image names that stand for them."""

import os
import sys
from pathlib import Path

import pytest
from lacewing.demo.environment import ImageMap, callers_environment, register
from lacewing.errors import ConfigError


def environment(folder: Path, *programs: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    for program in ("python", *programs):
        (folder / "bin" / program).touch(mode=0o755)
    return folder


def test_the_named_environment_wins_then_the_active_one_then_the_first_in_path(tmp_path: Path):
    named, active, first = (environment(tmp_path / name, "pyflyte") for name in ("a", "b", "c"))
    path = f"{tmp_path}/none:{first}/bin"
    assert callers_environment(named, {"VIRTUAL_ENV": str(active)}) == named
    assert callers_environment(named / "bin/python", {}) == named
    assert callers_environment(None, {"VIRTUAL_ENV": str(active), "PATH": path}) == active
    assert callers_environment(None, {"PATH": path}) == first
    assert callers_environment(None, {"PATH": f"{tmp_path}/none"}) is None


def test_lacewings_own_environment_needs_no_name(tmp_path: Path):
    assert callers_environment(None, {"PATH": str(Path(sys.executable).parent)}) is None
    assert callers_environment(Path(sys.prefix), {}) is None


def test_an_active_environment_without_flytekit_is_passed_over_and_a_named_one_refused(tmp_path: Path):
    bare = environment(tmp_path / "bare")
    assert callers_environment(None, {"VIRTUAL_ENV": str(bare), "PATH": "/none"}) is None
    with pytest.raises(ConfigError, match="bare has no flytekit; install it: "):
        callers_environment(bare, {})
    with pytest.raises(ConfigError, match="is no Python environment"):
        callers_environment(tmp_path, {})


def test_a_registered_environment_is_in_the_map_of_a_demo_that_runs(tmp_path: Path):
    images = ImageMap(tmp_path, {"mine:*": Path("/one")})
    assert dict(images) == {"mine:*": Path("/one")}
    image = register(tmp_path, Path("/home/u/My Project/.venv"))
    assert image.startswith("lacewing.local/my-project-venv:")
    assert images[image] == Path("/home/u/My Project/.venv")
    assert register(tmp_path, Path("/home/u/My Project/.venv")) == image
    assert register(tmp_path, Path("/elsewhere/My Project/.venv")) != image


def test_the_settings_images_are_read_again_and_a_broken_file_changes_nothing(tmp_path: Path):
    images, file = ImageMap(tmp_path, {}), tmp_path / "lacewing.yaml"
    file.write_text("images: {'a:*': /one}")
    assert dict(images) == {"a:*": Path("/one")}
    file.write_text("images: [")
    os.utime(file, (1, 1))
    assert dict(images) == {"a:*": Path("/one")}
    file.write_text("images: {'a:*': /two}")
    os.utime(file, (2, 2))
    assert dict(images) == {"a:*": Path("/two")}
