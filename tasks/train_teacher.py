"""Step train_teacher: a fine-tuned classifier and its score on dev, before it may teach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.shared.bases import Base, check_classifier, find_base
from tasks.shared.class_names import MEASURE, columns_by_answers, columns_by_name, renamed
from tasks.shared.dataset import DataRecord, read_labels
from tasks.shared.defaults.resolved import ResolvedTeacher
from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.held import HeldModel, hold_model
from tasks.shared.history import HISTORY, write_history
from tasks.shared.model_folder.look import ModelFolder, check_length, look_at
from tasks.shared.outputs import Json, Output
from tasks.shared.reading import reading_of
from tasks.shared.steps import Context, Step
from tasks.shared.truncation import cut_off

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from models.encoding import Ints
    from models.training import Examples

MODEL, DEV_LOGITS = "model", "dev-logits.npy"
_NOT_WEIGHTS = frozenset({"README.md", ".gitattributes"})
_DEV_BATCH = 128
_ADDED = {"processes": 1, "precision": "fp32", "classes": None}
_NEARLY_ALL, _CLEARLY = 0.8, 0.1
"""Share of dev from which accuracy says little of a teacher, and the gain in macro-F1 that then lets it teach."""


@dataclass(frozen=True)
class TeacherRecord:
    """A teacher that may teach.

    Attributes:
        path: its Hugging Face folder.
        digest: of weights, configuration, tokenizer and class order.
        columns: which of its logits belongs to each class of the data.
        dev_accuracy: share of dev that it gets right.
        majority: share of dev's most frequent class.
        max_length: tokens it reads of a text.
        number: its position among the recipe's teachers.
        seed: of its training.
    """

    path: Path
    digest: str
    columns: tuple[int, ...]
    dev_accuracy: float
    majority: float
    max_length: int
    number: int
    seed: int
    role: ClassVar[str] = "teacher"

    @property
    def title(self) -> str:
        """Which teacher."""
        return f"{self.role} {self.number}"

    @property
    def dev_logits(self) -> Path:
        """File of what it says of dev: a row a dev row, a column a class of the data, in order."""
        return self.path.with_name(DEV_LOGITS)


@dataclass(frozen=True)
class TrainTeacher(Step[TeacherRecord]):
    """Fine-tunes on gold, or takes the classifier as it is (`epochs: 0`), and measures it on dev."""

    name: ClassVar[str] = "train_teacher"
    version: ClassVar[int] = 4
    # What it says of dev follows from it, to the last bits: those are this machine's.
    measured: ClassVar[frozenset[str]] = frozenset({DEV_LOGITS, HISTORY})
    data: DataRecord
    teacher: ResolvedTeacher
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
        """The teacher."""
        return f"teacher {self.number}"

    @property
    def work(self) -> tuple[int | None, str]:
        """The optimiser steps, where the rows are known."""
        rows = self.data.rows.get("gold")
        return self.teacher.epochs * -(-rows // self.teacher.batch_size) if rows else None, "steps"

    @cached_property
    def base(self) -> Base:
        """What it starts from, looked up once: an alias may move while a run goes on."""
        if not self.teacher.epochs:  # a model of the hub was not looked at before
            where = f"teachers.{self.number}.model"
            check_classifier(self._looked_at, self.teacher, where, self.data.classes)
        return self._found

    @cached_property
    def _found(self) -> Base:
        return find_base(self.teacher.model, f"teachers.{self.number}.model")

    @cached_property
    def _looked_at(self) -> ModelFolder:
        return look_at(self._found.path, f"teachers.{self.number}.model: ")

    @cached_property
    def max_length(self) -> int:
        """Tokens it reads of a text; raises StillhouseError where it has no positions for so many."""
        check_length(self._looked_at, self.teacher.max_length, f"teachers.{self.number}.max_length")
        return self.teacher.max_length

    def inputs(self) -> Mapping[str, Json]:
        """Gold and dev rows, the classes, the base model's files, the options; not the floor, which decides nothing."""
        return {
            "gold": self.data.digests["gold"],
            "dev": self.data.digests["dev"],
            "classes": self.data.classes,
            "base": self._held_base.digest,
            "options": self.teacher.decided(_ADDED, but=["model", "floor"]),
            **reading_of(self.base.path),
        }

    @cached_property
    def _held_base(self) -> HeldModel:
        return hold_model(self.base.path, _NOT_WEIGHTS)

    def _check_base(self) -> None:
        """Raises StillhouseError where the base is not any more what the key says."""
        self._held_base.check(f"teachers.{self.number}.model")

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the teacher's Hugging Face folder."""
        import torch

        from models.classifier import class_names
        from models.inference import predict_logits
        from models.teacher import load_base, load_classifier, save
        from tasks.shared.examples import read_examples

        self._check_base()  # of files that changed since they were hashed, only that is told
        base, options, classes, length = self.base.path, self.teacher, self.data.classes, self.max_length
        try:
            if options.epochs:
                model, tokenizer = load_base(base, classes, options.seed, context.device)
            else:
                model, tokenizer = load_classifier(base, context.device)
            own = class_names(model)
            columns = [] if options.classes == MEASURE else columns_by_name(renamed(own, options.classes), classes)
            # Without tokenizer files transformers makes one up that knows no word.
            if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
                raise ValueError("it has no tokenizer files")
        except (OSError, ValueError) as error:
            self._check_base()
            where = f"teachers.{self.number}.model"
            raise StillhouseError(f"{where}: cannot use {self.teacher.model}: {one_line(error)}") from None
        self._check_base()
        gold, dev = (read_examples(self.data.file(part), tokenizer, length) for part in ("gold", "dev"))
        setting = f"teachers.{self.number}.max_length"
        if said := cut_off(gold.encoded, length, setting, f"teacher {self.number}", self._looked_at.positions):
            context.warn(said)
        if options.epochs:
            self._fine_tune(model, tokenizer, gold, dev, folder, context)
        on_dev = predict_logits(model, dev.encoded, _DEV_BATCH)
        if options.classes == MEASURE:
            columns = self._measured(own, on_dev, dev, context)
        logits = on_dev[:, columns]
        np.save(folder / DEV_LOGITS, logits)
        # Set in both places: only what is in `init_kwargs` is saved. Whoever uses the teacher reads as much of a text.
        tokenizer.model_max_length = tokenizer.init_kwargs["model_max_length"] = length
        if options.classes:  # whoever uses the teacher gets the data's names
            names = [classes[columns.index(number)] for number in range(len(own))]
            model.config.id2label = dict(enumerate(names))
            model.config.label2id = {name: number for number, name in enumerate(names)}
        save(model, tokenizer, folder / MODEL)
        self._check_base()  # its weights were mapped into memory all along
        accuracy = float((logits.argmax(-1) == dev.labels).mean())
        majority = float(np.bincount(dev.labels).max() / len(dev.labels))
        if accuracy <= majority and _finds_rare(logits, dev.labels):
            context.warn(
                f"teacher {self.number} gets {accuracy:.1%} of dev right, no more than the commonest class's "
                f"{majority:.1%}, but it finds rare classes, so it teaches; look at their F1 in the report"
            )
        return {
            "base": self.base.name,
            "columns": columns,
            "dev_accuracy": accuracy,
            "majority": majority,
            "threads": torch.get_num_threads(),
            "truncated": {"gold": gold.encoded.truncated, "dev": dev.encoded.truncated},
        }

    def _measured(self, own: Sequence[str], said: NDArray[np.float32], dev: "Examples", context: Context) -> list[int]:
        """Which output of the model is each class of the data, by dev."""
        where = f"teachers.{self.number}.classes"
        try:
            columns = columns_by_answers(own, self.data.classes, said.argmax(-1), dev.labels)
        except ValueError as error:
            raise StillhouseError(f"{where}: {error}") from None
        found = ", ".join(f"{own[column]}: {name}" for column, name in zip(columns, self.data.classes, strict=True))
        right = float((said[:, columns].argmax(-1) == dev.labels).mean())
        context.warn(f"{where}: on dev they are {{{found}}}, which gets {right:.1%} of it right")
        return columns

    def _fine_tune(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        gold: "Examples",
        dev: "Examples",
        folder: Path,
        context: Context,
    ) -> None:
        from models.checkpoint import Checkpoints
        from models.training import Schedule, steps_for, train
        from tasks.shared.objective import hard_objective
        from tasks.shared.pace.long_training import ForewarnedAdvance, Load
        from tasks.shared.processes import train_in_processes

        options = self.teacher
        steps = steps_for(len(gold.labels), options.batch_size, options.epochs)
        schedule = Schedule(steps, options.batch_size, options.learning_rate, precision=options.precision)
        where = f"teachers.{self.number}"
        load = Load(
            where=where,
            length_setting=f"{where}.max_length",
            rows=len(gold.labels),
            lengths=gold.encoded.lengths,
            max_length=self.max_length,
            epochs=options.epochs,
            steps=steps,
            precision=options.precision,
            parameters=model.num_parameters(),
        )
        with context.progress(steps, "steps") as advance:
            what = (schedule, options.seed, ForewarnedAdvance(advance, context, self.title, load))
            if options.processes == 1:
                checkpoints = Checkpoints(context.kept, context.warn)
                history = train(model, gold, dev, hard_objective(), *what, checkpoints=checkpoints)
            else:
                self._check_devices(context.device)
                asked = f"teachers.{self.number}.processes: {options.processes}"
                context.warn(
                    f"{asked}: a training in several processes keeps no checkpoint; interrupted, it starts over"
                )
                history = train_in_processes(options.processes, folder, model, tokenizer, gold, *what)
        write_history(folder, history, steps, context.device)
        context.metrics("loss", history.loss)

    def _check_devices(self, device: str) -> None:
        """Each process has a device of its own, but for CPUs."""
        import torch

        there = torch.cuda.device_count() if device == "cuda" else 1
        if device != "cpu" and self.teacher.processes > there:
            asked = f"teachers.{self.number}.processes: {self.teacher.processes} processes take a GPU each"
            raise StillhouseError(f"{asked}, and there {'is' if there == 1 else 'are'} {there} here")

    def read(self, output: Output) -> TeacherRecord:
        """The record of the teacher."""
        facts = output.facts
        return TeacherRecord(
            path=output.path / MODEL,
            digest=output.digest,
            columns=tuple(facts["columns"]),
            dev_accuracy=facts["dev_accuracy"],
            majority=facts["majority"],
            max_length=self.max_length,
            number=self.number,
            seed=self.teacher.seed,
        )

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """Gold and dev, and the model it starts from."""
        parts = {part: (self.data.digests[part], self.data.file(part)) for part in ("gold", "dev")}
        return {**parts, self.base.name[-200:]: (self.decided_by["base"], self.base.path)}

    def check(self, record: TeacherRecord) -> None:
        """Stops a run whose teacher is below the floor, or no better than always saying the commonest class.

        Where that class is nearly all of dev, accuracy says little: there one that finds rare classes may teach.
        """
        score = f"teacher {self.number} gets {record.dev_accuracy:.1%} of dev right"
        if record.dev_accuracy < self.teacher.floor:
            raise StillhouseError(
                f"{score}, below its floor of {self.teacher.floor:.1%}: train it longer or on more labels, "
                f"or lower teachers.{self.number}.floor"
            )
        if record.dev_accuracy <= record.majority and not (
            record.majority >= _NEARLY_ALL
            and _finds_rare(np.load(record.dev_logits), read_labels(self.data.file("dev")))
        ):
            raise StillhouseError(
                f"{score}, no more than the commonest class's {record.majority:.1%}: train it longer or on more labels"
            )

    def summary(self, record: TeacherRecord) -> str:
        """Its score."""
        return f"{record.dev_accuracy:.1%} of dev right"


def _finds_rare(logits: NDArray[np.float32], gold: "Ints") -> bool:
    """Whether one class is nearly all of dev, and what is said of dev is clearly better in macro-F1 than that class.

    Args:
        logits: what the teacher says of dev, [rows, classes].
        gold: class of each row, [rows].
    """
    from models.metrics import macro_f1

    counts = np.bincount(gold)
    if counts.max() < _NEARLY_ALL * len(gold):
        return False
    classes = logits.shape[1]
    always = macro_f1(gold, np.full_like(gold, counts.argmax()), classes)
    return macro_f1(gold, logits.argmax(-1), classes) >= always + _CLEARLY
