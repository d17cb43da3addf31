"""What `predict` writes for programs: JSON lines, or the input's table with the predicted class beside it."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO, TypeVar

from flows.table_files import TABLES, Columns, Kinds, table_file, whole_file
from tasks.shared.errors import StillhouseError, brief, brief_path, one_line

LINES = (".jsonl", ".ndjson")
PREDICTED, PROBABILITY = "predicted", "probability"
"""The columns that a table gets; those of the second class and further ones end in a number."""
_ROWS_AT_ONCE = 1024

# Control characters beyond ASCII's, which JSON escapes itself, line ends of Unicode, and marks of writing direction.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

T = TypeVar("T")


class Answer(NamedTuple):
    """What a student says of a row.

    Attributes:
        text: as it was read.
        cells: the row by column, the text among them.
        scores: probabilities by class, all or the best; none for an empty text.
    """

    text: str
    cells: Mapping[str, object]
    scores: Mapping[str, float]


def best(scores: Mapping[str, float], count: int) -> Mapping[str, float]:
    """The `count` most probable classes, the best first."""
    return dict(sorted(scores.items(), key=lambda entry: -entry[1])[:count])


def check_output(output: Path) -> None:
    """Raises StillhouseError where a file's ending names no format; devices and pipes get JSON lines."""
    try:
        output.resolve().exists()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, links in a circle
        why = getattr(error, "strerror", None) or one_line(error)
        raise StillhouseError(f"--output {brief_path(output)} can be no file: {why}") from None
    known = (*LINES, *TABLES)
    if output.suffix.lower() not in known and (output.is_file() or not output.exists()):
        raise StillhouseError(f"--output {brief_path(output)}: the name must end in one of {', '.join(known)}")


def write_answers(output: Path | None, answers: Iterable[Answer], classes: int, kinds: Kinds) -> None:
    """Writes answers to a file that appears whole or not at all, or to standard output as JSON lines.

    Args:
        output: the file, or None.
        answers: in order.
        classes: how many classes of each answer a table shows.
        kinds: types of the input's columns, as far as they are known.
    """
    if output and output.suffix.lower() in TABLES:
        with table_file(output, {**kinds, **_own_kinds(classes)}) as write:
            for chunk in _chunks_of(answers, classes):
                write(chunk)
        return
    with _lines(output) as file:
        for text, _, scores in answers:
            label = max(scores, key=lambda name: scores[name]) if scores else None
            file.write(json_line({"text": text, "label": label, "probabilities": scores}))


@contextmanager
def _lines(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with whole_file(output) as file, file.open("w", encoding="utf-8") as stream:
        yield stream


def json_line(value: object) -> str:
    """A value as a line of JSON that breaks no line and steers no terminal, whatever texts and names are in it."""
    return _STEERING.sub(lambda found: json.dumps(found.group())[1:-1], json.dumps(value, ensure_ascii=False)) + "\n"


def _chunks_of(answers: Iterable[Answer], classes: int) -> Iterator[Columns]:
    """The table that answers make, a chunk at a time; its columns are those of the first."""
    ours = [name for names in _names(classes) for name in names]
    theirs: list[str] = []
    for chunk in chunks(answers, _ROWS_AT_ONCE):
        found = list(dict.fromkeys(name for answer in chunk for name in answer.cells))
        theirs = theirs or _without_clash(found, ours)
        new = [name for name in found if name not in theirs]
        if new:
            what = f"a row has a column {brief(new[0])} that the first {_ROWS_AT_ONCE:,} rows lack"
            raise StillhouseError(f"{what}; write .jsonl instead")
        columns: dict[str, list[object]] = {name: [answer.cells.get(name) for answer in chunk] for name in theirs}
        ranked = [list(best(answer.scores, classes).items()) for answer in chunk]
        for place, (predicted, probability) in enumerate(_names(classes)):
            there = [each[place] if place < len(each) else (None, None) for each in ranked]
            columns[predicted] = [name for name, _ in there]
            columns[probability] = [score for _, score in there]
        yield columns
    if not theirs:
        yield {name: [] for name in ("text", *ours)}


def _names(classes: int) -> list[tuple[str, str]]:
    """The columns of the so many best classes and of their probabilities."""
    endings = ["", *(f"_{number}" for number in range(2, classes + 1))]
    return [(PREDICTED + ending, PROBABILITY + ending) for ending in endings]


def _own_kinds(classes: int) -> Kinds:
    import pyarrow as pa

    return {
        name: kind for names in _names(classes) for name, kind in zip(names, (pa.string(), pa.float64()), strict=True)
    }


def _without_clash(names: list[str], ours: Sequence[str]) -> list[str]:
    clash = next((name for name in names if name in ours), None)
    if clash is not None:
        raise StillhouseError(f"the input has a column {brief(clash)}, which the output adds; rename it in the input")
    return names


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items in lists of so many; the last may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
