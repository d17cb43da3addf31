"""Classifying new texts with a student: from the command line, from standard input, from file to file."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import click
from pydantic import ValidationError
from rich.console import Console

from flows.console import View, quiet_transformers
from flows.records import find_run, latest_run
from tasks.shared.errors import StillhouseError, brief_path, one_line
from tasks.shared.model_folder.look import look_at
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_mistakes import first_mistake
from tasks.shared.registry import Registry
from tasks.shared.registry_version import SCHEME
from tasks.shared.rows import LONGEST_TEXT
from tasks.shared.sources import open_sources
from tasks.shared.texts import normalise
from tasks.shared.verified import check_model
from tasks.shared.workspace import existing_workspace, find_workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXTS_AT_ONCE = 1024

_SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters beyond ASCII's, which JSON escapes itself, line ends of Unicode, and marks of writing direction.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

Texts = Iterable[tuple[str, str | None]]
T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """A file of texts and how to read it; see the recipe's section `data`."""

    path: Path
    text: str
    text_pair: str | None
    encoding: str
    separator: str | None
    header: bool


def predict_texts(student: str, texts: tuple[str, ...], table: Table | None, output: Path | None) -> None:
    """Classifies texts, else a file's, else those of standard input; see the command's help."""
    if texts and table:
        raise StillhouseError("give texts or --input, not both")
    if any(_SURROGATE.search(text) for text in texts):
        raise StillhouseError("a text holds bytes that are not UTF-8; use --input with --encoding")
    if table and output and output.exists() and table.path.exists() and table.path.samefile(output):
        raise StillhouseError(f"--output {output} is the input file; choose another")
    folder = _student_folder(student)
    # Opened before the model is loaded, so that a mistake in the name is told at once.
    wanted: Texts = ((text, None) for text in texts)
    if table:
        wanted = _rows(table)
    elif not texts:
        wanted = _standard_input()
    classifier = Classifier(folder)
    classifier.check_pairs(bool(table and table.text_pair))
    if texts and not output:
        for text, scores in classifier.classify(wanted):
            ranked = sorted(scores.items(), key=lambda entry: -entry[1])[:3]
            said = "  ".join(f"{_shown(name)} {score:.1%}" for name, score in ranked) or "no text"
            click.echo(f"{said}  {_shown(text)}")
        return
    with _writing(output) as file, View(Console(stderr=True)).progress("predict", None, "texts") as advance:
        for text, scores in classifier.classify(wanted):
            label = max(scores, key=lambda name: scores[name]) if scores else None
            line = {"text": text, "label": label, "probabilities": scores}
            file.write(json_line(line))
            advance(1)


class Classifier:
    """A student or teacher folder, ready to classify texts on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Loads a Hugging Face folder; raises StillhouseError if it is not a classifier's."""
        prepare_environment(find_workspace())
        quiet_transformers()
        from models.classifier import TextClassifier
        from models.teacher import load_classifier

        look_at(folder)
        check_model(folder, find_workspace())
        try:
            model, tokenizer = load_classifier(folder, "cpu")
        except (OSError, ValueError, KeyError) as error:
            raise StillhouseError(f"cannot use {brief_path(folder)}: {one_line(error)}") from None
        self._classifier = TextClassifier(model, tokenizer)
        self._pairs: bool | None = getattr(model.config, "pairs", None)

    def check_pairs(self, pairs: bool) -> None:
        """Raises StillhouseError if the model was trained on pairs and gets single texts, or the other way round."""
        if self._pairs is not None and self._pairs != pairs:
            want = "pairs of texts: name --input and --pair-column" if self._pairs else "single texts"
            raise StillhouseError(f"this student reads {want}")

    def classify(self, texts: Texts) -> Iterator[tuple[str, dict[str, float]]]:
        """Each text with the probability of each class, in order; an empty text has none."""
        for chunk in _chunks(texts, TEXTS_AT_ONCE):
            read = [(normalise(text), None if pair is None else normalise(pair)) for text, pair in chunk]
            rows = [row for row, (text, _) in enumerate(read) if text]
            scores = iter(self._probabilities([read[row] for row in rows]) if rows else [])
            for (text, _), (normal, _) in zip(chunk, read, strict=True):
                found = dict(zip(self._classifier.classes, next(scores).tolist(), strict=True)) if normal else {}
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
    record = latest_run(workspace) if student == "latest" else find_run(workspace, student)
    if student == "latest":
        click.echo(f"stillhouse: the student of {brief_path(record['run'])}", err=True)
    if not record["best"]:
        raise StillhouseError(f"run {record['run']} has no student, it {record['state']}")
    found = Path(str(record["best"]["path"]))
    if not found.resolve().is_relative_to(workspace.root.resolve()):
        raise StillhouseError(f"run {record['run']} names a student outside the workspace; name its folder to use it")
    return found


def _registered_folder(student: str) -> Path:
    workspace = find_workspace()
    prepare_environment(workspace)
    registry = Registry(workspace)
    version = registry.find(student, "predict")
    if version.address != student:
        click.echo(f"stillhouse: {student} is version {version.number} now", err=True)
    return registry.folder(version)


def _rows(table: Table) -> Texts:
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
    try:
        for opened in open_sources(name, data, split="train", labelled=False, where="--input"):
            for row in opened.rows():
                yield row.text, row.text_pair
    except StillhouseError as error:
        raise StillhouseError(_in_options(str(error))) from None


def _in_options(message: str) -> str:
    """A reader's message with the recipe's keys as this command's options."""
    options = {"data.text_pair": "--pair-column", "data.text": "--column", "data.header": "--header"}
    for key, option in {**options, "data.encoding": "--encoding", "data.separator": "--separator"}.items():
        message = message.replace(key, option)
    return message


def _standard_input() -> Texts:
    if sys.stdin is None:
        raise StillhouseError("no texts: give some, or --input, or standard input")
    if sys.stdin.isatty():
        click.echo("stillhouse: reading texts, a line each; end with Ctrl-D", err=True)
    # Not `for line in`: without line ends all of it would be one line in memory.
    for number, line in enumerate(iter(lambda: sys.stdin.buffer.readline(LONGEST_TEXT + 2), b""), start=1):
        if len(line.rstrip(b"\r\n")) > LONGEST_TEXT:
            raise StillhouseError(f"standard input, line {number}: longer than {LONGEST_TEXT:,} bytes; split it")
        try:
            yield line.decode("utf-8").rstrip("\r\n"), None
        except UnicodeDecodeError:
            raise StillhouseError(f"standard input, line {number}: not UTF-8; use --input with --encoding") from None


@contextmanager
def _writing(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears whole or not at all."""
    if output is None:
        yield sys.stdout
        return
    output = output.resolve()
    if output.exists() and not output.is_file():  # a device or a pipe is written to, never replaced
        with output.open("w", encoding="utf-8") as file:
            yield file
        return
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            yield file
        temporary.replace(output)
    except OSError as error:
        raise StillhouseError(f"--output {output}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def json_line(value: object) -> str:
    """A value as a line of JSON that breaks no line and steers no terminal, whatever texts and names are in it."""
    return _STEERING.sub(lambda found: json.dumps(found.group())[1:-1], json.dumps(value, ensure_ascii=False)) + "\n"


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _shown(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= 60 else plain[:57] + "..."
