"""The rules of the house: imports go flows -> tasks -> models, and importing has no side effects."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"models": {"flows", "tasks", "prefect", "mlflow"}, "tasks": {"flows"}, "flows": set()}
SOURCES = [path for room in FORBIDDEN for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top-level names of the packages that a file imports, lazily or not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert not imported(path) & FORBIDDEN[room]


def test_importing_makes_no_folder_and_no_tracking_uri(tmp_path: Path) -> None:
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if path.stem != "__init__"]
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    left = [path for path in tmp_path.rglob("*") if not {".cache", ".config", ".prefect"} & set(path.parts)]
    assert left == [], "importing left files behind"


def test_an_installation_has_every_room() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = project["tool"]["setuptools"]["packages"]["find"]
    assert found == {"include": [f"{room}*" for room in ("flows", "tasks", "models")]}
    assert FORBIDDEN.keys() == {"flows", "tasks", "models"}
