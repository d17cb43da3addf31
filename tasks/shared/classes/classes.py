"""The classes of the data: which of them a label means, however it is spelt."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from tasks.shared.classes.spelling import MISSING, is_whole, plain, spelt_alike
from tasks.shared.dataset import NO_LABEL
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.texts import normalise

_SHOWN = 5
_MANY_CLASSES = 100
"""From here on, labels of which most have one row only are taken for a column of texts or numbers."""


class Classes:
    """The classes of the data and their numbers.

    A label means the class that is called so; else the one that is the same whole number or Boolean; else, where the
    recipe gives the classes and none of them is a whole number itself, the class at that position.

    Attributes:
        names: in the order of the class numbers.
    """

    def __init__(self, names: Sequence[str], given: bool = False, renamed: Mapping[str, int] | None = None) -> None:
        """Takes the names as they are, but for white space and Unicode form.

        Args:
            names: of the classes, in order.
            given: whether they are the recipe's, and not found in train.
            renamed: the numbers of names that a file's own metadata gives its classes, where the recipe has others.
        """
        self.names = [normalise(name) for name in names]
        self._given = given
        numbers = {name: number for number, name in enumerate(self.names)}
        self._numbers = {**_unambiguous((plain(name), number) for name, number in numbers.items()), **numbers}
        self._numbers = {**(renamed or {}), **self._numbers}
        has_positions = given and not any(map(is_whole, self.names))
        self._positions = {str(number): number for number in range(len(names))} if has_positions else {}
        self._by_case = _unambiguous((name.casefold(), number) for name, number in self._numbers.items())

    def find(self, label: str) -> int | None:
        """Number of the class that a label means; None if it means none."""
        for spelling in (label, plain(label)):
            if spelling in self._numbers:
                return self._numbers[spelling]
        return self._positions.get(plain(label))

    def near(self, label: str) -> int | None:
        """Number of the one class whose name differs in case alone; None if there is none, or several."""
        return self._by_case.get(label.casefold())

    def number(self, label: str | None) -> int:
        """Number of a label as it was read, `NO_LABEL` for none; raises KeyError for what means no class."""
        if label is None or self.is_missing(label):
            return NO_LABEL
        found = self.find(label)
        if found is None:
            raise KeyError(label)
        return found

    def is_missing(self, label: str) -> bool:
        """Whether a label is a word for a missing value, and no class is called so."""
        return label in MISSING and label not in self._numbers

    def by_position(self, label: str) -> bool:
        """Whether a label means a class by its position, not by its name."""
        return label not in self._numbers and plain(label) not in self._numbers and plain(label) in self._positions

    def strange(self, label: str) -> str:
        """What to say of a label that means none of the classes, after the place where it stands."""
        said = f"has label {brief(label)}, not in "
        said += f"data.classes ({shown(self.names)})" if self._given else "train"
        near = self.near(label)
        if near is not None:
            return f"{said}, where class {brief(self.names[near])} differs in case alone; spell both alike"
        if self._given and is_whole(label) and any(map(is_whole, self.names)):
            return f"{said}; classes that are numbers are names, not positions: give it one of them or leave it out"
        if self._given and is_whole(label):
            first = ", ".join(f"{number} is {brief(name)}" for number, name in enumerate(self.names[:2]))
            return f"{said}; labels that are numbers count from 0 ({first}): subtract 1, or leave data.classes out"
        return f"{said}; give it one of the classes or leave it out"


def find_classes(labels: Mapping[str, int], missing: Mapping[str, int], where: str) -> Classes:
    """The labels of train in order: by number where all are numbers, else by name.

    Args:
        labels: as they were read, and how many rows have each.
        missing: words that were read as no label, likewise.
        where: the source of train, for messages.

    Raises:
        StillhouseError: fewer than two classes, or labels that hardly repeat.
    """
    names = spelt_alike(labels)
    if len(names) < 2:
        found = f"one class only, {brief(names[0])}" if names else "no labels"
        more = f", besides {shown(list(missing))}, read as no label" if missing else ""
        advice = "name it in data.classes if that is a class" if missing else "(data.label)"
        raise StillhouseError(
            f"data.train: {where} has {found}{more}; a classifier needs two classes or more"
            f"{'; ' if missing else ' '}{advice}"
        )
    labelled = sum(labels.values())
    if len(names) > _MANY_CLASSES and len(names) > labelled / 2:
        raise StillhouseError(
            f"data.train: {where} has {len(names):,} different labels in {labelled:,} labelled rows, so they "
            "are no classes; set data.label to another column (or name the classes in data.classes)"
        )
    numeric = all(name.removeprefix("-").isdecimal() and len(name) < 20 for name in names)
    return Classes(sorted(names, key=int) if numeric else sorted(names))


def respelt(classes: Classes, labels: Mapping[str, int], where: str) -> list[str]:
    """What to tell of the spellings of train: numbers and Booleans read alike, classes that differ in case alone."""
    told = []
    other = [label for label in labels if classes.names[classes.number(label)] == plain(label) != label]
    if other:
        examples = ", ".join(f"{brief(label)} as {brief(plain(label))}" for label in other[:_SHOWN])
        told.append(f"data.train: {where}: read label {examples}{_more(other)}")
    counts = Counter[str]()
    for label, count in labels.items():
        counts[classes.names[classes.number(label)]] += count
    alike = dict[str, list[str]]()
    for name in classes.names:
        alike.setdefault(plain(name).casefold(), []).append(name)
    for several in [several for several in alike.values() if len(several) > 1][:_SHOWN]:
        each = " and ".join(f"{brief(name)} ({counts[name]:,} rows)" for name in several)
        told.append(f"data.train: {where}: classes {each} are nearly the same name; spell them alike if they are one")
    return told


def renamed_classes(declared: Iterable[Sequence[str]], names: Sequence[str]) -> dict[str, int]:
    """Numbers of the names that files give their own classes, where the recipe gives as many others in their place."""
    known = {normalise(name) for name in names}
    return _unambiguous(
        (name, number)
        for own in declared
        if len(own) == len(names) and not known & set(own)
        for number, name in enumerate(own)
    )


def shown(names: Sequence[str]) -> str:
    """Some names for a message."""
    return ", ".join(brief(name) for name in names[:_SHOWN]) + _more(names)


def _more(names: Collection[str]) -> str:
    return f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""


def _unambiguous(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """What has one number, by name."""
    found = dict[str, set[int]]()
    for name, number in pairs:
        found.setdefault(name, set()).add(number)
    return {name: min(numbers) for name, numbers in found.items() if len(numbers) == 1}
