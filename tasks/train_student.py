"""Step train_student: the small model, trained on what the teacher believes; and what its twin shares with it."""

import shutil
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tasks.fuse import FuseRecord
from tasks.prepare_student import PreparedRecord
from tasks.shared.dataset import DataRecord, gold_of, read_keys, read_labels
from tasks.shared.history import HISTORY, write_history
from tasks.shared.outputs import Json, Output
from tasks.shared.recipe_learning import Student, Term, Training
from tasks.shared.soft_labels import read_soft_labels
from tasks.shared.steps import Context, Step

if TYPE_CHECKING:
    from models.student import RecurrentForSequenceClassification
    from models.training import Examples


@dataclass(frozen=True)
class StudentRecord:
    """A trained student, twin or baseline.

    Attributes:
        path: its Hugging Face folder.
        digest: of that folder.
        role: `student`, `twin`, or that of a baseline.
        seed: of starting weights, dropout and order of the batches.
        dev_accuracy: share of dev that it gets right.
        steps: optimiser steps.
        columns: which of its logits belongs to each class of the data: they are in order.
        max_length: tokens it reads of a text.
    """

    path: Path
    digest: str
    role: str
    seed: int
    dev_accuracy: float
    steps: int
    columns: tuple[int, ...]
    max_length: int

    @property
    def title(self) -> str:
        """Which one."""
        return f"{self.role} seed {self.seed}"


@dataclass(frozen=True)
class TrainSmall(Step[StudentRecord]):
    """What students, twins and baselines have in common: everything but what they learn from."""

    version: ClassVar[int] = 2
    measured: ClassVar[frozenset[str]] = frozenset({HISTORY})
    role: ClassVar[str]
    data: DataRecord
    prepared: PreparedRecord
    student: Student
    training: Training
    seed: int

    @property
    def title(self) -> str:
        """Which seed."""
        return f"{self.name} seed {self.seed}"

    @property
    def makes(self) -> str:
        """The model."""
        return f"{self.role} seed {self.seed}"

    @property
    def steps(self) -> int:
        """Optimiser steps: passes over the transfer set, for the twin too."""
        return self.training.epochs * -(-self.data.rows["transfer"] // self.training.batch_size)

    def inputs(self) -> Mapping[str, Json]:
        """The shared beginnings, gold and dev, classes, shape, schedule and seed."""
        return {
            "prepared": self.prepared.digest,
            "gold": self.data.digests["gold"],
            "dev": self.data.digests["dev"],
            "classes": self.data.classes,
            "student": self.student.model_dump(exclude={"tokenizer", "embeddings", "max_length"}),
            "training": self.training.model_dump(),
            "steps": self.steps,
            "seed": self.seed,
        }

    @abstractmethod
    def learn_from(self, context: Context) -> "tuple[Examples, Sequence[Term]]":
        """The rows to train on and the terms of the objective."""

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the Hugging Face folder."""
        import torch

        from models.objectives import build_objective
        from models.training import Schedule, accuracy_on, train

        examples, terms = self.learn_from(context)
        dev = self.examples("dev")
        model = self._new_model()
        model.to(context.device)  # type: ignore[arg-type]  # transformers hides the method's signature
        how = self.training
        schedule = Schedule(self.steps, how.batch_size, how.learning_rate, how.weight_decay, how.evaluations)
        objective = build_objective([(term.weight, term.term, term.temperature) for term in terms])
        began = time.monotonic()
        with context.progress(self.steps, "steps") as advance:
            history = train(model, examples, dev, objective, schedule, self.seed, advance)
        write_history(folder, history, self.steps, time.monotonic() - began, context.device)
        context.metrics("loss", history.loss)
        context.metrics("dev_accuracy", history.dev_accuracy)
        model.cpu().save_pretrained(folder / "model")
        shutil.copytree(self.prepared.path / "tokenizer", folder / "model", dirs_exist_ok=True)
        return {
            "dev_accuracy": accuracy_on(model, dev),
            "best_step": history.best_step,
            "steps": self.steps,
            "threads": torch.get_num_threads(),
        }

    def examples(self, part: str) -> "Examples":
        """A part's token ids, made once for all seeds, with its gold labels."""
        from models.encoding import Encoded
        from models.training import Examples

        return Examples(Encoded.load(self.prepared.path / part), read_labels(self.data.file(part)))

    def _new_model(self) -> "RecurrentForSequenceClassification":
        import torch
        from safetensors.torch import load_file

        from models.student import RecurrentConfig, RecurrentForSequenceClassification

        start = load_file(self.prepared.path / "start.safetensors")
        shape, token_map = self.student, start.get("token_map")
        config = RecurrentConfig(
            family=shape.family,
            vocab_size=self.prepared.vocabulary,
            embedding_size=shape.embedding_size,
            hidden_size=shape.hidden_size,
            num_hidden_layers=shape.layers,
            bidirectional=shape.bidirectional,
            pooling=shape.pooling,
            dropout=shape.dropout,
            pad_token_id=self.examples("gold").encoded.pad_id,
            token_map_size=0 if token_map is None else len(token_map),
            pairs=self.data.pairs,
            id2label=dict(enumerate(self.data.classes)),
            label2id={name: number for number, name in enumerate(self.data.classes)},
            problem_type="single_label_classification",
        )
        torch.manual_seed(self.seed)
        model = RecurrentForSequenceClassification(config)
        model.start_from(start.get("embeddings"), token_map)
        return model

    def read(self, output: Output) -> StudentRecord:
        """The record of the model."""
        facts = output.facts
        return StudentRecord(
            path=output.path / "model",
            digest=output.digest,
            role=self.role,
            seed=self.seed,
            dev_accuracy=facts["dev_accuracy"],
            steps=facts["steps"],
            columns=tuple(range(len(self.data.classes))),
            max_length=self.prepared.max_length,
        )

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """Gold and dev."""
        return {part: (self.data.digests[part], self.data.file(part)) for part in ("gold", "dev")}

    def artifacts(self, output: Output) -> Sequence[Path]:
        """The Hugging Face folder."""
        return [output.path / "model"]

    def summary(self, record: StudentRecord) -> str:
        """Its score."""
        return f"{record.dev_accuracy:.1%} of dev right"


@dataclass(frozen=True)
class TrainStudent(TrainSmall):
    """Learns from the soft labels of the whole transfer set, and from gold labels if the objective asks."""

    name: ClassVar[str] = "train_student"
    role: ClassVar[str] = "student"
    labels: FuseRecord
    objective: tuple[Term, ...]

    def inputs(self) -> Mapping[str, Json]:
        """What the twin depends on, and the soft labels and the objective."""
        objective = [term.model_dump() for term in self.objective]
        transfer = self.data.digests["transfer"]
        return {**super().inputs(), "transfer": transfer, "labels": self.labels.digest, "objective": objective}

    def learn_from(self, context: Context) -> "tuple[Examples, Sequence[Term]]":
        """Transfer texts, joined by key with the soft labels and with the gold labels of those that have one."""
        keys = read_keys(self.data.file("transfer"))
        logits = read_soft_labels(self.labels.file, keys)
        learned = replace(self.examples("transfer"), labels=gold_of(self.data, keys), teacher_logits=logits)
        return learned, self.objective

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """Gold, dev, transfer texts and their soft labels."""
        transfer = {"transfer": (self.data.digests["transfer"], self.data.file("transfer"))}
        return {**super().consumed(), **transfer, "soft labels": (self.labels.digest, self.labels.path)}
