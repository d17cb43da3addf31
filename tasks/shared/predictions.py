"""What a model says of some rows, on disk: a row's key, its gold class, the class that is named, and the logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.shared.dataset import GROUP, NO_LABEL, key_column, keys_of
from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.key_index import Keys

if TYPE_CHECKING:
    from models.clusters import Clusters
    from models.metrics import Said


@dataclass(frozen=True)
class Predictions:
    """What a model says of some rows, in their order.

    Attributes:
        keys: of the texts, [rows].
        gold: class of each row, `NO_LABEL` where there is none, [rows].
        logits: [rows, classes].
        groups: key of what each row is of, [rows]; None where the recipe does not say.
    """

    keys: Keys
    gold: NDArray[np.int32]
    logits: NDArray[np.float32]
    groups: Keys | None = None

    @property
    def said(self) -> "Said":
        """Without the texts."""
        from models.metrics import Said

        return Said(self.logits, self.gold)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each row's gold class is named, [rows]."""
        found: NDArray[np.bool_] = self.logits.argmax(-1) == self.gold
        return found

    def clusters(self, *others: "Predictions") -> "Clusters":
        """Which rows are one example: those of one text or one group, also by what others say of the same rows."""
        from models.clusters import clusters_of

        groups = (said.groups for said in (self, *others))
        return clusters_of(self.keys, *(kind for kind in groups if kind is not None))

    @property
    def example(self) -> str:
        """What an example is called."""
        return "example" if self.groups is None else "group"

    def write(self, file: Path) -> None:
        """Writes a Parquet file."""
        logits = pa.FixedSizeListArray.from_arrays(pa.array(self.logits.reshape(-1)), self.logits.shape[1])
        columns = {
            "key": key_column(self.keys),
            "label": pa.array(self.gold, mask=self.gold == NO_LABEL),
            "predicted": pa.array(self.logits.argmax(-1).astype(np.int32)),
            "logits": logits,
            **({} if self.groups is None else {GROUP.name: key_column(self.groups)}),
        }
        pq.write_table(pa.table(columns), file, compression="zstd")


def read_predictions(file: Path) -> Predictions:
    """What `Predictions.write` wrote.

    Raises:
        StillhouseError: the file is gone or damaged.
    """
    table = read_table(file).combine_chunks()
    rows = table.num_rows
    gold = table.column("label").fill_null(NO_LABEL).to_numpy()
    column = table.column("logits")
    classes = column.type.list_size
    flat = column.combine_chunks().flatten().to_numpy() if rows else np.empty(0, np.float32)
    groups = _keys(table, GROUP.name) if GROUP.name in table.column_names else None
    return Predictions(_keys(table, "key"), gold.astype(np.int32), flat.reshape(rows, classes), groups)


def _keys(table: pa.Table, column: str) -> Keys:
    return keys_of(table.column(column).combine_chunks()) if table.num_rows else np.empty(0, "S32")


def read_table(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file of a scorecard.

    Raises:
        StillhouseError: it is gone or damaged.
    """
    try:
        return pq.read_table(file, columns=columns)
    except (OSError, pa.ArrowInvalid):
        again = "make it anew: stillhouse run RECIPE --force evaluate"
        raise StillhouseError(f"{brief_path(file)} is gone or damaged; {again}") from None
