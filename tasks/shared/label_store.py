"""The label store: what a teacher believes about texts, in append-only Parquet parts, a folder a teacher.

A row belongs to a text by its key, never to a row number. A part is named by its plan, its number in it and its own
bytes, and never changes; its sidecar is written last and means that it is complete: a part without one is what a kill
left behind, and never read. Where two parts hold the same text, the one whose name sorts first wins, for every reader.
Nothing is renamed or locked, so any number of machines can write into one store.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import TypeAdapter

from tasks.shared.errors import StillhouseError, brief
from tasks.shared.key_index import Keys
from tasks.shared.label_files import Files
from tasks.shared.label_parts import DamagedPartError, Logits, check_format, from_bytes, to_bytes
from tasks.shared.labeller import FORMAT, Labeller

IDENTITY = "labeller.json"
_PART_NAME = re.compile(r"[0-9a-f]{16}-[0-9]{6}-[0-9a-f]{16}")
_FOLDER = re.compile(r"[0-9a-f]{32}")
_LABELLER = TypeAdapter(Labeller)
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Part:
    """A complete part: its name, number of rows, and SHA-256 of its file."""

    name: str
    rows: int
    sha256: str

    @property
    def place(self) -> str:
        """Its place in its plan: all of the name but what stands for its bytes."""
        return self.name.rpartition("-")[0]


class LabelStore:
    """The labels of one labeller."""

    def __init__(self, files: Files, labeller: Labeller) -> None:
        """Opens the labeller's folder, which need not be there; looking makes nothing.

        Raises:
            StillhouseError: it is of another format, or what it says of itself is damaged.
        """
        self.labeller = labeller
        self.name = labeller.id
        self.place = f"{files.place}/{labeller.id}"
        self._files = files
        self._identified = False
        with suppress(FileNotFoundError):
            _labeller(files.read(f"{self.name}/{IDENTITY}"), self.place)
            self._identified = True

    def parts(self) -> list[Part]:
        """The complete parts, in the order of their names."""
        found = (name.removesuffix(".json") for name in self._files.names(self._folder) if name.endswith(".json"))
        names = [name for name in found if _PART_NAME.fullmatch(name)]
        sidecars = self._files.read_all([f"{self._folder}/{name}.json" for name in names])
        return [self._part(name, content) for name, content in zip(names, sidecars, strict=True)]

    def write(self, place: str, keys: Keys, logits: Logits) -> Part:
        """Commits a part: logits [rows, classes] of keys [rows].

        Args:
            place: in the plan; `Part.place` of what is written.
            keys: of the texts.
            logits: of the texts; kept in the dtype that the labeller says.

        Raises:
            StillhouseError: a logit is not finite, or too large for its dtype.
        """
        broken = ~np.isfinite(logits).all(axis=1)
        if broken.any():
            raise StillhouseError(
                f"the teacher gives {int(broken.sum())} of {len(keys)} texts logits that are not finite; train it anew"
            )
        if self.labeller.stored == "float16" and np.abs(logits).max(initial=0) > _LARGEST_HALF:
            raise StillhouseError("the teacher's logits are too large for labelling.stored: float16; use float32")
        self._identify()
        content = to_bytes(self.labeller, keys, logits)
        sha256 = hashlib.sha256(content).hexdigest()
        part = Part(f"{place}-{sha256[:16]}", len(keys), sha256)
        self._files.write(f"{self._folder}/{part.name}.parquet", content)
        sidecar = json.dumps({"rows": part.rows, "sha256": sha256}) + "\n"
        self._files.write(f"{self._folder}/{part.name}.json", sidecar.encode())
        return part

    def read(self, part: Part) -> tuple[Keys, Logits]:
        """Keys and logits of a part, checked against its sidecar and this labeller.

        Raises:
            StillhouseError: the file is missing, damaged, or somebody else's.
        """
        if not _PART_NAME.fullmatch(part.name):
            raise StillhouseError(f"{brief(part.name)} is no part of soft labels; run with --force label")
        file = f"{self._files.place}/{self._folder}/{part.name}.parquet"
        advice = f"delete them with {part.name}.json, and run with --force label"
        try:
            content = self._files.read(f"{self._folder}/{part.name}.parquet")
        except FileNotFoundError:
            raise StillhouseError(f"soft labels {file} are missing; {advice}") from None
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise StillhouseError(f"soft labels {file} are damaged; {advice}")
        try:
            return from_bytes(self.labeller, content, part.rows, file)
        except DamagedPartError as error:
            raise StillhouseError(f"soft labels {file} {error}; {advice}") from None

    def _identify(self) -> None:
        """Writes down whose labels these are, before the first of them."""
        if not self._identified:
            content = json.dumps({"format": FORMAT, **asdict(self.labeller)}, indent=2, ensure_ascii=False) + "\n"
            self._files.write(f"{self.name}/{IDENTITY}", content.encode())
            self._identified = True

    @property
    def _folder(self) -> str:
        return f"{self.name}/parts"

    def _part(self, name: str, sidecar: bytes) -> Part:
        try:
            found = json.loads(sidecar)
            part = Part(name, found["rows"], str(found["sha256"]))
            if type(part.rows) is int and part.rows >= 0 and part.sha256.startswith(name.rpartition("-")[2]):
                return part
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        file = f"{self._files.place}/{self._folder}/{name}.json"
        raise StillhouseError(f"{file} is damaged; delete it with its .parquet, and run with --force label")


def store_names(files: Files) -> list[str]:
    """What could be stores there, in order."""
    return [folder for folder in files.folders() if _FOLDER.fullmatch(folder)]


def all_stores(
    files: Files, refused: Callable[[StillhouseError], None], names: Sequence[str] | None = None
) -> Iterator[LabelStore]:
    """Labellers' stores, in the order of their names.

    Args:
        files: where they are.
        refused: told of each that is of another format, or damaged in what it says of itself; the others go on.
        names: of those that are wanted; all without it.
    """
    for folder in store_names(files):
        if names is None or folder in names:
            place = f"{files.place}/{folder}"
            try:
                labeller = _labeller(files.read(f"{folder}/{IDENTITY}"), place)
                if labeller.id != folder:
                    raise StillhouseError(f"{place}/{IDENTITY} is not what its folder is named for; delete that folder")
            except FileNotFoundError:
                continue  # a kill left it before it said whose it is
            except StillhouseError as error:
                refused(error)
                continue
            yield LabelStore(files, labeller)


def _labeller(content: bytes, place: str) -> Labeller:
    try:
        check_format(json.loads(content)["format"], place)
        return _LABELLER.validate_json(content, strict=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StillhouseError(f"{place}/{IDENTITY} is damaged; delete that file, the labels stay") from None


def parts_from(entries: Sequence[object], place: str) -> list[Part]:
    """Parts as a view wrote them down.

    Raises:
        StillhouseError: that is no list of parts.
    """
    try:
        return [Part(str(e["name"]), int(e["rows"]), str(e["sha256"])) for e in entries]  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        raise StillhouseError(f"the view of soft labels in {place} is damaged; run with --force label") from None
