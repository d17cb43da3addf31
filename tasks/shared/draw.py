"""The draw: which row goes to which part. Decided by texts, labels and a seed, never by row numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.shared.allotment import TO_DEV, Counts, allot
from tasks.shared.classes.classes import Classes
from tasks.shared.dataset import NO_LABEL
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.recipe_data import Data
from tasks.shared.scan import Scan

DROPPED, GOLD, DEV, TRANSFER, TEST = range(5)
_SHOWN_CLASSES = 5
_TEST_SEED = 2**32
"""Of the draw of test: none that a recipe can have, so that another draw of labels is measured on the same rows."""


@dataclass(frozen=True)
class Draw:
    """Where each row of train and then of the unlabelled sources goes (`GOLD` ...), [rows], and what to warn of."""

    places: NDArray[np.uint8]
    warnings: list[str] = field(default_factory=list)


def draw_parts(data: Data, classes: Classes, train: Scan, unlabelled: Scan, held_out: Mapping[str, Scan]) -> Draw:
    """Chooses by a hash of (seed, text), or of the group where it is of one, so that new rows hardly move the choice.

    Each text counts once, with the first label it has; texts of the parts held out (dev, test, perhaps gate and further
    tests) and of their groups are left out of everything else. With `test_share` a test is drawn before all others, in
    an order of its own. In each class the rows that come first in the hash's order are dev, the next ones gold, the
    rest transfer; groups stay whole.
    """
    keys = np.concatenate([train.keys, unlabelled.keys])
    groups = keys if data.group is None else np.concatenate([train.groups, unlabelled.groups])
    labels = np.full(len(keys), NO_LABEL, np.int32)
    to_number = np.array([classes.number(name) for name in train.names] + [NO_LABEL], np.int32)
    labels[: len(train.labels)] = to_number[np.where(train.labels == NO_LABEL, -1, train.labels)]
    usable, warnings = _usable(keys, labels, held_out)
    if data.group is not None:
        theirs = {part: other.groups for part, other in held_out.items()}
        warnings += _without(usable, groups, theirs, "of groups that PART has")
    for part, rows_of_part in held_out.items():
        warnings += _repeats(part, rows_of_part, classes)
    warnings += _unfair(held_out, data.group is not None)
    empty = train.empty + unlabelled.empty + sum(part.empty for part in held_out.values())
    if empty:
        warnings.append(f"{empty:,} rows without a text were left out")
    for number, name in enumerate(classes.names):
        if not (usable & (labels == number)).any():
            its = "the texts it has" if data.group is None else "the texts it has, or their groups,"
            why = f"; {its} are in {' or '.join(held_out)} too" if (labels == number).any() else ""
            raise StillhouseError(f"data.train: class {brief(name)} has no usable row left to learn from{why}")
    test = np.zeros(len(keys), np.bool_)
    if data.test_share:
        test, told = _draw_test(data, data.test_share, classes, groups, labels, usable)
        warnings += told
    places, told = _deal(data, classes, groups, labels, usable)
    places[test] = TEST
    warnings += told
    if not data.dev and not (places == DEV).any():
        whole = "" if data.group is None else ", of too few groups that data.group keeps whole,"
        raise StillhouseError(
            f"data.train: too few gold labels{whole} to spare {100 * data.dev_share:g}% for dev; "
            "name a file in data.dev"
        )
    return Draw(places, warnings)


def _draw_test(
    data: Data,
    share: float,
    classes: Classes,
    groups: NDArray[np.bytes_],
    labels: NDArray[np.int32],
    usable: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows are test, and what to say of it; `usable` loses them and the others of their groups, in place."""
    rows = np.flatnonzero(usable & (labels != NO_LABEL))
    there = dict(enumerate(np.bincount(labels[rows], minlength=len(classes.names)).tolist()))
    wanted = {number: round(count * share) for number, count in there.items()}
    test = np.zeros(len(labels), np.bool_)
    test[rows] = allot(groups[rows], labels[rows], wanted, there, _TEST_SEED) == TO_DEV
    if not test.any():
        whole = "" if data.group is None else ", of too few groups that data.group keeps whole,"
        raise StillhouseError(
            f"data.train: too few gold labels{whole} to spare {100 * share:g}% for test; name a file in data.test"
        )
    usable &= ~test
    warnings = _without(usable, groups, {"test": groups[test]}, "of groups that PART has")
    if data.group is not None:
        warnings += _off(classes, labels, "test", test, wanted)
    lacking = [brief(name) for number, name in enumerate(classes.names) if not (test & (labels == number)).any()]
    if lacking:
        more = f" and {len(lacking) - _SHOWN_CLASSES} more" if len(lacking) > _SHOWN_CLASSES else ""
        shown = ", ".join(lacking[:_SHOWN_CLASSES])
        warnings.append(f"test has no row of class {shown}{more}: too few of data.train to spare {100 * share:g}%")
    return test, warnings


def _deal(
    data: Data,
    classes: Classes,
    groups: NDArray[np.bytes_],
    labels: NDArray[np.int32],
    usable: NDArray[np.bool_],
) -> tuple[NDArray[np.uint8], list[str]]:
    """Where each row goes, and what to say of it."""
    warnings = []
    rows = np.flatnonzero(usable & (labels != NO_LABEL))
    there = np.bincount(labels[rows], minlength=len(classes.names)).tolist()
    kept = {number: min(count, data.labels_per_class or count) for number, count in enumerate(there)}
    dev = {number: 0 if data.dev else round(count * data.dev_share) for number, count in kept.items()}
    places = np.where(usable, TRANSFER, DROPPED).astype(np.uint8)
    places[rows] = np.array([TRANSFER, DEV, GOLD], np.uint8)[allot(groups[rows], labels[rows], dev, kept, data.seed)]
    for number, name in enumerate(classes.names):
        if data.labels_per_class and kept[number] < data.labels_per_class:
            warnings.append(f"class {brief(name)} has {kept[number]} gold labels, fewer than {data.labels_per_class}")
    if data.group is not None:
        of_dev = (places == TRANSFER) & np.isin(groups, groups[places == DEV])
        if of_dev.any():
            count = f"{int(of_dev.sum()):,} texts of train or unlabelled"
            warnings.append(f"{count} are of groups that went to dev; learning leaves them out")
            places[of_dev] = DROPPED
        warnings += _off(classes, labels, "dev", places == DEV, dev)
        warnings += _off(classes, labels, "dev and gold together", (places == DEV) | (places == GOLD), kept)
    return places, warnings


