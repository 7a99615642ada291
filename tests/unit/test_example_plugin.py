"""The third-party package of the docs: built, installed into a clean environment, loaded and tested there."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/lacewing-job"
PROGRAM = """
from lacewing.hooks.loader import installed, load_plugins
registry = load_plugins(["job"], {"job": {"ttl_seconds": 5}}, None)
backend = registry.backend("k8s-job")
print(sorted(installed()), backend.name, backend.settings.ttl_seconds)
"""


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_third_party_plugin_is_built_installed_and_run(tmp_path: Path):
    uv = ROOT / ".uv/bin/uv"
    tool = str(uv) if uv.exists() else "uv"
    run(tool, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", EXAMPLE)
    run(tool, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(tool, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel)
    # The core and its dependencies come from the environment of these tests; the plugin does not.
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(site, "core.pth").write_text(f"{ROOT / 'core'}\n{sysconfig.get_path('purelib')}\n")
    assert "'job'] job 5" in run(python, "-c", PROGRAM).replace("'container', ", "")
    told = run(python, "-m", "pytest", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-c", "/dev/null",
               EXAMPLE / "tests")  # fmt: skip
    assert "7 passed" in told
