"""`stillhouse labels export`: a run's soft labels as one plain file for other tools."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows.records import all_runs, draw_of, find_run, step_folder
from tasks.fuse import SOFT_LABELS
from tasks.shared.dataset import part_file, read_chunks, read_keys
from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.key_index import KeyIndex
from tasks.shared.label_files import open_files
from tasks.shared.label_store import all_stores
from tasks.shared.label_view import read_view
from tasks.shared.labels_file import PREDICTED, PROBABILITY
from tasks.shared.outputs import Output
from tasks.shared.soft_labels import read_soft_labels
from tasks.shared.verified import whole_output
from tasks.shared.workspace import Workspace, existing_workspace

_LABELLING = ("label", "import_labels")

Columns = Mapping[str, Sequence[str] | NDArray[np.float64]]
Write = Callable[[Columns], None]


def export_labels(output: Path, run: str | None, teacher: int | None, draw: int, temperature: float) -> None:
    """Writes the file; see the command's help."""
    writers = {".csv": _csv, ".parquet": _parquet}
    if output.suffix.lower() not in writers:
        raise StillhouseError(f"{brief_path(output)}: write to a .csv or a .parquet file")
    workspace = existing_workspace()
    record = find_run(workspace, run) if run else _latest(workspace)
    data = _output(record, step_folder(record, "load_data", draw) or _no_draw(record, draw))
    transfer = part_file(data.path, "transfer")
    keys = read_keys(transfer)
    logits = _logits(record, keys, teacher, draw, workspace)
    classes = data.facts["classes"]
    with _whole(output) as temporary, writers[output.suffix.lower()](temporary) as write:
        start = 0
        for chunk in read_chunks(transfer):
            some = logits[start : start + len(chunk.texts)].astype(np.float64) / temperature
            start += len(chunk.texts)
            scores = np.exp(some - some.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
            columns: dict[str, Any] = {"text": chunk.texts}
            columns |= {"text_pair": chunk.pairs} if chunk.pairs else {}
            columns[PREDICTED] = [classes[number] for number in some.argmax(axis=1)]
            write(columns | {PROBABILITY + name: scores[:, number] for number, name in enumerate(classes)})
    click.echo(f"{brief_path(output)}: {len(keys):,} texts of run {record['run']}, {len(classes)} classes")


def _latest(workspace: Workspace) -> dict[str, Any]:
    for record in all_runs(workspace):
        if any(step["step"] in _LABELLING for step in record["steps"]):
            return record
    raise StillhouseError(f"no run in {workspace.root} has labelled yet; start one with: stillhouse label RECIPE")


def _by_teacher(record: Mapping[str, Any], draw: int) -> dict[int, Path]:
    """Where each teacher's label view of a draw of labels is, by the teacher's position in the recipe."""
    steps = [step for step in record["steps"] if step["step"] in _LABELLING and draw_of(step) == draw]
    if any("teacher" not in step for step in steps):
        what = "does not say which labels are whose, an older Stillhouse wrote it; run its recipe again"
        raise StillhouseError(f"the record of run {record['run']} {what}")
    return {step["teacher"]: Path(step["path"]) for step in reversed(steps)}  # of a sweep's, the first


def _output(record: Mapping[str, Any], path: Path) -> Output:
    try:
        return whole_output(path, existing_workspace())
    except StillhouseError as error:
        raise StillhouseError(f"run {record['run']}: {error}") from None


def _no_draw(record: Mapping[str, Any], draw: int) -> Path:
    known = ", ".join(str(number) for number in sorted({draw_of(step) for step in record["steps"]})) or "none"
    raise StillhouseError(f"run {record['run']} has no draw {draw} of labels; it has {known}")


def _logits(
    record: Mapping[str, Any], keys: NDArray[np.bytes_], teacher: int | None, draw: int, workspace: Workspace
) -> NDArray[np.float32]:
    """What students learn from, or what one teacher says, [texts, classes]; a run that only labels has the latter."""
    fused = step_folder(record, "fuse", draw)
    if teacher is None and fused:
        return read_soft_labels(_output(record, fused).path / SOFT_LABELS, keys)
    views = _by_teacher(record, draw)
    if teacher is None and len(views) > 1:
        raise StillhouseError(f"run {record['run']} only labels, by {len(views)} teachers; name one with --teacher")
    number = next(iter(views), 0) if teacher is None else teacher
    if number not in views:
        known = ", ".join(map(str, views)) or "none"
        raise StillhouseError(f"run {record['run']} has no labels of teacher {number}; it has those of {known}")
    facts = _output(record, views[number]).facts
    files = open_files(facts["files"] or workspace.labels)
    store = next(all_stores(files, _refuse, [facts["store"]]), None)
    if store is None:
        raise StillhouseError(f"the soft labels {facts['store']} are gone from {files.place}; run with --force label")
    augmented = step_folder(record, "augment", draw)
    labelled = read_keys(part_file(_output(record, augmented).path, "transfer")) if augmented else keys
    return read_view(store, facts["view"], labelled)[KeyIndex(labelled).find(keys)]


def _refuse(error: StillhouseError) -> None:
    raise error


@contextmanager
def _csv(file: Path) -> Iterator[Write]:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        started = False

        def write(columns: Columns) -> None:
            nonlocal started
            if not started:
                writer.writerow(columns)
                started = True
            writer.writerows(zip(*columns.values(), strict=True))

        yield write


@contextmanager
def _parquet(file: Path) -> Iterator[Write]:
    with file.open("wb") as stream:
        writers: list[pq.ParquetWriter] = []

        def write(columns: Columns) -> None:
            table = pa.table(dict(columns))
            if not writers:
                writers.append(pq.ParquetWriter(stream, table.schema, compression="zstd"))
            writers[0].write_table(table)

        yield write
        for writer in writers:
            writer.close()


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A temporary file beside an output, that takes its place once it is complete."""
    if output.exists() and not output.is_file():
        raise StillhouseError(f"{brief_path(output)} is no file; choose another name")
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(output)
    except OSError as error:
        raise StillhouseError(f"{brief_path(output)}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
