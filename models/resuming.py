"""transformers' Trainer with checkpoints of our own: its are pickled, and lack the best weights and the history."""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from models.checkpoint import Checkpoints, Snapshot, random_states, restore_random_states


class Witness(Protocol):
    """Who remembers the best weights and the history of a training."""

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """The best so far, by name; none before they are known."""

    @property
    def facts(self) -> dict[str, Any]:
        """All else, as plain data."""

    def restore(self, before: Snapshot) -> None:
        """Sets back what a checkpoint has of it, the best weights under `best.`."""


class ResumableTrainer(Trainer):
    """Goes on from a checkpoint to the bits that an undisturbed training ends with."""

    def __init__(self, learner: torch.nn.Module, witness: Witness, checkpoints: Checkpoints, **settings: Any) -> None:  # noqa: ANN401 - Trainer's
        """Takes what is trained, who watches, where checkpoints are kept, and the settings of Trainer."""
        super().__init__(model=learner, **settings)
        self.add_callback(_Keeper(self, checkpoints))
        self._learner = learner
        self._witness = witness
        self._checkpoints = checkpoints
        self._before: Snapshot | None = None

    def carry_out(self) -> None:
        """Trains, from the beginning or from the checkpoint."""
        found = self._checkpoints.latest(self.args.device)
        if found is None:
            self.train()
            return
        folder, self._before = found
        self._witness.restore(self._before)
        self.train(resume_from_checkpoint=str(folder))

    @property
    def steps_before(self) -> int:
        """Optimiser steps that were done when it began."""
        return self._before.step if self._before else 0

    def restore_logging(self) -> None:
        """Sets back what is known of the loss since it was last logged; Trainer begins with zero."""
        if self._before is not None:
            self._tr_loss += self._before.tensors["loss"].to(self._tr_loss.device)
            self._total_loss_scalar = self._before.facts["total_loss"]
            self._globalstep_last_logged = self._before.facts["logged"]

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        """Trainer calls it between two steps, when all is logged, if a callback has asked for it."""
        optimizer, scheduler = self._moving
        adam = optimizer.state_dict()
        drawn, generators = random_states(self.args.device)
        tensors = {
            **{f"learner.{name}": tensor for name, tensor in _changing(self._learner).items()},
            **{f"adam.{row}.{name}": value for row, one in adam["state"].items() for name, value in one.items()},
            **{f"best.{name}": tensor for name, tensor in self._witness.best_weights.items()},
            **drawn,
            "loss": self._tr_loss,
        }
        facts = {
            "groups": adam["param_groups"],
            "scheduler": scheduler.state_dict(),
            "generators": generators,
            "total_loss": self._total_loss_scalar,
            "logged": self._globalstep_last_logged,
            **self._witness.facts,
        }
        self._checkpoints.write(
            Snapshot(self.state.global_step, tensors, facts),
            self.args.device,
            lambda folder: self.state.save_to_json(str(folder / TRAINER_STATE_NAME)),
        )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        with torch.no_grad():
            for name, tensor in _changing(self._learner).items():
                tensor.copy_(self._known.tensors[f"learner.{name}"])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self._known.under("adam.").items():
            row, _, part = name.partition(".")
            state.setdefault(int(row), {})[part] = tensor
        optimizer, scheduler = self._moving
        optimizer.load_state_dict({"state": state, "param_groups": self._known.facts["groups"]})
        scheduler.load_state_dict(self._known.facts["scheduler"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        restore_random_states(self._known.tensors, self._known.facts["generators"], self.args.device)

    @property
    def _moving(self) -> tuple[Optimizer, LRScheduler]:
        if self.optimizer is None or self.lr_scheduler is None:
            raise RuntimeError("Trainer has not begun")
        return self.optimizer, self.lr_scheduler

    @property
    def _known(self) -> Snapshot:
        if self._before is None:
            raise RuntimeError("there is nothing to go on from")
        return self._before


def _changing(learner: torch.nn.Module) -> dict[str, Tensor]:
    """What training changes of a model and of its objective, each tensor once."""
    learnt = {name: parameter for name, parameter in learner.named_parameters() if parameter.requires_grad}
    return {**learnt, **dict(learner.named_buffers())}


class _Keeper(TrainerCallback):
    """Asks for a checkpoint when one is due."""

    def __init__(self, trainer: ResumableTrainer, checkpoints: Checkpoints) -> None:
        self._trainer = trainer
        self._checkpoints = checkpoints

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ANN401 - Trainer's
        """Trainer has just set to zero what it knows of the loss."""
        self._trainer.restore_logging()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ANN401 - Trainer's
        """Trainer saves a little later, when the step's loss is logged."""
        control.should_save = self._checkpoints.due and state.global_step < state.max_steps
