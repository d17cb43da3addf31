"""Step train_twin: the same small model trained on gold labels alone, as the student's measure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tasks.shared.dataset import DataRecord
from tasks.shared.outputs import Json
from tasks.shared.steps import Context
from tasks.train_student import TrainSmall

if TYPE_CHECKING:
    from models.training import Examples


@dataclass(frozen=True)
class TrainTwin(TrainSmall):
    """Shares all with the student but the soft labels and the unlabelled text.

    Attributes:
        matched: whether it has as many optimiser steps as the student; else `training.epochs` are passes over its own
            rows.
        augmented: the data with changed copies behind the gold rows, where it learns from those too.
    """

    name: ClassVar[str] = "train_twin"
    role: ClassVar[str] = "twin"
    matched: bool = False
    augmented: DataRecord | None = None

    @property
    def rows(self) -> int | None:
        """That a pass goes over."""
        if self.matched:
            return super().rows
        return (self.augmented or self.data).rows.get("gold")

    def inputs(self) -> Mapping[str, Json]:
        """What it shares with the student, and the changed copies that it learns from."""
        if self.augmented is None:
            return super().inputs()
        return {**super().inputs(), "gold": self.augmented.digests["gold"]}

    def learn_from(self, context: Context) -> "Examples":
        """The gold texts and their labels."""
        if self.augmented is None:
            return self.examples("gold")
        from transformers import AutoTokenizer

        from tasks.shared.examples import read_examples

        tokenizer = AutoTokenizer.from_pretrained(self.prepared.path / "tokenizer", trust_remote_code=False)
        return read_examples(self.augmented.file("gold"), tokenizer, self.prepared.max_length)
