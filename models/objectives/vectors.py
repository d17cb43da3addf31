"""Term hidden: the student's states, projected, should point where the teacher's do."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.objectives.seen import Seen, Term, present

DISTANCES = ("cosine", "mse")


class HiddenDistance(Term):
    """Distance between a teacher's vector of the text and the student's, projected to the same width.

    After FitNets (Romero et al. 2015) and patient distillation (Sun et al. 2019). A text's vector in a layer is the
    mean state of its tokens. The layers asked of the teacher are matched with the student's last ones, in order. Cosine
    distance is 1 - cos; mean squared error is over components too. Both are means over rows and layers.
    """

    needs_states = True

    def __init__(self, student_widths: Sequence[int], teacher_width: int, distance: str) -> None:
        """Takes the width of each of the student's matched layers; raises ValueError for an unknown distance."""
        super().__init__()
        if distance not in DISTANCES:
            raise ValueError(f"distance is {distance!r}; known: {[*DISTANCES]}")
        self.distance = distance
        self.projections = nn.ModuleList(nn.Linear(width, teacher_width, bias=False) for width in student_widths)

    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar, from states [rows, tokens, width] and teacher vectors [rows, layers, teacher's width]."""
        wanted = present(seen.teacher_vectors, "teacher vectors").to(seen.logits.dtype)
        mask = present(seen.mask, "a mask").to(seen.logits.dtype)
        losses = [
            self._apart(projection(_mean(states, mask)), wanted[:, place])
            for place, (projection, states) in enumerate(
                zip(self.projections, seen.states[-len(self.projections) :], strict=True)
            )
        ]
        return torch.stack(losses).mean()

    def _apart(self, found: Tensor, wanted: Tensor) -> Tensor:
        if self.distance == "mse":
            return functional.mse_loss(found, wanted)
        return (1 - functional.cosine_similarity(found, wanted, dim=-1)).mean()


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean state of each text's tokens, [rows, width]; nought for a text without any."""
    total = torch.einsum("rtw,rt->rw", states.masked_fill(mask[..., None] == 0, 0), mask)
    return total / mask.sum(1, keepdim=True).clamp(min=1)
