"""The rows that decide on promotion, dev or a file of their own: what a model gets right there, and what is trivial."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.shared.class_names import columns_by_name
from tasks.shared.dataset import DataRecord, read_chunks, read_labels
from tasks.shared.outputs import hash_of
from tasks.shared.steps import Context


@dataclass(frozen=True)
class Measured:
    """What a model gets right of the gate rows.

    Attributes:
        accuracy: share of them.
        macro_f1: mean F1 over all classes.
    """

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class GateRows:
    """The rows that decide.

    Attributes:
        data: has them.
    """

    data: DataRecord

    @property
    def name(self) -> str:
        """Of the part: dev or gate."""
        return self.data.gate

    @property
    def digest(self) -> str:
        """Stands for their texts, labels and what the labels mean."""
        return hash_of([self.data.digests[self.name], self.data.classes])

    @cached_property
    def commonest(self) -> tuple[str, float]:
        """Their commonest class, and the share that saying nothing else gets right."""
        labels = read_labels(self.data.file(self.name))
        counts = np.bincount(labels, minlength=len(self.data.classes))
        return self.data.classes[int(counts.argmax())], float(counts.max() / len(labels))

    def measure(self, folder: Path, context: Context) -> Measured:
        """What the model in a Hugging Face folder gets right, by the names of the classes: one that it lacks is wrong.

        Raises:
            OSError, ValueError, KeyError: it cannot be loaded.
        """
        from models.classifier import TextClassifier
        from models.metrics import macro_f1
        from models.teacher import load_classifier

        classifier = TextClassifier(*load_classifier(folder, context.device))
        own, said, gold = self._numbers(classifier.classes), [], []
        with context.progress(self.data.rows[self.name], "texts") as advance:
            for chunk in read_chunks(self.data.file(self.name)):
                said.append(own[classifier.probabilities(chunk.texts, chunk.pairs).argmax(-1)])
                gold.append(chunk.labels)
                advance(len(chunk.texts))
        predicted, labels = np.concatenate(said), np.concatenate(gold)
        accuracy = float((predicted == labels).mean())
        return Measured(accuracy, macro_f1(labels, predicted, len(self.data.classes)))

    def _numbers(self, classes: list[str]) -> NDArray[np.int64]:
        """The data's number of each of a model's classes, -1 for one that the data lacks."""
        try:
            columns = columns_by_name(classes, self.data.classes)
            names = dict(zip(columns, self.data.classes, strict=True))
        except ValueError:
            names = dict(enumerate(classes))
        numbers = {name: number for number, name in enumerate(self.data.classes)}
        return np.array([numbers.get(names[column], -1) for column in range(len(names))])
