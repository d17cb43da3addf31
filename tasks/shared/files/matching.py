"""Which files a recipe's text names: a file, or the files that match a pattern."""

import difflib
import glob
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.files.packed import kind_of

_SHOWN = 3
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Also of one that was taken for a path before, which leaves it one stroke."""


class Matches(NamedTuple):
    """The files of data in a fixed order, and those beside them that writers leave there, such as `_SUCCESS`."""

    files: list[Path]
    others: list[Path]


def matching(spec: str, kinds: Collection[str], where: str) -> Matches:
    """The files that a recipe's text names. A file or folder whose very name looks like a pattern is itself.

    Args:
        spec: a path, or a pattern with `*`, `?`, `[...]` or `**`.
        kinds: file name extensions of data, in lower case.
        where: the recipe's path of the spec, for messages.

    Raises:
        StillhouseError: there are none; one line says what to do.
    """
    path = Path.home() / spec[2:] if spec.startswith("~/") else Path(spec)
    try:
        if path.is_file():
            return Matches([path], [])
        if path.is_dir():
            raise StillhouseError(
                f"{where}: {brief_path(spec)} is a folder; name a file, or a pattern such as *.csv in it"
            )
        if path.exists():
            raise StillhouseError(f"{where}: {brief_path(spec)} is a device or a pipe; write the rows to a file first")
        if _URL.match(spec):
            what = "is a URL; download the file and name it here, or use hub:"
            raise StillhouseError(f"{where}: {brief_path(spec)} {what}")
        if not glob.has_magic(spec):
            raise _missing_file(path, spec, where)
    except OSError as error:
        raise StillhouseError(f"{where}: {brief_path(spec)} cannot be read: {error.strerror}") from None
    files = [file for file in _glob(path) if file.is_file()]
    others = [file for file in files if _is_beside_data(file, kinds)]
    if len(others) == len(files):
        beside = f" but {', '.join(file.name for file in others[:_SHOWN])}" if others else ""
        looked = brief_path(path.absolute())
        raise StillhouseError(f"{where}: no file matches {brief_path(spec)}{beside}; looked for {looked}")
    return Matches([file for file in files if file not in others], others)


def said_of_skipped(count: int, spec: str, empty: Sequence[str], others: Sequence[Path]) -> str:
    """What to say of files that match a pattern and are skipped.

    Args:
        count: of all files that match.
        spec: the pattern.
        empty: names of those without rows.
        others: those that are no data.
    """
    kinds = [(empty, "without rows"), ([brief_path(file) for file in others], "that are no data")]
    said = [
        f"{len(names):,} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for names, what in kinds
        if names
    ]
    return f"of {count:,} files that match {brief_path(spec)}, skipped {' and '.join(said)}"


def _glob(pattern: Path) -> list[Path]:
    """What matches; folders at the beginning that are there are no patterns, whatever signs their names hold."""
    folder, parts = Path(pattern.anchor), [part for part in pattern.parts if part != pattern.anchor]
    while len(parts) > 1 and (folder / parts[0]).is_dir():
        folder /= parts.pop(0)
    # Path.glob takes hidden files along.
    found = glob.glob(str(Path(*parts)), root_dir=folder, recursive=True)  # noqa: PTH207
    return sorted((folder / name for name in found), key=str)


def _is_beside_data(file: Path, kinds: Collection[str]) -> bool:
    """Whether it is a mark, a checksum or a hidden file, as Spark, Hadoop and macOS leave them beside data."""
    return kind_of(file) not in kinds and (file.name.startswith(("_", ".")) or file.suffix.lower() == ".crc")


def _missing_file(path: Path, spec: str, where: str) -> StillhouseError:
    advice = "check the name and the folder it starts from"
    if not path.parent.is_dir():
        advice = f"there is no folder {brief_path(path.parent)}"
    else:
        near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
        if near:
            advice = f"did you mean {brief_path(path.with_name(near[0]))}?"
    return StillhouseError(f"{where}: no file {brief_path(spec)}; looked for {brief_path(path.absolute())}; {advice}")
