"""Step train_scratch: a twin with nothing of the teacher's, as a measure of what the beginnings are worth."""

from dataclasses import dataclass
from typing import ClassVar

from tasks.train_twin import TrainTwin


@dataclass(frozen=True)
class TrainScratch(TrainTwin):
    """A twin whose beginnings owe nothing to a teacher either: its own tokenizer, random token vectors."""

    name: ClassVar[str] = "train_scratch"
    role: ClassVar[str] = "scratch"
