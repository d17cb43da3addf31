"""The recipes that come with this package, and finding one by its name or path."""

from contextlib import suppress
from importlib import resources
from pathlib import Path

from tasks.shared.errors import StillhouseError, brief, brief_path, closest


def shipped() -> list[Path]:
    """Their files, by name."""
    folder = Path(str(resources.files("flows") / "recipes"))
    return sorted(folder.glob("*.yaml"))


def find_recipe(name: str) -> Path:
    """The file of a recipe, by a shipped recipe's name or a path; raises StillhouseError if there is none."""
    known = {file.stem: file for file in shipped()}
    if name in known:
        return known[name]
    path = Path(name)
    with suppress(OSError, ValueError):  # a name that no file can have
        if path.is_file():
            return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise StillhouseError(f"no recipe file {brief_path(path.absolute())}")
    raise StillhouseError(f"no recipe {brief(name)}{closest(name, list(known))}; a path ends in .yaml")
