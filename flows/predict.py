"""Classifying new texts with a student: from the command line, from standard input, from file to file."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError
from rich.console import Console

from flows.console import View, quiet_transformers
from flows.predict_output import Answer, best, check_output, chunks, write_answers
from flows.records import named_run
from flows.table_files import Kinds
from tasks.shared.errors import StillhouseError, brief_path, one_line
from tasks.shared.model_folder.look import look_at
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_mistakes import first_mistake
from tasks.shared.registry import Registry
from tasks.shared.registry_version import SCHEME
from tasks.shared.rows import LONGEST_TEXT, Row
from tasks.shared.sources import FileSource, Source, found_out, open_sources
from tasks.shared.texts import normalise
from tasks.shared.verified import check_model
from tasks.shared.workspace import existing_workspace, find_workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXTS_AT_ONCE = 1024
_SHOWN = 3
"""Classes that a terminal shows of a text."""

_SURROGATE = re.compile("[\ud800-\udfff]")

Texts = Iterable[tuple[str, str | None]]


@dataclass(frozen=True)
class Table:
    """A file of texts and how to read it; see the recipe's section `data`."""

    path: Path
    text: str
    text_pair: str | None
    encoding: str | None
    separator: str | None
    header: bool


def predict_texts(
    student: str, texts: tuple[str, ...], table: Table | None, output: Path | None, top: int | None
) -> None:
    """Classifies texts, else a file's, else those of standard input; see the command's help."""
    if texts and table:
        raise StillhouseError("give texts or --input, not both")
    if any(_SURROGATE.search(text) for text in texts):
        raise StillhouseError("a text holds bytes that are not UTF-8; use --input with --encoding")
    if output:
        check_output(output)
    folder = _student_folder(student)
    # Opened before the model is loaded, so that a mistake in the name is told at once.
    sources = _sources(table, output) if table else []
    rows: Iterable[Row] = (Row(text, None, None, number) for number, text in enumerate(texts, 1))
    if table:
        rows = _rows(sources)
    elif not texts:
        rows = _standard_input()
    classifier = Classifier(folder)
    classifier.check_pairs(bool(table and table.text_pair))
    if texts and not output:
        for answer in _answers(classifier, rows, table, top or _SHOWN):
            said = "  ".join(f"{_shown(name)} {score:.1%}" for name, score in answer.scores.items()) or "no text"
            click.echo(f"{said}  {_shown(answer.text)}")
        return
    with View(Console(stderr=True)).progress("predict", None, "texts") as advance:
        answers = _answers(classifier, rows, table, top, advance)
        write_answers(output, answers, min(top or 1, len(classifier.classes)), _kinds(sources))


