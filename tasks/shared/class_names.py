"""Which logit of a classifier belongs to which class of the data: matched by name or by dev, never by position."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MEASURE = "measure"
"""In place of the names of a teacher's classes: dev says which is which."""


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


def columns_by_answers(
    own: Sequence[str], classes: Sequence[str], answers: NDArray[np.integer], gold: NDArray[np.integer]
) -> list[int]:
    """Which of a model's classes is each of `classes`: the one-to-one match by which most of its answers are right.

    Args:
        own: the model's classes.
        classes: the data's.
        answers: number of the class that the model names, [rows].
        gold: number of the class that each row has, [rows].

    Raises:
        ValueError: there are more of one than of the other, or by another match as many would be right.
    """
    from scipy.optimize import linear_sum_assignment  # slow to load, and seldom needed

    if len(own) != len(classes):
        raise ValueError(f"its classes are {_some(own)}, the data's are {_some(classes)}: not as many")
    together = np.zeros((len(classes), len(own)), int)
    np.add.at(together, (gold, answers), 1)
    columns: list[int] = linear_sum_assignment(together, maximize=True)[1].tolist()
    # Once more, each pair of that match a little dearer: any other match that is as good is found now.
    size = len(own)
    again = linear_sum_assignment(together * (size + 1) - np.eye(size, dtype=int)[columns], maximize=True)[1].tolist()
    for number, other in enumerate(again):
        if other != columns[number]:
            which = f"{own[columns[number]]} and {own[other]} is {classes[number]}"
            raise ValueError(f"dev does not tell which of {which}: as many would be right either way; name them")
    return columns


def renamed(own: Sequence[str], names: Mapping[str, str] | str | None) -> list[str]:
    """A model's classes as the recipe calls them; as they are where it only wants them measured.

    Raises:
        ValueError: the recipe names a class that the model has not.
    """
    given = names if isinstance(names, Mapping) else {}
    unknown = [name for name in given if name not in own]
    if unknown:
        raise ValueError(f"classes names {_some(unknown)}, the model's are {_some(own)}")
    return [given.get(name, name) for name in own]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} ... ({len(names)})"
