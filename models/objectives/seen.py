"""What a term of the objective may look at, and what it must be."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

NO_LABEL = -100
"""Stands for a missing gold label."""


@dataclass(frozen=True)
class Seen:
    """A batch as student and teacher saw it.

    Attributes:
        logits: the student's, [rows, classes].
        labels: gold classes, `NO_LABEL` where there is none, [rows].
        teacher_logits: the teacher's, [rows, classes].
        teacher_vectors: mean state of a text's tokens in some of the teacher's layers, [rows, layers, width].
        states: of the student's token vectors and layers, each [rows, tokens, width].
        input_ids: token ids, [rows, tokens].
        mask: which tokens are no padding, [rows, tokens].
        token_type_ids: segment of each token, [rows, tokens], where the tokenizer tells pairs apart so.
    """

    logits: Tensor
    labels: Tensor | None = None
    teacher_logits: Tensor | None = None
    teacher_vectors: Tensor | None = None
    states: tuple[Tensor, ...] = ()
    input_ids: Tensor | None = None
    mask: Tensor | None = None
    token_type_ids: Tensor | None = None


class Term(nn.Module):
    """One term: a mean over all rows of the batch, whatever the batch holds, so that its weight means the same."""

    needs_states = False
    """Whether it looks at the student's states."""

    @abstractmethod
    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar; raises ValueError where the batch lacks what the term needs."""


def present(target: Tensor | None, what: str) -> Tensor:
    """The target; raises ValueError where there is none."""
    if target is None:
        raise ValueError(f"a term of the objective needs {what}, the batch has none")
    return target