def _off(
    classes: Classes, labels: NDArray[np.int32], what: str, chosen: NDArray[np.bool_], wanted: Counts
) -> list[str]:
    """What came of whole groups where it is not what was asked for: the chosen rows, [rows], and what they are."""
    had = np.bincount(labels[chosen], minlength=len(wanted)).tolist()
    other = [number for number in wanted if had[number] != wanted[number]]
    shown = [
        f"{had[number]:,} of class {brief(classes.names[number])} instead of {wanted[number]:,}" for number in other
    ]
    more = f" and {len(other) - _SHOWN_CLASSES} more classes that differ" if len(other) > _SHOWN_CLASSES else ""
    return [f"groups stay whole: {what} has {', '.join(shown[:_SHOWN_CLASSES])}{more}"] if other else []


def _without(
    usable: NDArray[np.bool_], own: NDArray[np.bytes_], theirs: Mapping[str, NDArray[np.bytes_]], said: str
) -> list[str]:
    """Takes rows whose key, of the text or the group, parts held out have too from those to use; says how many.

    Args:
        usable: changed in place, [rows].
        own: key of each row, [rows].
        theirs: keys of each part that is held out, by its name.
        said: of such texts, `PART` in the place of the part's name.
    """
    warnings = []
    for part, keys in theirs.items():
        shared = usable & np.isin(own, keys)
        if shared.any():
            count = f"{int(shared.sum()):,} texts of train or unlabelled"
            warnings.append(f"{count} are {said.replace('PART', part)} too; learning leaves them out")
            usable &= ~shared
    return warnings


def _unfair(held_out: Mapping[str, Scan], grouped: bool) -> list[str]:
    """Warnings about parts that something is chosen on, and that share texts or groups with others."""
    warnings = []
    for chosen_on in ("dev", "gate"):
        for other in held_out:
            if chosen_on not in held_out or other in ("dev", chosen_on):
                continue
            ours, theirs = held_out[chosen_on], held_out[other]
            both = int(np.isin(ours.keys, theirs.keys).sum())
            seen = f"so what is chosen on {chosen_on} has seen a part of {other}"
            if both:
                warnings.append(f"{both:,} texts of {chosen_on} are in {other} too, {seen}")
            of_groups = int(np.isin(ours.groups, theirs.groups).sum()) if grouped else 0
            if of_groups:
                warnings.append(f"{of_groups:,} rows of {chosen_on} are of groups that {other} has too, {seen}")
    return warnings


def _usable(
    keys: NDArray[np.bytes_], labels: NDArray[np.int32], held_out: Mapping[str, Scan]
) -> tuple[NDArray[np.bool_], list[str]]:
    """The rows to use: one a text (a labelled one if there is one), none that is in a part held out."""
    warnings = []
    # A stable sort with labelled rows first: of equal texts the first labelled row comes first.
    labelled_first = np.argsort(labels == NO_LABEL, kind="stable")
    _, first, inverse = np.unique(keys[labelled_first], return_index=True, return_inverse=True)
    usable = np.zeros(len(keys), np.bool_)
    usable[labelled_first[first]] = True
    kept_label = labels[labelled_first[first]][inverse]
    own_label = labels[labelled_first]
    several = len(np.unique(inverse[(own_label != NO_LABEL) & (own_label != kept_label)]))
    if several:
        warnings.append(f"{several:,} texts have several gold labels; the first one counts")
    if len(keys) > len(first):
        warnings.append(f"{len(keys) - len(first):,} repeated texts count once")
    warnings += _without(usable, keys, {part: other.keys for part, other in held_out.items()}, "in PART")
    return usable, warnings


def _repeats(part: str, held_out: Scan, classes: Classes) -> list[str]:
    """Warnings about texts that a part to be judged on holds more than once."""
    if not len(held_out.keys):
        return []
    warnings = []
    distinct, inverse = np.unique(held_out.keys, return_inverse=True)
    repeated = len(held_out.keys) - len(distinct)
    if repeated:
        surer = "" if part in ("dev", "gate") else ", but intervals take all of one text for one example"
        warnings.append(f"{repeated:,} rows of {part} repeat a text; each row counts{surer}")
    if held_out.groups is not held_out.keys:
        pairs = np.unique(np.stack([inverse, np.unique(held_out.groups, return_inverse=True)[1]]), axis=1)[0]
        several = int((np.bincount(pairs) > 1).sum())
        if several:
            warnings.append(f"{several:,} texts of {part} are in several groups, which count as one group")
    known = np.array([classes.number(name) for name in held_out.names] + [NO_LABEL], np.int64)
    numbers = known[np.where(held_out.labels == NO_LABEL, -1, held_out.labels)]
    kinds = np.unique(np.stack([inverse, numbers]), axis=1)[0]
    several = int((np.bincount(kinds) > 1).sum())
    if several:
        warnings.append(f"{several:,} texts of {part} have several gold labels; no model can get all of them right")
    return warnings