def _answers(
    classifier: "Classifier",
    rows: Iterable[Row],
    table: Table | None,
    top: int | None,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[Answer]:
    """What a classifier says of rows: of all classes, or of the `top` best."""
    mine, read = tee(rows)
    names = (table.text, table.text_pair or "") if table else ("text", "")
    for row, (text, scores) in zip(mine, classifier.classify((row.text, row.text_pair) for row in read), strict=True):
        cells = row.cells or {name: value for name, value in zip(names, row[:2], strict=True) if value is not None}
        yield Answer(text, cells, best(scores, top) if top else scores)
        advance(1)


class Classifier:
    """A student or teacher folder, ready to classify texts on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Loads a Hugging Face folder; raises StillhouseError if it is not a classifier's."""
        look_at(folder)  # before what takes seconds to load
        check_model(folder, find_workspace())
        prepare_environment(find_workspace())
        quiet_transformers()
        from models.classifier import TextClassifier
        from models.teacher import load_classifier

        try:
            model, tokenizer = load_classifier(folder, "cpu")
        except (OSError, ValueError, KeyError) as error:
            raise StillhouseError(f"cannot use {brief_path(folder)}: {one_line(error)}") from None
        self._classifier = TextClassifier(model, tokenizer)
        self.classes = self._classifier.classes
        self._pairs: bool | None = getattr(model.config, "pairs", None)

    def check_pairs(self, pairs: bool) -> None:
        """Raises StillhouseError if the model was trained on pairs and gets single texts, or the other way round."""
        if self._pairs is not None and self._pairs != pairs:
            want = "pairs of texts: name --input and --pair-column" if self._pairs else "single texts"
            raise StillhouseError(f"this student reads {want}")

    def classify(self, texts: Texts) -> Iterator[tuple[str, dict[str, float]]]:
        """Each text with the probability of each class, in order; an empty text has none."""
        for chunk in chunks(texts, TEXTS_AT_ONCE):
            read = [(normalise(text), None if pair is None else normalise(pair)) for text, pair in chunk]
            rows = [row for row, (text, _) in enumerate(read) if text]
            scores = iter(self._probabilities([read[row] for row in rows]) if rows else [])
            for (text, _), (normal, _) in zip(chunk, read, strict=True):
                found = dict(zip(self.classes, next(scores).tolist(), strict=True)) if normal else {}
                yield text, {name: round(score, 6) for name, score in found.items()}

    def _probabilities(self, rows: list[tuple[str, str | None]]) -> "NDArray[np.floating]":
        pairs = None if rows[0][1] is None else [pair or "" for _, pair in rows]
        scores = self._classifier.probabilities([text for text, _ in rows], pairs)
        if not (scores == scores).all():
            raise StillhouseError("the model's answers are no numbers; its weights are damaged, copy it again")
        return scores


def _student_folder(student: str) -> Path:
    if student.startswith(SCHEME):
        return _registered_folder(student)
    try:
        path = Path(student).expanduser()
        is_folder = path.is_dir()
    except (OSError, RuntimeError) as error:  # a name too long, or ~ of nobody
        raise StillhouseError(f"{brief_path(student)} can be no folder: {one_line(error)}") from None
    if is_folder:
        return path
    if len(path.parts) > 1:
        raise StillhouseError(f"no folder {brief_path(path.absolute())}")
    workspace = existing_workspace()
    record = named_run(workspace, student)
    if student == "latest":
        click.echo(f"stillhouse: the student of {brief_path(record['run'])}", err=True)
    if not record["best"]:
        raise StillhouseError(f"run {record['run']} has no student, it {record['state']}")
    return Path(str(record["best"]["path"]))


def _registered_folder(student: str) -> Path:
    workspace = find_workspace()
    prepare_environment(workspace)
    registry = Registry(workspace)
    version = registry.find(student, "predict")
    if version.address != student:
        click.echo(f"stillhouse: {student} is version {version.number} now", err=True)
    return registry.folder(version)


def _sources(table: Table, output: Path | None) -> list[Source]:
    """What --input names; an output that is one of them is refused."""
    name = str(table.path)
    try:
        data = Data(
            train=name,
            test=name,
            text=table.text,
            text_pair=table.text_pair,
            label=f"not {table.text}, not {table.text_pair}",  # labels are not read
            encoding=table.encoding,
            separator=table.separator,
            header=table.header,
        )
    except ValidationError as error:
        raise StillhouseError(_in_options(f"data.{first_mistake(error, Data)}")) from None
    with _naming_options():
        sources = open_sources(name, data, split="train", labelled=False, where="--input", whole=output is not None)
        for found in found_out(sources):
            click.echo(f"stillhouse: {_in_options(found)}", err=True)
    for source in sources:
        if output and output.exists() and isinstance(source, FileSource) and source.table.path.samefile(output):
            raise StillhouseError(f"--output {brief_path(output)} is the input file; choose another")
    return sources


def _rows(sources: Iterable[Source]) -> Iterator[Row]:
    with _naming_options():
        for source in sources:
            yield from source.rows()


def _kinds(sources: Sequence[Source]) -> Kinds:
    """Types of the columns of the input, where its files say them and all say the same."""
    tables = [source.table.path for source in sources if isinstance(source, FileSource)]
    if len(tables) < len(sources) or not all(path.suffix.lower() == ".parquet" for path in tables):
        return {}
    import pyarrow.parquet as pq

    first, *others = [{field.name: field.type for field in pq.read_schema(path)} for path in tables] or [{}]
    return {name: kind for name, kind in first.items() if all(other.get(name, kind) == kind for other in others)}


@contextmanager
def _naming_options() -> Iterator[None]:
    """Says of a reader's message what it means for this command's options."""
    try:
        yield
    except StillhouseError as error:
        raise StillhouseError(_in_options(str(error))) from None


def _in_options(message: str) -> str:
    """A reader's message with the recipe's keys as this command's options."""
    options = {"data.text_pair": "--pair-column", "data.text": "--column", "data.header: false": "--no-header"}
    options |= {"data.header": "--header", "data.encoding": "--encoding", "data.separator": "--separator"}
    for key, option in options.items():
        message = message.replace(key, option)
    return message


def _standard_input() -> Iterator[Row]:
    if sys.stdin is None:
        raise StillhouseError("no texts: give some, or --input, or standard input")
    if sys.stdin.isatty():
        click.echo("stillhouse: reading texts, a line each; end with Ctrl-D", err=True)
    # Not `for line in`: without line ends all of it would be one line in memory.
    for number, line in enumerate(iter(lambda: sys.stdin.buffer.readline(LONGEST_TEXT + 2), b""), start=1):
        if len(line.rstrip(b"\r\n")) > LONGEST_TEXT:
            raise StillhouseError(f"standard input, line {number}: longer than {LONGEST_TEXT:,} bytes; split it")
        try:
            yield Row(line.decode("utf-8").rstrip("\r\n"), None, None, number)
        except UnicodeDecodeError:
            raise StillhouseError(f"standard input, line {number}: not UTF-8; use --input with --encoding") from None


def _shown(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= 60 else plain[:57] + "..."
