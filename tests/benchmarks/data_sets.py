"""Public data sets as files that recipes read, from the folders of their repositories (docs/results.md says which)."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Rows = Iterable[tuple[str, str]]
"""Texts with their labels."""


def convert(source: Path, target: Path, names: Iterable[str] | None = None) -> None:
    """Writes the data sets: a folder each, in it train.tsv, test.tsv and perhaps dev.tsv, text<TAB>label.

    Args:
        source: holds a folder for each repository.
        target: where the files will be.
        names: which sets; all without it.
    """
    for name in names or SETS:
        for part, rows in SETS[name](source).items():
            _write(target / name / f"{part}.tsv", rows)


def _write(file: Path, rows: Rows) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["text\tlabel", *("\t".join(" ".join(cell.split()) for cell in row) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _clinc150(source: Path) -> Mapping[str, Rows]:
    found = json.loads((source / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    return {"train": found["train"], "dev": found["val"], "test": found["test"]}


def _banking77(source: Path) -> Mapping[str, Rows]:
    return {part: list(_csv(source / "banking77" / f"{part}.csv")) for part in ("train", "test")}


def _csv(file: Path) -> Rows:
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield row["text"], row["category"]


def _sst2(source: Path) -> Mapping[str, Rows]:
    return {part: _phrases(source / "sst2_glue" / f"{part}.tsv") for part in ("train", "dev", "test")}


def _phrases(file: Path) -> list[tuple[str, str]]:
    lines = file.read_text(encoding="utf-8").splitlines()[1:]
    return [(text, label) for label, text in (line.split("\t") for line in lines)]


def _sst2_drawn(source: Path) -> Mapping[str, Rows]:
    """8,000 phrases, drawn by a hash of the text; a recipe takes dev out of them."""
    rows = sorted(_phrases(source / "sst2_glue" / "train.tsv"), key=lambda row: _hash(row[0]))[:8000]
    return {"train": rows, "test": _phrases(source / "sst2_glue" / "test.tsv")}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _snips(source: Path) -> Mapping[str, Rows]:
    files = {"train": "train_*_full.json", "test": "validate_*.json"}
    return {part: list(_requests(sorted((source / "snips").glob(pattern)))) for part, pattern in files.items()}


def _requests(files: Iterable[Path]) -> Rows:
    for file in files:
        raw = file.read_bytes()
        try:
            content = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError:  # one file is in Latin-1
            content = json.loads(raw.decode("latin-1"))
        for intent, requests in content.items():
            for request in requests:
                yield "".join(piece["text"] for piece in request["data"]), intent


def _goemotions(source: Path) -> Mapping[str, Rows]:
    """The texts with exactly one label."""
    folder = source / "goemotions"
    names = (folder / "labels.txt").read_text(encoding="utf-8").split()
    return {part: list(_emotions(folder / f"{part}.tsv", names)) for part in ("train", "dev", "test")}


def _emotions(file: Path, names: list[str]) -> Rows:
    for line in file.read_text(encoding="utf-8").splitlines():
        text, labels, _ = line.split("\t")
        if "," not in labels:
            yield text, names[int(labels)]


SETS: Mapping[str, Callable[[Path], Mapping[str, Rows]]] = {
    "clinc150": _clinc150,
    "banking77": _banking77,
    "sst2": _sst2,
    "sst2-8000": _sst2_drawn,
    "snips": _snips,
    "goemotions": _goemotions,
}
