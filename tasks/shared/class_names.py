"""Which logit of a classifier belongs to which class of the data: matched by name, never by position."""

from collections.abc import Mapping, Sequence


def columns_by_name(own: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Which of a model's classes is each of `classes`, whatever the order and case.

    A model that names its classes LABEL_0, LABEL_1 ... fits classes that are themselves numbers.

    Raises:
        ValueError: the model's classes are not the same ones.
    """
    for spell in (str, str.casefold, lambda name: name.removeprefix("LABEL_")):
        places = {spell(name): index for index, name in enumerate(own)}
        columns = [places.get(spell(name), -1) for name in classes]
        if sorted(columns) == list(range(len(own))):
            return columns
    raise ValueError(f"its classes are {_some(own)}, the data's are {_some(classes)}")


def renamed(own: Sequence[str], names: Mapping[str, str] | None) -> list[str]:
    """A model's classes as the recipe calls them.

    Raises:
        ValueError: the recipe names a class that the model has not.
    """
    unknown = [name for name in names or {} if name not in own]
    if unknown:
        raise ValueError(f"classes names {_some(unknown)}, the model's are {_some(own)}")
    return [(names or {}).get(name, name) for name in own]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} ... ({len(names)})"
