"""Reading a recipe: from a YAML file or by the name of a shipped one, with `--set` overrides."""

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.recipe import Recipe

Plain = Any
"""Data as YAML gives it."""


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
    _refuse_unknown_keys(Recipe, document, where)
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] in ("missing", "value_error") else f", not {_brief(first['input'])}"
        raise StillhouseError(f"{where}: {path + ': ' if path else ''}{_lower_first(message)}{given}") from None


def recipe_to_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as YAML that `load_recipe` reads back equal."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StillhouseError(f"cannot read recipe {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StillhouseError(f"recipe {path} is not UTF-8 text") from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date or number that is none: 2026-02-30
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or one_line(error)
        raise StillhouseError(f"recipe {path}{line}: not valid YAML: {problem}") from None
    if not isinstance(document, dict):
        raise StillhouseError(f"recipe {path} is empty or not a mapping of keys; `stillhouse recipes` lists examples")
    return document


def _apply(document: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise StillhouseError(f"--set {override!r}: write it as PATH=VALUE, for example --set student.hidden_size=128")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise StillhouseError(f"--set {path}: the value {text!r} is not valid YAML") from None
    defaults: Plain = _defaults()
    node: Plain = document
    *parents, last = path.split(".")
    for part in parents:
        defaults = _child(defaults, part)
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = defaults if isinstance(defaults, (dict, list)) else {}
        node = _enter(node, part, path)
    if isinstance(node, list):
        _enter(node, last, path)
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise StillhouseError(f"--set {path}: {'.'.join(parents)} is a plain value and has no {last!r}")


def _enter(node: Plain, part: str, path: str) -> Plain:
    if isinstance(node, dict):
        return node[part]
    if isinstance(node, list):
        if not part.isdecimal() or int(part) >= len(node):
            items = f"items 0 to {len(node) - 1}" if node else "items, it has none"
            raise StillhouseError(f"--set {path}: {part!r} is not one of the list's {items}")
        return node[int(part)]
    raise StillhouseError(f"--set {path}: the part before {part!r} is a plain value")


def _child(defaults: Plain, part: str) -> Plain:
    if isinstance(defaults, dict):
        return defaults.get(part)
    if isinstance(defaults, list) and part.isdecimal() and int(part) < len(defaults):
        return defaults[int(part)]
    return None


def _defaults() -> dict[str, Any]:
    """The lists of the recipe that have a default, as plain data that an override may change a part of."""
    fields = Recipe.model_fields
    lists = {name: fields[name].get_default(call_default_factory=True) for name in ("teachers", "objective", "seeds")}
    return {
        name: [item.model_dump(exclude_unset=True) if isinstance(item, BaseModel) else item for item in items]
        for name, items in lists.items()
    }


def _refuse_unknown_keys(model: type[BaseModel], document: Mapping[str, Any], where: str, prefix: str = "") -> None:
    for key, value in document.items():
        name = f"{prefix}{key}"
        if key not in model.model_fields:
            raise StillhouseError(f"{where}: unknown key {_brief(name)}{closest(str(key), list(model.model_fields))}")
        inner = _section_of(model.model_fields[key].annotation)
        if inner is None:
            continue
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(item, Mapping):
                position = f"{name}.{index}." if isinstance(value, list) else f"{name}."
                _refuse_unknown_keys(inner, item, where, position)


def _section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, Union, types.UnionType):
        return next((found for inner in get_args(annotation) if (found := _section_of(inner))), None)
    return None


def closest(word: str, known: list[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _brief(value: object) -> str:
    text = ascii(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
