"""Training with transformers' Trainer over flat token arrays: teachers, students and twins alike."""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from models.checkpoint import Checkpoints, Snapshot
from models.encoding import Batch, Encoded, ShuffledBatches
from models.inference import predict_logits
from models.objectives import Objective, Seen
from models.resuming import ResumableTrainer

Advance = Callable[[int], None]
Look = Callable[[int, float], None]


@dataclass(frozen=True)
class Examples:
    """What a model is trained on, row by row.

    Attributes:
        encoded: the texts.
        labels: gold class of each row, `NO_LABEL` where there is none, [rows].
        teacher_logits: what the teacher said of each row, [rows, classes], or None.
        teacher_vectors: its vectors of each row, [rows, layers, width], or None; may be memory-mapped.
    """

    encoded: Encoded
    labels: NDArray[np.integer]
    teacher_logits: NDArray[np.float32] | None = None
    teacher_vectors: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError unless all have the same number of rows."""
        given = (self.labels, self.teacher_logits, self.teacher_vectors)
        rows = [None if values is None else len(values) for values in given]
        if any(count not in (None, len(self.encoded)) for count in rows):
            raise ValueError(f"{len(self.encoded)} texts do not match rows of labels, logits, vectors: {rows}")

    def some(self, rows: NDArray[np.intp]) -> "Examples":
        """Some rows, by their numbers."""
        logits, vectors = self.teacher_logits, self.teacher_vectors
        return Examples(
            self.encoded.some(rows),
            self.labels[rows],
            None if logits is None else logits[rows],
            None if vectors is None else vectors[rows],
        )

    def first(self, rows: int) -> "Examples":
        """The first rows."""
        logits, vectors = self.teacher_logits, self.teacher_vectors
        return Examples(
            self.encoded.first(rows),
            self.labels[:rows],
            None if logits is None else logits[:rows],
            None if vectors is None else vectors[:rows],
        )


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps.
        batch_size: rows in a batch.
        learning_rate: peak of a cycle that warms up over a tenth of the steps and falls to zero as a cosine.
        weight_decay: of AdamW.
        evaluations: looks at dev, evenly spread, the last after the last step; 0 keeps the final weights.
        accumulate: batches whose gradients are added up before an optimiser step.
        precision: of the model's passes, `fp32` or `bf16`; weights, their updates and the objective are fp32.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    evaluations: int = 0
    accumulate: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass
class History:
    """What happened, by optimiser step: (step, mean loss since the last entry) and (step, accuracy on dev).

    `seconds` is how long it took, the parts of a training that was stopped and went on added up.
    """

    loss: list[tuple[int, float]] = field(default_factory=list)
    dev_accuracy: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    seconds: float = 0.0


def steps_for(rows: int, batch_size: int, epochs: int) -> int:
    """Optimiser steps of `epochs` passes over `rows` rows."""
    return epochs * -(-rows // batch_size)


def train(
    model: PreTrainedModel,
    examples: Examples,
    dev: Examples,
    objective: Objective,
    schedule: Schedule,
    seed: int,
    advance: Advance = lambda steps: None,
    looked: Look = lambda look, accuracy: None,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Trains the model in place and leaves it with the best weights seen on dev.

    Where torch.distributed is set up, each process of its group calls this with the same arguments, its model on its
    own device. Each takes a share of every batch, and all end with the same weights.

    On CPU the result is equal to the last bit for the same inputs, seed and number of threads. Gradients are clipped to
    a norm of 1, Trainer's default. A training that goes on from a checkpoint ends with the same bits too.

    Args:
        model: on the device to train on.
        examples: the rows to learn from.
        dev: rows with gold labels for choosing the weights; a tie goes to the later ones.
        objective: what to minimise.
        schedule: how long and how fast.
        seed: of dropout and of the order of the batches; each process of a group has masks of dropout of its own.
        advance: called with 1 after each optimiser step.
        looked: called with the number of a look at dev, from 1, and the accuracy; what it raises ends the training.
        checkpoints: where a long training keeps one, and finds the one to go on from; not for a group of processes.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    set_seed(seed)
    watch = _Watch(model, dev, schedule, advance, looked)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = _arguments(scratch, model.device, schedule, seed)
        trainer = _BatchTrainer(model, arguments, examples, objective, watch, checkpoints or Checkpoints(None))
        set_seed(seed + arguments.process_index)
        trainer.carry_out()
    return watch.finish()


def accuracy_on(
    model: PreTrainedModel, examples: Examples, columns: Sequence[int] | None = None, batch_size: int = 128
) -> float:
    """Share of rows whose largest logit is that of the gold class; `columns[n]` is the logit of class n."""
    logits = predict_logits(model, examples.encoded, batch_size)
    predicted = (logits if columns is None else logits[:, columns]).argmax(-1)
    return float((predicted == examples.labels).mean())


def _arguments(scratch: str, device: torch.device, schedule: Schedule, seed: int) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=scratch,
        max_steps=schedule.steps,
        per_device_train_batch_size=schedule.batch_size,
        gradient_accumulation_steps=schedule.accumulate,
        learning_rate=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=schedule.steps // 10,
        optim="adamw_torch_fused",
        bf16=schedule.precision == "bf16",
        seed=seed,
        logging_steps=max(1, schedule.steps // 50),
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=device.type == "cpu",
    )
    # One process trains on one device: nn.DataParallel would copy the model silently, and breaks RNNs.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


class _BatchDataset(Dataset[Batch]):
    """Whole batches by their rows, or one process's share of each: collating is one vectorised look-up."""

    def __init__(self, examples: Examples, process: int, processes: int) -> None:
        self._examples = examples
        self._process = process
        self._processes = processes

    def __getitems__(self, batch_rows: NDArray[np.integer]) -> Batch:
        rows = batch_rows[self._process :: self._processes]
        # Gradients are averaged over the processes, but the mean is one over rows: a larger share counts for more.
        scale = len(rows) * self._processes / len(batch_rows)
        if not len(rows):
            rows = batch_rows[:1]  # something to compute, as the others wait for a gradient
        batch = self._examples.encoded.batch(rows)
        batch["scale"] = torch.tensor(scale)
        batch["labels"] = torch.from_numpy(self._examples.labels[rows].astype(np.int64))
        for name in ("teacher_logits", "teacher_vectors"):
            values = getattr(self._examples, name)
            if values is not None:
                batch[name] = torch.from_numpy(values[rows])
        return batch


