"""Training objectives: a weighted sum of terms, each a mean over all rows of the batch.

Every term divides by the number of rows, so that its weight means the same whatever the batch holds: a row without a
gold label adds zero to the hard term and still counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.objectives.outputs import (
    DecoupledKL,
    HardCrossEntropy,
    LogitMSE,
    SoftCrossEntropy,
    StandardisedCrossEntropy,
)
from models.objectives.relations import RelationKL
from models.objectives.seen import NO_LABEL, Seen, Term
from models.objectives.vectors import HiddenDistance

__all__ = [
    "NO_LABEL",
    "DecoupledKL",
    "HardCrossEntropy",
    "HiddenDistance",
    "LogitMSE",
    "Objective",
    "Ramp",
    "RelationKL",
    "Seen",
    "SoftCrossEntropy",
    "StandardisedCrossEntropy",
    "Term",
    "Weighted",
]


@dataclass(frozen=True)
class Ramp:
    """A number that changes evenly over the training, from `first` to `last`."""

    first: float
    last: float

    def at(self, progress: float) -> float:
        """The number at a point of the training, 0 to 1."""
        return self.first + (self.last - self.first) * progress


@dataclass(frozen=True)
class Weighted:
    """A term with its weight and its temperature; those that have none take no notice.

    Raises:
        ValueError: a weight is below 0, or 0 all the time, or a temperature is not above 0.
    """

    term: Term
    weight: Ramp = Ramp(1.0, 1.0)
    temperature: Ramp = Ramp(1.0, 1.0)

    def __post_init__(self) -> None:
        """Checks the ranges."""
        weight, temperature = self.weight, self.temperature
        if not (min(weight.first, weight.last) >= 0 and max(weight.first, weight.last) > 0):
            raise ValueError(f"weight goes from {weight.first} to {weight.last}, must not be below or stay at 0")
        if not min(temperature.first, temperature.last) > 0:
            raise ValueError(f"temperature goes from {temperature.first} to {temperature.last}, must be above 0")


class Objective(nn.Module):
    """Weighted sum of terms."""

    def __init__(self, parts: Iterable[Weighted]) -> None:
        """Raises ValueError without any term."""
        super().__init__()
        self.parts = list(parts)
        if not self.parts:
            raise ValueError("an objective needs a term at least")
        self.terms = nn.ModuleList(part.term for part in self.parts)  # those that learn something are trained along

    @property
    def needs_states(self) -> bool:
        """Whether a term looks at the student's states."""
        return any(part.term.needs_states for part in self.parts)

    def forward(self, seen: Seen, progress: float = 0.0) -> Tensor:
        """Scalar, from a batch and how much of the training is over, 0 to 1."""
        losses = [part.weight.at(progress) * part.term(seen, part.temperature.at(progress)) for part in self.parts]
        return torch.stack(losses).sum()
