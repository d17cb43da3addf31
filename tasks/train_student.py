"""Step train_student: the small model, trained on what the teacher believes; and what its twin shares with it."""

import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.embed import EmbedRecord
from tasks.fuse import FuseRecord
from tasks.prepare_student import PreparedRecord
from tasks.shared.dataset import NO_LABEL, DataRecord, gold_of, read_keys, read_labels
from tasks.shared.defaults.resolved import ResolvedStudent, ResolvedTraining
from tasks.shared.errors import StillhouseError
from tasks.shared.history import HISTORY, write_history
from tasks.shared.outputs import Json, Output
from tasks.shared.recipe_learning import Term
from tasks.shared.soft_labels import answered, read_soft_labels
from tasks.shared.steps import Context, Step
from tasks.train_teacher import TeacherRecord

if TYPE_CHECKING:
    from models.objectives import Objective
    from models.student import Student as StudentModel
    from models.training import Examples

_SOME = 2000
"""Texts that a student is asked about once more when it is trained."""
_CONFIDENT = 0.9
_CONFIG_NAMES = {"layers": "num_hidden_layers", "heads": "num_attention_heads"}


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
    """What students, twins and baselines have in common: everything but what they learn from.

    Attributes:
        data: the parts of the data.
        prepared: what all of them share.
        student: what they are.
        training: how they learn.
        seed: of starting weights, dropout and order of the batches.
        alone: whether nothing may be trained beside it, as in a sweep, so that it has all threads.
    """

    version: ClassVar[int] = 4
    measured: ClassVar[frozenset[str]] = frozenset({HISTORY})
    role: ClassVar[str]
    part: ClassVar[str] = "gold"
    """The part of the data that it learns from."""
    data: DataRecord
    prepared: PreparedRecord
    student: ResolvedStudent
    training: ResolvedTraining
    seed: int
    alone: bool = field(default=False, kw_only=True)

    @property
    def title(self) -> str:
        """Which seed."""
        return f"{self.name} seed {self.seed}"

    @property
    def makes(self) -> str:
        """The model."""
        return f"{self.role} seed {self.seed}"

    @property
    def rows(self) -> int | None:
        """That a pass goes over; None where that is not known yet."""
        return self.data.rows.get("transfer")

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.training.epochs * -(-(self.rows or 0) // self.training.batch_size)

    @property
    def work(self) -> tuple[int | None, str]:
        """The optimiser steps, where the rows are known."""
        return self.steps if self.rows else None, "steps"

    @property
    def one_thread(self) -> bool:
        """Whether it is trained on one thread, so that several are at a time, and to the same bytes on any machine.

        Not so one with layers of a teacher, or like a teacher's, whose products are large.
        """
        return not (self.alone or self.student.teacher_layers or self.student.configuration)

    def inputs(self) -> Mapping[str, Json]:
        """The shared beginnings, gold and dev, classes, shape, schedule and seed."""
        return {
            "prepared": self.prepared.digest,
            "gold": self.data.digests["gold"],
            "dev": self.data.digests["dev"],
            "classes": self.data.classes,
            "student": {"family": self.student.family, "dropout": self.student.dropout, **self.student.of_family()},
            "training": self.training.decided({"precision": "fp32"}),
            "steps": self.steps,
            "seed": self.seed,
            **({"alone": True} if self.alone else {}),  # on more threads sums come out otherwise
        }

    @abstractmethod
    def learn_from(self, context: Context) -> "Examples":
        """The rows to train on."""

    def objective_for(self, model: "StudentModel") -> "Objective":
        """What to minimise: cross-entropy with gold labels, unless a student has something else to go by."""
        from tasks.shared.objective import hard_objective

        return hard_objective()

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the Hugging Face folder."""
        import torch

        from models.checkpoint import Checkpoints
        from models.cost import one_thread
        from models.training import Schedule, accuracy_on, train
        from tasks.shared.pace.long_training import ForewarnedAdvance, Load

        examples = self.learn_from(context)
        dev = self.examples("dev")
        model = self._new_model()
        model.to(context.device)  # type: ignore[arg-type]  # transformers hides the method's signature
        how = self.training
        schedule = Schedule(
            self.steps,
            how.batch_size,
            how.learning_rate,
            how.weight_decay,
            how.evaluations,
            precision=how.precision,
        )
        objective = self.objective_for(model)
        checkpoints = Checkpoints(context.kept, context.warn)
        load = Load(
            where="training",
            length_setting="student.max_length",
            rows=self.rows or 0,
            lengths=examples.encoded.lengths,
            max_length=self.prepared.max_length,
            epochs=how.epochs,
            steps=self.steps,
            precision=how.precision,
            parameters=model.num_parameters(),
            one_thread=self.one_thread,
        )
        with context.progress(self.steps, "steps") as shown, one_thread() if self.one_thread else nullcontext():
            advance = ForewarnedAdvance(shown, context, self.title, load)
            history = train(model, examples, dev, objective, schedule, self.seed, advance, context.looked, checkpoints)
        write_history(folder, history, self.steps, context.device)
        context.metrics("loss", history.loss)
        context.metrics("dev_accuracy", history.dev_accuracy)
        model.cpu().save_pretrained(folder / "model")
        shutil.copytree(self.prepared.path / "tokenizer", folder / "model", dirs_exist_ok=True)
        return {
            **self.learnt(model, examples),
            "dev_accuracy": accuracy_on(model, dev),
            "best_step": history.best_step,
            "steps": self.steps,
            "truncated": {self.part: self.examples(self.part).encoded.truncated},
            "threads": 1 if self.one_thread else torch.get_num_threads(),
        }

    def learnt(self, model: "StudentModel", examples: "Examples") -> Mapping[str, Json]:
        """Facts about what it learnt from."""
        return {}

    def examples(self, part: str) -> "Examples":
        """A part's token ids, made once for all seeds, with its gold labels."""
        from models.encoding import Encoded
        from models.training import Examples

        return Examples(Encoded.load(self.prepared.path / part), read_labels(self.data.file(part)))

    def _new_model(self) -> "StudentModel":
        import torch
        from safetensors.torch import load_file

        from models.families import new_student

        start, prepared = load_file(self.prepared.path / "start.safetensors"), self.prepared
        torch.manual_seed(self.seed)
        model = new_student(
            self.student.family,
            **self._shape(),
            vocab_size=prepared.vocabulary,
            embedding_size=prepared.embedding_size,
            dropout=self.student.dropout,
            pad_token_id=self.examples("gold").encoded.pad_id,
            token_map_size=len(start["token_map"]) if "token_map" in start else 0,
            pairs=self.data.pairs,
            id2label=dict(enumerate(self.data.classes)),
            label2id={name: number for number, name in enumerate(self.data.classes)},
            problem_type="single_label_classification",
        )
        model.start_from(start)
        return model

    def _shape(self) -> dict[str, Any]:
        """The options of the family, by the names that a Hugging Face configuration has for them."""
        options = self.student.of_family()
        for name in ("configuration", "teacher_layers"):
            options.pop(name, None)
        shape = {_CONFIG_NAMES.get(name, name): value for name, value in options.items()}
        if self.student.family == "transformer":
            shape |= {"encoder": self.prepared.encoder, "max_position_embeddings": self.prepared.max_length}
        return shape

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
    """Learns from the soft labels of the whole transfer set, and from whatever else the objective asks for.

    `vectors` are those of the objective's hidden term, `looked_into` is the teacher of its relation term.
    """

    name: ClassVar[str] = "train_student"
    role: ClassVar[str] = "student"
    part: ClassVar[str] = "transfer"
    labels: FuseRecord
    objective: tuple[Term, ...]
    vectors: EmbedRecord | None = None
    looked_into: TeacherRecord | None = None

    def inputs(self) -> Mapping[str, Json]:
        """What the twin depends on, the soft labels, the objective, and what it sees inside teachers."""
        objective = [term.model_dump() for term in self.objective]
        return {
            **super().inputs(),
            "transfer": self.data.digests["transfer"],
            "labels": self.labels.digest,
            "objective": objective,
            "vectors": self.vectors and self.vectors.digest,
            "looked_into": self.looked_into and self.looked_into.digest,
        }

    def learn_from(self, context: Context) -> "Examples":
        """Transfer texts, joined by key with the soft labels and with the gold labels of those that have one."""
        from tasks.shared.objective import flattened

        keys = read_keys(self.data.file("transfer"))
        logits = read_soft_labels(self.labels.file, keys)
        known = answered(logits)
        if warning := flattened(self.objective, logits[known]):
            context.warn(warning)
        learned = replace(self.examples("transfer"), labels=gold_of(self.data, keys), teacher_logits=logits)
        if self.vectors is not None:
            if self.vectors.texts != self.data.digests["transfer"]:
                raise StillhouseError(f"the vectors in {self.vectors.path} are of other texts; run with --force embed")
            learned = replace(learned, teacher_vectors=self.vectors.load())
        return learned if known.all() else learned.some(np.flatnonzero(known))

    def learnt(self, model: "StudentModel", examples: "Examples") -> Mapping[str, Json]:
        """How often it names its teacher's class, how often that contradicts gold, and how much of dev it can read."""
        from scipy.special import softmax

        from models.inference import predict_logits

        said: NDArray[np.float32] = examples.teacher_logits  # type: ignore[assignment]  # students learn from them
        rows = np.linspace(0, len(said) - 1, min(len(said), _SOME)).astype(np.intp)
        named = predict_logits(model, examples.encoded.some(rows), self.training.batch_size).argmax(-1)
        believed, labelled = softmax(said, axis=-1), examples.labels != NO_LABEL
        wrong = (believed.argmax(-1) != examples.labels) & (believed.max(-1) >= _CONFIDENT)
        return {
            "loyal": float((named == said[rows].argmax(-1)).mean()),
            "doubted": float(wrong[labelled].mean()) if labelled.any() else 0.0,
            "covered": self.prepared.covered,
        }

    def objective_for(self, model: "StudentModel") -> "Objective":
        """The recipe's."""
        from tasks.shared.objective import objective_of

        width = self.vectors.load().shape[-1] if self.vectors else 0
        teacher = self.looked_into.path if self.looked_into else None
        return objective_of(self.objective, model, width, teacher, self.prepared.path)

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """Gold, dev, transfer texts and their soft labels."""
        transfer = {"transfer": (self.data.digests["transfer"], self.data.file("transfer"))}
        return {**super().consumed(), **transfer, "soft labels": (self.labels.digest, self.labels.path)}
