"""Step embed: a teacher's vectors of the transfer texts, for an objective that looks inside it.

They are kept as soft labels are: by text, in parts of the label store, each text once.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.label import OfAll
from tasks.shared.dataset import read_keys
from tasks.shared.inside_teacher import numbered_layers
from tasks.shared.key_index import KeyIndex
from tasks.shared.label_view import joined_view, view_of
from tasks.shared.labeller import Labeller
from tasks.shared.outputs import Json, Output
from tasks.shared.steps import Context
from tasks.shared.texts import NORMALISATION

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from models.engine import Engine

VECTORS = "vectors.npy"


@dataclass(frozen=True)
class EmbedRecord:
    """A teacher's vectors.

    Attributes:
        path: folder with vectors.npy, float16 [transfer texts, layers * width] in their order.
        digest: of the vectors and the texts they belong to.
        layers: how many, side by side.
        texts: digest of the transfer texts.
    """

    path: Path
    digest: str
    layers: int
    texts: str

    def load(self) -> NDArray[np.float16]:
        """The vectors, memory-mapped, [transfer texts, layers, width]."""
        vectors: NDArray[np.float16] = np.load(self.path / VECTORS, mmap_mode="r", allow_pickle=False)
        return vectors.reshape(len(vectors), self.layers, -1)


@dataclass(frozen=True)
class Embed(OfAll[EmbedRecord]):
    """Writes the vectors of those transfer texts that the store does not hold, and then all in the texts' order."""

    name: ClassVar[str] = "embed"
    layers: tuple[int, ...] = (-1,)

    @cached_property
    def _shape(self) -> tuple[tuple[int, ...], int]:
        """The layers, numbered from 0, and the width of their states."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.teacher.path, trust_remote_code=False)
        layers, width = numbered_layers(config, self.layers, self.number)
        return tuple(layers), width

    @property
    def labeller(self) -> Labeller:
        """The identity of the vectors: they have a folder of their own in the store."""
        layers, width = self._shape
        return Labeller(
            teacher=self.teacher.digest,
            classes=tuple(f"{layer}.{place}" for layer in layers for place in range(width)),
            max_length=self.teacher.max_length,
            precision=self.labelling.precision,
            engine="torch",
            normalisation=NORMALISATION,
            problem_type="vectors",
            stored="float16",
        )

    def open(self, model: "PreTrainedModel") -> "AbstractContextManager[Engine]":
        """An engine that answers with vectors."""
        from models.engine import open_vector_engine

        return open_vector_engine(model, self._shape[0], self.labelling.tokens_per_batch)

    @property
    def columns(self) -> Sequence[int]:
        """All, as they come."""
        return range(len(self.labeller.classes))

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Labels what is missing and writes the vectors."""
        keys = read_keys(self.data.file("transfer"))
        done = self.label(keys, context)
        store = self.store(context.workspace)
        view = view_of(store, keys)
        shape = (len(keys), len(self.labeller.classes))
        vectors = np.lib.format.open_memmap(folder / VECTORS, "w+", np.float16, shape)
        for rows, found in joined_view(store, view, KeyIndex(keys)):
            vectors[rows] = found
        vectors.flush()
        return {"view": view, "new": done["new"]}

    def read(self, output: Output) -> EmbedRecord:
        """The record of the vectors."""
        return EmbedRecord(output.path, output.digest, len(self.layers), self.data.digests["transfer"])

    def summary(self, record: EmbedRecord) -> str:
        """How many texts, and the layers."""
        return f"{self.data.rows['transfer']:,} texts, {record.layers} of the teacher's layers"
