"""Reading a recipe: from a YAML file or by the name of a shipped one, with `--set` overrides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.plain_yaml import LONGEST, Plain, plain_yaml
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_mistakes import first_mistake, refuse_unknown_keys

GIVEN = "given.yaml"
"""In a run's folder, beside the whole recipe: the one that was given. Changed, it has the rest derived anew."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and validates a recipe.

    Args:
        path: the YAML file.
        overrides: `dotted.path=value` texts; values are YAML, list items are numbers.

    Raises:
        StillhouseError: the file cannot be read, is not YAML, or is not a recipe; one line says where and why.
    """
    document = _read_yaml(path)
    for override in overrides:
        _apply(document, override)
    return validate_recipe(document, path.name)


def validate_recipe(document: Mapping[str, Any], where: str) -> Recipe:
    """Builds the recipe from plain data; `where` names it in error messages.

    Raises:
        StillhouseError: unknown key (with the nearest known one), wrong type, value out of range.
    """
    refuse_unknown_keys(Recipe, document, where)
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise StillhouseError(f"{where}: {first_mistake(error, Recipe)}") from None


def with_changes(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with other values at some dotted paths.

    Raises:
        StillhouseError: no such recipe can be; the message names the changes.
    """
    document = recipe.model_dump(mode="json")
    where = ", ".join(f"{path}={value}" for path, value in changes.items())
    for path, value in changes.items():
        _set(document, path, value, path)
    return validate_recipe(document, where)


def recipe_to_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as YAML that `load_recipe` reads back equal."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    where = f"recipe {brief_path(path)}"
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)  # what is longer is refused, and never held in memory
    except OSError as error:
        raise StillhouseError(f"cannot read {where}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StillhouseError(f"{where} is not UTF-8 text") from None
    document = plain_yaml(text, where)
    if not isinstance(document, dict):
        raise StillhouseError(f"{where} is empty or not a mapping of keys; `stillhouse recipes` lists examples")
    return document


def _apply(document: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise StillhouseError(
            f"--set {brief(override)}: write it as PATH=VALUE, for example --set student.hidden_size=128"
        )
    _set(document, path, plain_yaml(text, f"--set {path}: the value {brief(text)}"), f"--set {path}")


def _set(document: dict[str, Any], path: str, value: Plain, where: str) -> None:
    defaults: Plain = _defaults()
    node: Plain = document
    *parents, last = path.split(".")
    if parents[:1] == ["objective"] and not document.get("objective"):
        raise StillhouseError(
            f"{where}: the objective is derived; write it whole: objective=[{{term: soft, weight: 1}}]"
        )
    for part in parents:
        defaults = _child(defaults, part)
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = defaults if isinstance(defaults, (dict, list)) else {}
        node = _enter(node, part, where)
    if isinstance(node, list):
        _enter(node, last, where)
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise StillhouseError(f"{where}: {'.'.join(parents)} is a plain value and has no {brief(last)}")


def _enter(node: Plain, part: str, where: str) -> Plain:
    if isinstance(node, dict):
        return node[part]
    if isinstance(node, list):
        if not part.isdecimal() or int(part) >= len(node):
            items = f"items 0 to {len(node) - 1}" if node else "items, it has none"
            raise StillhouseError(f"{where}: {brief(part)} is not one of the list's {items}")
        return node[int(part)]
    raise StillhouseError(f"{where}: the part before {brief(part)} is a plain value")


def _child(defaults: Plain, part: str) -> Plain:
    if isinstance(defaults, dict):
        return defaults.get(part)
    if isinstance(defaults, list) and part.isdecimal() and int(part) < len(defaults):
        return defaults[int(part)]
    return None


def _defaults() -> dict[str, Any]:
    """The lists of the recipe that have a default, as plain data that an override may change a part of."""
    fields = Recipe.model_fields
    lists = {name: fields[name].get_default(call_default_factory=True) for name in ("teachers", "seeds")}
    return {
        name: [item.model_dump(exclude_unset=True) if isinstance(item, BaseModel) else item for item in items]
        for name, items in lists.items()
    }
