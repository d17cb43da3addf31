"""Training objectives: a weighted sum of terms, each a mean over all rows of the batch.

Every term divides by the number of rows, so that its weight means the same whatever the batch holds:
a row without a gold label adds zero to the hard term and still counts.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

NO_LABEL = -100
"""Stands for a missing gold label."""


class SoftCrossEntropy(nn.Module):
    """Softened cross-entropy of Hinton et al. 2015: T^2 * mean of -sum_i p_i log q_i at temperature T.

    The factor T^2 keeps the gradient's size when T changes (its limit for large T is that of matching logits).
    """

    def __init__(self, temperature: float) -> None:
        """Raises ValueError unless `temperature` is above 0."""
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, must be above 0")
        self.temperature = temperature

    def forward(self, logits: Tensor, labels: Tensor | None, teacher_logits: Tensor | None) -> Tensor:
        """Scalar, from student and teacher logits [rows, classes]."""
        wanted = (_present(teacher_logits, "teacher logits") / self.temperature).softmax(-1)
        return self.temperature**2 * functional.cross_entropy(logits / self.temperature, wanted)


class HardCrossEntropy(nn.Module):
    """Cross-entropy with the gold label."""

    def forward(self, logits: Tensor, labels: Tensor | None, teacher_logits: Tensor | None) -> Tensor:
        """Scalar, from logits [rows, classes] and labels [rows] (`NO_LABEL` where there is none)."""
        total = functional.cross_entropy(
            logits, _present(labels, "gold labels"), ignore_index=NO_LABEL, reduction="sum"
        )
        return total / len(logits)


class LogitMSE(nn.Module):
    """Mean squared error between logits (Ba and Caruana 2014; Tang et al. 2019), over rows and classes."""

    def forward(self, logits: Tensor, labels: Tensor | None, teacher_logits: Tensor | None) -> Tensor:
        """Scalar, from student and teacher logits [rows, classes]."""
        return functional.mse_loss(logits, _present(teacher_logits, "teacher logits"))


class Objective(nn.Module):
    """Weighted sum of terms."""

    def __init__(self, terms: Iterable[tuple[float, nn.Module]]) -> None:
        """Takes (weight, term) pairs; raises ValueError without any or with a weight that is not above 0."""
        super().__init__()
        pairs = list(terms)
        if not pairs or any(not weight > 0 for weight, _ in pairs):
            raise ValueError(f"weights are {[weight for weight, _ in pairs]}, need at least one, all above 0")
        self.weights = [weight for weight, _ in pairs]
        self.terms = nn.ModuleList(term for _, term in pairs)

    def forward(self, logits: Tensor, labels: Tensor | None = None, teacher_logits: Tensor | None = None) -> Tensor:
        """Scalar; see the terms for the shapes."""
        losses = [
            weight * term(logits, labels, teacher_logits) for weight, term in zip(self.weights, self.terms, strict=True)
        ]
        return torch.stack(losses).sum()


def _present(target: Tensor | None, what: str) -> Tensor:
    if target is None:
        raise ValueError(f"a term of the objective needs {what}, the batch has none")
    return target


def build_objective(terms: Iterable[tuple[float, str, float]]) -> Objective:
    """The objective of (weight, name, temperature) terms, named as in the recipe: `soft`, `hard`, `logits`.

    Raises:
        KeyError: an unknown name.
        ValueError: a weight or temperature out of range.
    """
    makers: dict[str, Callable[[float], nn.Module]] = {
        "soft": SoftCrossEntropy,
        "hard": lambda _: HardCrossEntropy(),
        "logits": lambda _: LogitMSE(),
    }
    return Objective((weight, makers[name](temperature)) for weight, name, temperature in terms)
