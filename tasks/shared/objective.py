"""From the objective of a recipe to the terms that are computed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tasks.shared.encoder_file import empty_student
from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.recipe_learning import INSIDE, Term

if TYPE_CHECKING:
    from models.objectives import Objective, Weighted
    from models.objectives.seen import Term as ComputedTerm
    from models.student import Student

_LOOKED_AT = 10_000
TEACHER_IDS = "teacher-ids.npy"
"""In the folder of shared beginnings: the teacher's token id of each of the student's."""


def flattened(terms: Sequence[Term], logits: NDArray[np.float32]) -> str | None:
    """What to say of a temperature that leaves the teacher's likeliest class less than a third of its belief.

    Where it left 0.26 and 0.27 (77 and 150 classes) students were clearly worse than at 1, where 0.46 (8 classes) not.

    Args:
        terms: the recipe's.
        logits: the teacher's, [rows, classes]; some 10,000 rows of them are looked at.
    """
    some = logits[:: max(1, len(logits) // _LOOKED_AT)]
    sure = mean_confidence(some, 1.0)
    for term in terms:
        if term.term in ("soft", "decoupled") and mean_confidence(some, term.temperature) < 1 / 3 and sure >= 0.5:
            at = f"{mean_confidence(some, term.temperature):.0%} at temperature {term.temperature:g}, {sure:.0%} at 1"
            return f"objective.{term.term}: the teacher gives the class it names {at}; students may learn more at 1"
    return None


def check_classes(terms: Sequence[Term], classes: int) -> None:
    """Raises StillhouseError unless every term of a recipe can be asked of so many classes."""
    if classes < 3 and any(term.term == "standardised" for term in terms):
        raise StillhouseError(
            "objective.standardised: of two classes only the order is left, so it takes three; use soft or logits"
        )


def check_shape(terms: Sequence[Term], encoder: Mapping[str, Any]) -> None:
    """Raises StillhouseError unless a configuration has the layers and the attention that terms of a recipe match."""
    if not any(term.term in INSIDE for term in terms):
        return
    student = empty_student(encoder)
    states = len(student.state_widths)
    for term in terms:
        if term.term == "hidden" and len(term.layers) > states:
            raise StillhouseError(
                f"objective.hidden: {len(term.layers)} layers of the teacher are named, but student.configuration has "
                f"{states} to match, its token vectors counted"
            )
        if term.term == "relation":
            _check_attention(student)


def _check_attention(student: "Student") -> None:
    from models.objectives.relations import attention_of

    try:
        attention_of(student, -1, heads_of(student))
    except ValueError as error:
        raise StillhouseError(f"objective.relation: student.configuration: {one_line(error)}") from None


def heads_of(student: "Student") -> int:
    """In how many heads a transformer attends; raises ValueError where its configuration does not say."""
    heads = getattr(cast(Any, student.encoder).config, "num_attention_heads", None)
    if not isinstance(heads, int):
        raise ValueError(f"{type(student.encoder).__name__} does not say in how many heads it attends")
    return heads


def mean_confidence(logits: NDArray[np.float32], temperature: float) -> float:
    """Mean probability, at a temperature, of the likeliest class of each row."""
    away = (logits - logits.max(1, keepdims=True)) / temperature
    return float(np.mean(1 / np.exp(away).sum(1)))


def hard_objective() -> "Objective":
    """Cross-entropy with gold labels alone."""
    from models.objectives import HardCrossEntropy, Objective, Weighted

    return Objective([Weighted(HardCrossEntropy())])


def objective_of(
    terms: Sequence[Term], student: "Student", vector_width: int, teacher: Path | None, prepared: Path
) -> "Objective":
    """The objective of a student.

    Args:
        terms: the recipe's.
        student: on its device.
        vector_width: of each of the teacher's vectors, where there are any.
        teacher: folder of the one whose attention is looked at, where one is.
        prepared: the folder of shared beginnings.

    Raises:
        StillhouseError: the student is not of a shape that a term could be asked of.
    """
    from models.objectives import Objective

    check_classes(terms, int(student.config.num_labels or 0))
    try:
        return Objective(_weighted(term, student, vector_width, teacher, prepared) for term in terms)
    except ValueError as error:
        raise StillhouseError(f"objective: {one_line(error)}") from None


def _weighted(term: Term, student: "Student", vector_width: int, teacher: Path | None, prepared: Path) -> "Weighted":
    from models.objectives import Ramp, Weighted

    return Weighted(
        _computed(term, student, vector_width, teacher, prepared),
        Ramp(term.weight, term.weight if term.final_weight is None else term.final_weight),
        Ramp(term.temperature, term.final_temperature or term.temperature),
    )


def _computed(
    term: Term, student: "Student", vector_width: int, teacher: Path | None, prepared: Path
) -> "ComputedTerm":
    from models import objectives

    match term.term:
        case "soft":
            return objectives.SoftCrossEntropy()
        case "hard":
            return objectives.HardCrossEntropy()
        case "logits":
            return objectives.LogitMSE()
        case "decoupled":
            return objectives.DecoupledKL(term.beta)
        case "standardised":
            return objectives.StandardisedCrossEntropy()
        case "hidden":
            widths = student.state_widths[-len(term.layers) :]
            if len(widths) < len(term.layers):
                raise ValueError(
                    f"hidden names {len(term.layers)} layers of the teacher, the student has {len(widths)}"
                )
            return objectives.HiddenDistance(widths, vector_width, term.distance)
        case "relation":
            return _relation(term, student, teacher, prepared)


def _relation(term: Term, student: "Student", teacher: Path | None, prepared: Path) -> "ComputedTerm":
    import torch

    from models.objectives import RelationKL
    from models.teacher import load_classifier

    if teacher is None:
        raise ValueError("relation needs a teacher to look into")
    model, _ = load_classifier(teacher, str(student.device))
    ids = torch.from_numpy(np.load(prepared / TEACHER_IDS, allow_pickle=False)).to(student.device)
    return RelationKL(student, model, term.layers[0], ids, heads_of(student))