class _Learner(torch.nn.Module):
    """The model and its objective as one: what a term learns (a projection) is trained along."""

    def __init__(self, model: PreTrainedModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective.to(model.device)
        self.progress = 0.0

    def forward(
        self,
        labels: Tensor,
        scale: Tensor,
        teacher_logits: Tensor | None = None,
        teacher_vectors: Tensor | None = None,
        **texts: Tensor,
    ) -> Tensor:
        """The objective's loss, not the model's own."""
        states = {"output_hidden_states": True} if self.objective.needs_states else {}
        found = self.model(**texts, **states)
        seen = Seen(
            logits=found.logits.float(),
            labels=labels,
            teacher_logits=teacher_logits,
            teacher_vectors=teacher_vectors,
            # An encoder-decoder has none of that name.
            states=tuple(state.float() for state in found.hidden_states) if states else (),
            input_ids=texts["input_ids"],
            mask=texts["attention_mask"],
            token_type_ids=texts.get("token_type_ids"),
        )
        with torch.autocast(labels.device.type, enabled=False):  # small differences are what it is about
            loss: Tensor = self.objective(seen, self.progress) * scale
        return loss


class _BatchTrainer(ResumableTrainer):
    def __init__(
        self,
        model: PreTrainedModel,
        arguments: TrainingArguments,
        examples: Examples,
        objective: Objective,
        watch: "_Watch",
        checkpoints: Checkpoints,
    ) -> None:
        batches = _BatchDataset(examples, arguments.process_index, arguments.world_size)
        learner = _Learner(model, objective)
        super().__init__(
            learner, watch, checkpoints, args=arguments, train_dataset=batches, callbacks=[watch, _Progress(learner)]
        )
        self._batches = batches
        self.remove_callback(PrinterCallback)
        self._examples = examples
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader[Batch]:
        rows = ShuffledBatches(
            self._examples.encoded.lengths, self.args.per_device_train_batch_size, seed=self.args.seed
        )
        rows.skip(self.steps_before // -(-len(rows) // self.args.gradient_accumulation_steps))
        return DataLoader(self._batches, batch_sampler=rows, collate_fn=_as_it_is)  # type: ignore[arg-type]

    def compute_loss(self, model: torch.nn.Module, inputs: Batch, *_: object, **__: object) -> Tensor:
        """The learner's."""
        loss: Tensor = model(**inputs)
        return loss


def _as_it_is(batch: Batch) -> Batch:
    return batch


class _Progress(TrainerCallback):
    """Tells the learner how much of the training is over, for what changes with it."""

    def __init__(self, learner: _Learner) -> None:
        self._learner = learner

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._learner.progress = state.global_step / max(1, state.max_steps - 1)


class _Watch(TrainerCallback):
    """Looks at dev now and then and remembers the best weights."""

    def __init__(
        self, model: PreTrainedModel, dev: Examples, schedule: Schedule, advance: Advance, looked: Look
    ) -> None:
        self._model = model
        self._looked = looked
        self._dev = dev
        self._advance = advance
        looks = range(1, schedule.evaluations + 1)
        self._marks = {round(look * schedule.steps / schedule.evaluations) for look in looks}
        self._best: tuple[float, dict[str, Tensor]] | None = None
        self._history = History(best_step=schedule.steps)
        self._began = time.monotonic()

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """The best so far; none before the first look."""
        return self._best[1] if self._best else {}

    @property
    def facts(self) -> dict[str, Any]:
        """All else that it knows so far."""
        history = {**asdict(self._history), "seconds": self._seconds}
        return {"history": history, "best": self._best[0] if self._best else None}

    @property
    def _seconds(self) -> float:
        return self._history.seconds + time.monotonic() - self._began

    def restore(self, before: Snapshot) -> None:
        """Goes on from a checkpoint; whoever watches is told what there was to see."""
        told = before.facts["history"]
        pairs = {name: [(step, value) for step, value in told[name]] for name in ("loss", "dev_accuracy")}
        self._history = History(**{**told, **pairs})
        if before.facts["best"] is not None:
            device = self._model.device
            self._best = before.facts["best"], {name: value.to(device) for name, value in before.under("best.").items()}
        self._advance(before.step)
        for look, (_, accuracy) in enumerate(self._history.dev_accuracy, start=1):
            self._looked(look, accuracy)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._advance(1)
        if state.global_step not in self._marks:
            return
        accuracy = accuracy_on(self._model, self._dev)
        self._model.train()
        self._history.dev_accuracy.append((state.global_step, accuracy))
        self._looked(len(self._history.dev_accuracy), accuracy)
        if self._best is None or accuracy >= self._best[0]:
            weights = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
            self._best = accuracy, weights
            self._history.best_step = state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Remembers the loss."""
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise FloatingPointError(f"the training loss is {loss} at step {state.global_step}; lower learning_rate")
        self._history.loss.append((state.global_step, float(loss)))

    def finish(self) -> History:
        if self._best is not None:
            self._model.load_state_dict(self._best[1])
        self._model.eval()  # type: ignore[no-untyped-call]
        self._history.seconds = self._seconds
        return self._history
