"""How much work each position of the dial `effort` may make."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.shared.recipe import Effort


@dataclass(frozen=True)
class Budget:
    """What one position of the dial allows.

    Attributes:
        name: of the position.
        teacher_steps: optimiser steps of a teacher, and `teacher_steps_a_class` more for each class.
        teacher_steps_a_class: see there.
        teacher_passes: fewest and most passes of a teacher over gold.
        labelled: tokens of transfer text, copies included, that a teacher labels.
        steps: optimiser steps of a student, and `steps_a_class` more for each class, if `read` allows.
        steps_a_class: see there.
        read: tokens that a student reads in training at most, but for the fewest passes.
        passes: fewest passes of a student over the transfer set, or of a twin over gold.
        copies: most changed copies of a text.
        width: of token vectors and hidden states.
        vocabulary: tokens that a student has, where the texts use fewer.
        longest: tokens that a teacher reads of a text.
        race: candidates among which dev chooses.
        evaluations: looks at dev of a training.
        noisy: test texts that mistakes are put into.
    """

    name: Effort
    teacher_steps: int
    teacher_steps_a_class: int
    teacher_passes: tuple[int, int]
    labelled: float
    steps: int
    steps_a_class: int
    read: float
    passes: int
    copies: int
    width: int
    vocabulary: int
    longest: int
    race: int
    evaluations: int
    noisy: int


def within(value: float, bounds: tuple[int, int]) -> int:
    """A whole number near a value, within bounds."""
    least, most = bounds
    return max(least, min(most, round(value)))


BUDGETS: Mapping[Effort, Budget] = {
    "quick": Budget(
        name="quick",
        teacher_steps=200,
        teacher_steps_a_class=12,
        teacher_passes=(2, 10),
        labelled=0.3e6,
        steps=900,
        steps_a_class=12,
        read=2e6,
        passes=2,
        copies=4,
        width=64,
        vocabulary=0,
        longest=64,
        race=1,
        evaluations=6,
        noisy=50,
    ),
    "standard": Budget(
        name="standard",
        teacher_steps=400,
        teacher_steps_a_class=24,
        teacher_passes=(3, 20),
        labelled=1.2e6,
        steps=1000,
        steps_a_class=12,
        read=8e6,
        passes=3,
        copies=8,
        width=128,
        vocabulary=30_000,
        longest=128,
        race=2,
        evaluations=8,
        noisy=100,
    ),
    "thorough": Budget(
        name="thorough",
        teacher_steps=600,
        teacher_steps_a_class=36,
        teacher_passes=(3, 30),
        labelled=10e6,
        steps=4000,
        steps_a_class=40,
        read=40e6,
        passes=2,
        copies=20,
        width=192,
        vocabulary=30_000,
        longest=256,
        race=4,
        evaluations=12,
        noisy=200,
    ),
}
