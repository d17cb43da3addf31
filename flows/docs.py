"""Writes docs/reference.md: the commands' help and the recipe's options, from the code. `make docs` calls it.

`python -m flows.docs --check` only compares.
"""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flows.cli import main
from tasks.shared.recipe import Recipe
from tasks.shared.scorecard import COST, QUALITY, Cost, Quality

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"

_HEAD = """# Reference

Written by `make docs` from the code; a test compares. Edit the code, not this page.
"""

_SCORECARD = """## Scorecard

Every evaluated model has a folder with these two files, next to its predictions in Parquet (`predictions-test`,
`predictions-dev`, `noise`). A file of another version is refused.
"""


def reference() -> str:
    """The page."""
    parts = [_HEAD, "## Commands\n", *_commands(), "## Recipe\n", *_options(), _SCORECARD, *_cards()]
    return "\n".join(parts).rstrip() + "\n"


def _commands() -> Iterator[str]:
    yield _help(main, "stillhouse")
    yield from _commands_of(main, "stillhouse")


def _commands_of(group: click.Group, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        yield f"### `{path} {name}`\n"
        yield _help(command, f"{path} {name}")
        if isinstance(command, click.Group):
            yield from _commands_of(command, f"{path} {name}")


def _help(command: click.Command, path: str) -> str:
    names = main.context_settings["help_option_names"]
    context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100, help_option_names=names)
    return f"```text\n{command.get_help(context)}\n```\n"


def _cards() -> Iterator[str]:
    for file, card in ((QUALITY, Quality), (COST, Cost)):
        told = set[type[BaseModel]]()
        for _, model, prefix in _sections(card, ""):
            if model in told:
                continue
            told.add(model)
            yield f"### `{file}`\n" if model is card else f"#### `{prefix.rstrip('.')}`\n"
            yield (model.__doc__ or "").strip().partition("\n")[0] + "\n"
            yield "| key | type | meaning |\n|---|---|---|"
            for name, field in model.model_fields.items():
                yield f"| `{name}` | {_type(field)} | {field.description or ''} |"
            yield ""


def _options() -> Iterator[str]:
    for title, model, prefix in _sections(Recipe, ""):
        yield f"### {title}\n"
        yield (model.__doc__ or "").strip().partition("\n")[0] + "\n"
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        for name, field in model.model_fields.items():
            if not list(_models_in(field.annotation)) or _keyed(field.annotation):
                yield f"| `{prefix}{name}` | {_type(field)} | {_default(field)} | {field.description or ''} |"
        yield ""


def _sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    yield (f"`{prefix.rstrip('.')}`" if prefix else "Top level"), model, prefix
    for name, field in model.model_fields.items():
        for inner in _models_in(field.annotation):
            position = ".0" if get_origin(field.annotation) is list else ""
            position += ".PATH" if _keyed(field.annotation) else ""
            yield from _sections(inner, f"{prefix}{name}{position}.")


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _keyed(annotation: object) -> bool:
    """Whether it holds a mapping, whose keys are the person's own."""
    return get_origin(annotation) is dict or any(_keyed(inner) for inner in get_args(annotation))


def _type(field: FieldInfo) -> str:
    limits = [_limit(item) for item in field.metadata]
    return ", ".join([_name(field.annotation), *(limit for limit in limits if limit)])


def _limit(item: object) -> str:
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    bounds = [(sign, getattr(item, name)) for name, sign in signs if hasattr(item, name)]
    return ", ".join(f"{sign} {bound if isinstance(bound, int) else f'{bound:g}'}" for sign, bound in bounds)


def _name(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_name(inner) for inner in get_args(annotation) if inner is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a part, below"
    if get_origin(annotation) is list:
        return f"list of {_name(get_args(annotation)[0])}"
    if get_origin(annotation) is Annotated:
        return _name(get_args(annotation)[0])
    if get_origin(annotation) is dict:
        return f"{_name(get_args(annotation)[1])} by name"
    plain = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Any": "value"}
    name = str(getattr(annotation, "__name__", annotation))
    return plain.get(name, name)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == reference() else "docs/reference.md is old: run make docs")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")
