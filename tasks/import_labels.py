"""Step import_labels: soft labels that were made elsewhere become a teacher of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from tasks.label import LabelRecord
from tasks.shared.dataset import DataRecord, read_keys, read_labels
from tasks.shared.errors import StillhouseError, brief_path, one_line
from tasks.shared.importing import take_in
from tasks.shared.key_index import KeyIndex
from tasks.shared.label_files import open_files
from tasks.shared.label_store import LabelStore
from tasks.shared.label_view import all_there, read_view, view_of
from tasks.shared.labeller import Labeller
from tasks.shared.labels_file import LabelsFile
from tasks.shared.outputs import Json, Output, hash_file, hash_of, write_json
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_teaching import Labelling, Teacher
from tasks.shared.soft_labels import share_right
from tasks.shared.steps import Context, Step
from tasks.shared.texts import NORMALISATION
from tasks.shared.workspace import Workspace

DEV_LOGITS = "dev-logits.npy"
_ROWS_TO_CHECK = 100


def check_labels(data: Data, labels: str, classes: Sequence[str] | None, where: str) -> None:
    """Finds out cheaply whether a file of labels can be used: its first rows, where the classes are known.

    Raises:
        StillhouseError: it cannot.
    """
    file = LabelsFile(_path_of(labels, where), data, classes or (), where)
    for _ in file.rows(_ROWS_TO_CHECK) if classes else ():
        pass


@dataclass(frozen=True)
class ImportRecord(LabelRecord):
    """The label view of a teacher that is nothing but its labels.

    Attributes:
        dev_accuracy: share of dev that it gets right, where no answer is a wrong one; None where it was not asked about
            all of dev.
        dev_logits: file of what it says of dev; None likewise.
        number: its position among the recipe's teachers.
        unanswered: transfer texts that are in the file without a label.
    """

    dev_accuracy: float | None
    dev_logits: Path | None
    number: int
    unanswered: int


@dataclass(frozen=True)
class ImportLabels(Step[ImportRecord]):
    """Reads a file of soft labels into the label store, and measures it on dev where it covers dev."""

    name: ClassVar[str] = "import_labels"
    data: DataRecord
    columns: Data
    teacher: Teacher
    labelling: Labelling
    number: int

    @property
    def title(self) -> str:
        """Which teacher."""
        return f"{self.name} {self.number}"

    @property
    def of_teacher(self) -> int:
        """Its position."""
        return self.number

    @property
    def makes(self) -> str:
        """The labels."""
        return f"labels of teacher {self.number}"

    @property
    def file(self) -> LabelsFile:
        """The file, held to the bytes that the labels' identity stands for."""
        return self._opened(self._digest)

    def _opened(self, held_to: str | None) -> LabelsFile:
        where = f"teachers.{self.number}.labels"
        return LabelsFile(self._path, self.columns, self.data.classes, where, held_to)

    @cached_property
    def _digest(self) -> str:
        self._opened(None)  # is it there?
        return hash_file(self._path)

    @property
    def _read(self) -> list[str | None]:
        """How it is read: the columns, and probabilities that an older Stillhouse did not see."""
        columns = [self.columns.text, self.columns.text_pair, self.columns.label]
        kind = self._opened(None).kind
        return [*columns, kind] if kind else columns

    @property
    def _path(self) -> Path:
        return _path_of(str(self.teacher.labels), f"teachers.{self.number}.labels")

    @cached_property
    def labeller(self) -> Labeller:
        """The identity of the labels: the file's bytes, and how it is read."""
        return Labeller(
            teacher=hash_of([self._digest, self._read]),
            classes=self.data.classes,
            max_length=0,
            precision="unknown",
            engine="import",
            normalisation=NORMALISATION,
            problem_type="single-label",
            stored=self.labelling.stored,
        )

    def inputs(self) -> Mapping[str, Json]:
        """The labeller, where its labels are, and the texts that are looked up."""
        return {
            "labeller": self.labeller.id,
            "store": self.labelling.place,
            "transfer": self.data.digests["transfer"],
            "dev": self.data.digests["dev"],
        }

    def store(self, workspace: Workspace) -> LabelStore:
        """The labels of this labeller."""
        return LabelStore(open_files(self.labelling.place or workspace.labels), self.labeller)

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Fills the store and writes the view."""
        store = self.store(context.workspace)
        file = self.file
        with context.progress(None, "rows") as advance:
            keys, new, again = take_in(file, store, context.workspace.plans / f"{self.key[:32]}.npy", advance)
        where = f"teachers.{self.number}.labels: {self.teacher.labels}"
        for said in file.told:
            context.warn(said)
        if again:
            context.warn(f"{where}: {again:,} rows have a text of an earlier row; of each text the last row counts")
        transfer, dev = read_keys(self.data.file("transfer")), read_keys(self.data.file("dev"))
        answered, asked = KeyIndex(keys), KeyIndex(np.unique(np.concatenate([keys, file.unanswered])))
        lacking = int((asked.find(transfer) < 0).sum())
        if lacking:
            raise StillhouseError(
                f"{where} says nothing of {lacking:,} of the {len(transfer):,} transfer texts; have them labelled too, "
                "or leave them out of the data"
            )
        view = view_of(store, transfer[answered.find(transfer) >= 0])
        if not view["rows"]:
            raise StillhouseError(
                f"{where} has all {len(transfer):,} transfer texts but a label for none; have them labelled"
            )
        write_json(folder / "view.json", view)
        accuracy = None
        not_asked = int((asked.find(dev) < 0).sum())
        if not_asked:
            context.warn(
                f"{where} lacks {not_asked:,} of the {len(dev):,} dev texts, so nothing tells whether it is any good; "
                "have them labelled too"
            )
        else:
            distinct, rows = np.unique(dev, return_inverse=True)
            on_dev = view_of(store, distinct[answered.find(distinct) >= 0])
            logits = read_view(store, on_dev, distinct)[rows]
            np.save(folder / DEV_LOGITS, logits)
            accuracy = share_right(logits, read_labels(self.data.file("dev")))
        return {
            "files": self.labelling.place,
            "store": store.name,
            "view": view,
            "new": new,
            "rows": len(keys),
            "unanswered": len(transfer) - view["rows"],
            "dev_accuracy": accuracy,
        }

    def stands(self, output: Output, workspace: Workspace) -> bool:
        """Whether the store still has the parts of the view."""
        return all_there(self.store(workspace), output.facts["view"])

    def read(self, output: Output) -> ImportRecord:
        """The record of the view."""
        facts = output.facts
        known = facts["dev_accuracy"] is not None
        return ImportRecord(
            path=output.path,
            files=facts["files"],
            store=facts["store"],
            digest=facts["view"]["digest"],
            labeller=self.labeller,
            view=facts["view"],
            new=facts["new"],
            truncated=0,
            lost={},
            dev_accuracy=facts["dev_accuracy"],
            dev_logits=output.path / DEV_LOGITS if known else None,
            number=self.number,
            unanswered=facts.get("unanswered", 0),
        )

    def check(self, record: ImportRecord) -> None:
        """Stops a run whose teacher is below the floor, or no better than the commonest class, where that is known."""
        accuracy = record.dev_accuracy
        if accuracy is None and self.teacher.floor:
            raise StillhouseError(
                f"teachers.{self.number}.floor: {self.teacher.labels} lacks texts of dev, so nothing can be held to a "
                "floor; have them labelled too, or remove the floor"
            )
        if accuracy is None:
            return
        score = f"teacher {self.number}, {self.teacher.labels}, gets {accuracy:.1%} of dev right"
        if accuracy < self.teacher.floor:
            raise StillhouseError(
                f"{score}, below its floor of {self.teacher.floor:.1%}: use better labels, or lower "
                f"teachers.{self.number}.floor"
            )
        dev = read_labels(self.data.file("dev"))
        majority = float(np.bincount(dev).max() / len(dev))
        if accuracy <= majority:
            raise StillhouseError(f"{score}, no more than the commonest class's {majority:.1%}: use better labels")

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The file."""
        return {"labels": (self.labeller.teacher, self._path.absolute())}

    def summary(self, record: ImportRecord) -> str:
        """Texts, and its score where it is known."""
        score = "not measured: it does not cover dev"
        if record.dev_accuracy is not None:
            score = f"{record.dev_accuracy:.1%} of dev right"
        silent = f" ({record.unanswered:,} more have no answer)" if record.unanswered else ""
        return f"{record.view['rows']:,} texts of the transfer set{silent}, {score}"


def _path_of(labels: str, where: str) -> Path:
    try:
        path = Path(labels).expanduser()
        path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, or ~ of nobody
        raise StillhouseError(f"{where}: {brief_path(labels)} can be no file: {one_line(error)}") from None
    return path
