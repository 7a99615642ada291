"""The habits of the house that a machine can check."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "core/lacewing").rglob("*.py")) + sorted(ROOT.glob("plugins/*/lacewing_*/**/*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def test_the_house_has_sources():
    assert len(SOURCES) > 30


def test_no_module_is_longer_than_500_lines():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := p.read_text().count("\n")) > 500}
    assert not long


def test_no_function_is_longer_than_60_lines():
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert not long


def test_every_module_says_why_it_exists():
    assert not [str(p.relative_to(ROOT)) for p in SOURCES if not ast.get_docstring(parsed(p))]


def test_nothing_is_imported_inside_a_function_of_the_core():
    allowed = {"cli.py", "forkserver.py"}
    inner = [
        f"{path.relative_to(ROOT)}:{inside.lineno}"
        for path in SOURCES
        if path.name not in allowed
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inside in ast.walk(node)
        if isinstance(inside, (ast.Import, ast.ImportFrom))
    ]
    assert not inner


def test_the_folders_of_distributions_are_never_packages():
    for folder in ("core", "plugins", *(str(p) for p in (ROOT / "plugins").iterdir())):
        assert not (ROOT / folder / "__init__.py").exists(), folder


def test_no_test_patches_or_skips():
    words = ("mock." + "patch", "pytest." + "skip", "mark." + "skip", "x" + "fail")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for word in words
        if word in path.read_text()
    ]
    assert not found


def test_the_project_speaks_only_of_itself():
    words = ("/" + "work/", "../" + "shared", "/" + "root/.pyenv")
    texts = [p for kind in ("*.py", "*.md", "*.toml") for p in ROOT.rglob(kind)]
    mine = [p for p in texts if not {".venv", ".uv"} & set(p.relative_to(ROOT).parts)]
    found = [f"{p.relative_to(ROOT)}: {word}" for p in mine for word in words if word in p.read_text()]
    assert not found
