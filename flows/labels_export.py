"""`stillhouse labels export`: a run's soft labels as one plain file for other tools."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from flows.records import LATEST, all_runs, draw_of, find_run, main_steps, step_folder
from flows.table_files import TABLES, Kinds, table_file
from tasks.fuse import SOFT_LABELS
from tasks.shared.dataset import part_file, read_chunks, read_keys
from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.key_index import KeyIndex
from tasks.shared.label_files import open_files
from tasks.shared.label_rows import PREDICTED, PROBABILITY
from tasks.shared.label_store import all_stores
from tasks.shared.label_view import read_view
from tasks.shared.outputs import Output
from tasks.shared.soft_labels import answered, read_soft_labels
from tasks.shared.verified import whole_output
from tasks.shared.workspace import Workspace, existing_workspace

_LABELLING = ("label", "import_labels")


def export_labels(output: Path, run: str | None, teacher: int | None, draw: int, temperature: float) -> None:
    """Writes the file; see the command's help."""
    if output.suffix.lower() not in TABLES:
        raise StillhouseError(f"{brief_path(output)}: write to a .csv or a .parquet file")
    workspace = existing_workspace()
    record = _latest(workspace) if run in (None, LATEST) else find_run(workspace, str(run))
    data = _output(record, step_folder(record, "load_data", draw) or _no_draw(record, draw))
    transfer = part_file(data.path, "transfer")
    keys = read_keys(transfer)
    logits, whose = _logits(record, keys, teacher, draw, workspace)
    instead = "; an earlier file was replaced" if output.is_file() else ""
    classes = data.facts["classes"]
    with table_file(output, _kinds(classes)) as write:
        start = 0
        for chunk in read_chunks(transfer):
            some = logits[start : start + len(chunk.texts)].astype(np.float64) / temperature
            start += len(chunk.texts)
            scores = np.exp(some - some.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
            columns: dict[str, Any] = {"text": chunk.texts}
            columns |= {"text_pair": chunk.pairs} if chunk.pairs else {}
            known = answered(some)
            columns[PREDICTED] = np.where(known, np.array(classes, object)[some.argmax(axis=1)], None)
            said = scores.astype(object)
            said[~known] = None
            write(columns | {PROBABILITY + name: said[:, number] for number, name in enumerate(classes)})
    silent = int((~answered(logits)).sum())
    texts = f"{len(keys):,} texts" + (f" ({silent:,} of them without an answer)" if silent else "")
    what = f"{texts}, {len(classes)} classes: {whose} in run {record['run']}, draw {draw}{instead}"
    click.echo(f"{brief_path(output)}: {what}")


def _kinds(classes: Sequence[str]) -> Kinds:
    """Types of the columns that may hold nothing at first, where no teacher answered."""
    import pyarrow as pa

    return {PREDICTED: pa.string(), **{PROBABILITY + name: pa.float64() for name in classes}}


def _latest(workspace: Workspace) -> dict[str, Any]:
    for record in all_runs(workspace):
        if any(step["step"] in _LABELLING for step in record["steps"]):
            return record
    raise StillhouseError(f"no run in {workspace.root} has labelled yet; start one with: stillhouse label RECIPE")


def _by_teacher(record: Mapping[str, Any], draw: int) -> dict[int, Path]:
    """Where each teacher's label view of a draw of labels is, by the teacher's position in the recipe."""
    steps = [step for step in main_steps(record, draw) if step["step"] in _LABELLING]
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
) -> tuple[NDArray[np.float32], str]:
    """What students learn from, or what one teacher says, [texts, classes], and whose that is; a run that only labels
    has the latter."""
    fused = step_folder(record, "fuse", draw)
    if teacher is None and fused:
        return read_soft_labels(_output(record, fused).path / SOFT_LABELS, keys), "what students learn from"
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
    return read_view(store, facts["view"], labelled)[KeyIndex(labelled).find(keys)], f"the labels of teacher {number}"


def _refuse(error: StillhouseError) -> None:
    raise error
