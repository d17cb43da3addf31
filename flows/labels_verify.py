"""`stillhouse labels verify`: is every file what it was, and does the teacher still say what they say?"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from flows.console import View, quiet_transformers
from flows.labels import NOTHING, SHORT, find_stores, label_files
from tasks.shared.dataset import read_chunks
from tasks.shared.errors import StillhouseError, brief, one_line
from tasks.shared.key_index import KeyIndex, Keys
from tasks.shared.label_parts import Logits
from tasks.shared.label_store import LabelStore
from tasks.shared.labeller import Labeller
from tasks.shared.outputs import Output, find_output
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.verified import changed_files
from tasks.shared.workspace import Workspace, existing_workspace

WRONG = 1

TOLERANCE = {"fp32": 1e-4, "bf16": 0.25, "int8": 1.0}
"""How far a logit may be from what the teacher says now in fp32, relative to the largest of its text if that is above
1; what a lower precision may differ by was measured when it labelled."""
_HALF = 1e-3


@dataclass
class Found:
    """What was found in one store: rows that were drawn, and what is wrong."""

    keys: Keys
    logits: Logits
    rows: int = 0
    parts: int = 0
    problems: list[str] = field(default_factory=list)


def verify_labels(names: Sequence[str], sample: int, seed: int | None, url: str | None) -> None:
    """Verifies some stores and exits with 1 where anything is wrong."""
    workspace = existing_workspace()
    refused: list[StillhouseError] = []
    stores = find_stores(label_files(url), names, refused.append)
    random = np.random.default_rng(seed)
    for error in refused:
        click.echo(f"wrong  {error}")
    wrong = len(refused)
    for store in stores:
        found = check_files(store, sample, random)
        said = _compute_again(store.labeller, found, workspace) if len(found.keys) else ""
        for problem in found.problems:
            click.echo(f"wrong  {store.name[:SHORT]}  {problem}")
        state = "wrong" if found.problems else "good"
        click.echo(f"{state:<6} {store.name[:SHORT]}  {found.rows:,} rows in {found.parts:,} parts{said}")
        wrong += len(found.problems)
    if not stores and not refused:
        click.echo(NOTHING)
    if wrong:
        sys.exit(WRONG)


def check_files(store: LabelStore, sample: int = 0, random: np.random.Generator | None = None) -> Found:
    """Reads every part of a store against its checksum, and draws `sample` rows on the way."""
    random = random or np.random.default_rng()
    nothing = np.empty(0, "S32"), np.empty((0, len(store.labeller.classes)), np.float32)
    try:
        parts = store.parts()
    except StillhouseError as error:
        return Found(*nothing, problems=[str(error)])
    total = sum(part.rows for part in parts)
    drawn = np.sort(random.choice(total, min(sample, total), replace=False))
    keys, logits, problems, start = [], [], [], 0
    with View(Console(stderr=True)).progress(f"verify {store.name[:SHORT]}", total, "rows") as advance:
        for part in parts:
            mine = drawn[(drawn >= start) & (drawn < start + part.rows)] - start
            start += part.rows
            try:
                there = store.read(part)
            except StillhouseError as error:
                problems.append(str(error))
            else:
                keys.append(there[0][mine])
                logits.append(there[1][mine].astype(np.float32))
            advance(part.rows)
    return Found(
        np.concatenate([nothing[0], *keys]), np.concatenate([nothing[1], *logits]), total, len(parts), problems
    )


def _compute_again(labeller: Labeller, found: Found, workspace: Workspace) -> str:
    """Compares the drawn rows with what the teacher says now; gives the end of the store's line."""
    teacher = next((made for made in _outputs(workspace, "train_teacher") if made.digest == labeller.teacher), None)
    if teacher is None:
        return "; nothing computed again, as its teacher is not in this workspace"
    if changed_files(teacher, workspace):
        found.problems.append(f"its teacher {teacher.path} changed since it was trained, so nothing is computed again")
        return ""
    known = _texts(found.keys, workspace)
    if not known:
        return "; nothing computed again, as its texts are not in this workspace"
    prepare_environment(workspace)
    quiet_transformers()
    from models.encoding import encode
    from models.engine import open_engine
    from models.teacher import load_classifier

    try:
        model, tokenizer = load_classifier(teacher.path / "model", "cpu")
    except (OSError, ValueError) as error:
        found.problems.append(f"its teacher {teacher.path} cannot be loaded: {one_line(error)}")
        return ""
    rows, texts = list(known), [text for text, _ in known.values()]
    pairs = [pair for _, pair in known.values() if pair is not None]
    encoded = encode(tokenizer, texts, pairs or None, labeller.max_length)
    with open_engine(model) as engine:
        said = engine.answers(encoded)[:, teacher.facts["columns"]]
    stored = found.logits[rows]
    scale = np.maximum(np.abs(said).max(axis=1), 1.0)
    apart = np.abs(said - stored).max(axis=1)
    allowed = (TOLERANCE[labeller.precision] + (_HALF if labeller.stored == "float16" else 0.0)) * scale
    for row in np.flatnonzero(~(apart <= allowed)):  # nan is wrong too
        here, there = (_named(labeller, logits[row]) for logits in (stored, said))
        found.problems.append(f"of {brief(texts[row])} it holds {here}, the teacher says {there}")
    return f"; {len(rows):,} of {len(found.keys):,} drawn computed again, at most {apart.max():.1e} apart"


def _named(labeller: Labeller, logits: NDArray[np.float32]) -> str:
    best = int(logits.argmax())
    return f"{brief(labeller.classes[best])} ({logits[best]:.3f})"


def _texts(keys: Keys, workspace: Workspace) -> dict[int, tuple[str, str | None]]:
    """The text and pair of each key, by its position, as far as this workspace's data have them."""
    index, found = KeyIndex(keys), dict[int, tuple[str, str | None]]()
    for made in _outputs(workspace, "load_data"):
        for chunk in read_chunks(made.path / "transfer.parquet"):
            rows = index.find(chunk.keys)
            for place in np.flatnonzero(rows >= 0):
                found[int(rows[place])] = chunk.texts[place], chunk.pairs[place] if chunk.pairs else None
        if len(found) == len(keys):
            break
    return found


def _outputs(workspace: Workspace, step: str) -> Iterator[Output]:
    """The complete outputs of a step, the newest first."""
    folders = sorted((workspace.outputs / step).glob("*"), key=lambda folder: -folder.stat().st_mtime)
    found = (find_output(folder) for folder in folders if Path(folder).is_dir())
    return (output for output in found if output is not None)
