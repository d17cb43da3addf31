"""Step fold_gold: the gold rows in folds, so that each row can be judged by a teacher that did not learn it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tasks.shared.dataset import KEY, DataRecord, PartWriter, part_file, read_chunks, read_keys, read_labels
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import Json, Output, hash_of
from tasks.shared.steps import Context, Step
from tasks.shared.texts import draw_order
from tasks.train_teacher import TeacherRecord, TrainTeacher

_SEED = 2**32
"""Of the draw of folds: one that no recipe has, so that it goes with no other draw."""


@dataclass(frozen=True)
class FoldsRecord:
    """The folds.

    Attributes:
        path: folder with two Parquet files a fold.
        digest: of that folder.
        folds: the data once for each fold, whose gold are the other folds' rows and whose dev are its own.
    """

    path: Path
    digest: str
    folds: tuple[DataRecord, ...]


@dataclass(frozen=True)
class FoldGold(Step[FoldsRecord]):
    """Puts each gold row into one of some folds, class by class; a repeated text is in one alone."""

    name: ClassVar[str] = "fold_gold"
    data: DataRecord
    count: int

    def inputs(self) -> Mapping[str, Json]:
        """The gold rows, and how many folds."""
        return {"gold": self.data.digests["gold"], "folds": self.count}

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes `gold.parquet` and `dev.parquet` into a folder a fold."""
        folds = self._folds()
        places = [self._place(folder, fold) for fold in range(self.count)]
        for place in places:
            place.mkdir()
        learnt, held = ([PartWriter(part_file(place, part)) for place in places] for part in ("gold", "dev"))
        for chunk in read_chunks(self.data.file("gold")):
            for row, raw in enumerate(chunk.keys.tolist()):
                key = raw.ljust(KEY.itemsize, b"\0")
                fold = folds[raw]
                values = (key, chunk.texts[row], chunk.pairs[row] if chunk.pairs else None, int(chunk.labels[row]))
                for number in range(self.count):
                    (held if number == fold else learnt)[number].add(*values)
        closed = {"gold": learnt, "dev": held}
        digests = {part: [writer.close() for writer in writers] for part, writers in closed.items()}
        return {"digests": digests, "rows": {part: [one.count for one in writers] for part, writers in closed.items()}}

    def _folds(self) -> dict[bytes, int]:
        """The fold of each text, by its key: class by class, dealt out in the order of a hash.

        Raises:
            StillhouseError: there are fewer texts than folds.
        """
        keys, labels = read_keys(self.data.file("gold")), read_labels(self.data.file("gold"))
        of = {key: int(label) for key, label in zip(keys.tolist(), labels.tolist(), strict=True)}
        if len(of) < self.count:
            raise StillhouseError(f"{self.count} folds of {len(of)} gold texts cannot be; take fewer")
        dealt = sorted(of, key=lambda key: (of[key], draw_order(_SEED, key.ljust(KEY.itemsize, b"\0"))))
        return {key: place % self.count for place, key in enumerate(dealt)}

    @staticmethod
    def _place(folder: Path, fold: int) -> Path:
        return folder / str(fold)

    def read(self, output: Output) -> FoldsRecord:
        """The data of each fold."""
        digests, rows = output.facts["digests"], output.facts["rows"]
        folds = tuple(
            replace(
                self.data,
                digest=hash_of([output.digest, fold]),
                digests={**self.data.digests, **{part: found[fold] for part, found in digests.items()}},
                rows={**self.data.rows, **{part: found[fold] for part, found in rows.items()}},
                elsewhere={
                    **self.data.elsewhere,
                    **{part: part_file(self._place(output.path, fold), part) for part in digests},
                },
            )
            for fold in range(self.count)
        )
        return FoldsRecord(output.path, output.digest, folds)

    def summary(self, record: FoldsRecord) -> str:
        """How many rows each has."""
        return f"{self.count} folds of about {self.data.rows['gold'] // self.count:,} gold rows"


class TrainWithoutFold(TrainTeacher):
    """A teacher that judges a fold; it teaches nobody, so nothing is asked of how it does there."""

    def check(self, record: TeacherRecord) -> None:
        """Refuses none."""
