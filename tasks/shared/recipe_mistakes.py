"""What is wrong with a recipe, in plain words: the validator's own are for programmers."""

import types
from collections.abc import Mapping
from datetime import date
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tasks.shared.errors import StillhouseError, brief, closest

_WORDS = {
    "missing": "is missing",
    "string_type": "must be text; put it in quotation marks",
    "string_too_short": "must not be empty",
    "string_too_long": "must have {max_length} characters at most",
    "string_unicode": "holds half of a surrogate pair, which is not a character",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of a usual size",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be keys and values",
    "model_type": "must be a section: keys and values",
    "model_attributes_type": "must be a section: keys and values",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "too_short": "needs at least {min_length}, it has {actual_length}",
    "too_long": "takes {max_length} at most, it has {actual_length}",
}
_SAYS_ITSELF = {"missing", "value_error", "string_unicode", "string_too_short", "too_short", "too_long"}
"""Kinds of mistake whose message needs no value."""
_MEMBER = "dict[str,str]"
"""How the validator calls, within a path, the one of several types that may be keys and values."""


def refuse_unknown_keys(model: type[BaseModel], document: Mapping[str, Any], where: str, prefix: str = "") -> None:
    """Refuses a key that no section has; the message names the nearest known one.

    Raises:
        StillhouseError: the first such key.
    """
    for key, value in document.items():
        name = f"{prefix}{key}"
        if key not in model.model_fields:
            raise StillhouseError(f"{where}: unknown key {brief(name)}{closest(str(key), list(model.model_fields))}")
        inner = _section_of(model.model_fields[key].annotation)
        if inner is None:
            continue
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(item, Mapping):
                position = f"{name}.{index}." if isinstance(value, list) else f"{name}."
                refuse_unknown_keys(inner, item, where, position)


def first_mistake(error: ValidationError, model: type[BaseModel]) -> str:
    """Where and what the first mistake is: `student.layers: must be 1 or more, not 0`."""
    first = error.errors()[0]
    kind, context = first["type"], first.get("ctx", {})
    path = ".".join(str(part) for part in first["loc"] if part != _MEMBER)
    said = _WORDS[kind].format_map(_plain(context)) if kind in _WORDS else first["msg"].removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        said = f"does not fit ({_description(model, first['loc'])})"
    if kind == "dict_type":  # of a setting that may be a word instead
        others = [other for other in error.errors()[1:] if other["loc"][:-1] == first["loc"][:-1]]
        said = " or ".join([said, *(one["ctx"]["expected"] for one in others if one["type"] == "literal_error")])
    what, semicolon, advice = said.partition("; ")
    given = "" if kind in _SAYS_ITSELF else f", not {_as_written(first['input'])}"
    return f"{path + ': ' if path else ''}{what[:1].lower()}{what[1:]}{given}{semicolon}{advice}"


def _as_written(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value) if isinstance(value, date) else brief(value)


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """Limits as a person writes them: 1, not 1.0."""
    return {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}


def _description(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    """What the docs say of the field at a path."""
    field = None
    inner: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, str) and inner is not None:
            field = inner.model_fields[part]
            inner = _section_of(field.annotation)
    return (field.description or "").rstrip(".") if field else ""


def _section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, Union, types.UnionType):
        return next((found for inner in get_args(annotation) if (found := _section_of(inner))), None)
    return None
