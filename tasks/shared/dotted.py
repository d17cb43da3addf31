"""Nested settings as dotted names, as overrides and MLflow's parameters have them."""

from collections.abc import Mapping
from typing import Any


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Values by dotted name; items of a list of mappings by number."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        inner = dict(enumerate(value)) if isinstance(value, list) and any(isinstance(v, dict) for v in value) else value
        if isinstance(inner, Mapping):
            found.extend(flatten({str(key): item for key, item in inner.items()}, f"{prefix}{name}."))
        else:
            found.append((f"{prefix}{name}", inner))
    return found
