"""From a recipe that leaves things out to one that says everything: one pure function of the data and `effort`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from tasks.shared.defaults.budgets import BUDGETS, Budget, within
from tasks.shared.defaults.candidates import (
    SURE_CLASSES,
    Changes,
    candidates,
    copies_of,
    dropout_of,
    passes_over,
    wants_copies,
)
from tasks.shared.defaults.facts import DataFacts, Facts, ModelFacts
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_mistakes import first_mistake
from tasks.shared.recipe_teaching import Teacher

_FEW_GOLD = 2000
"""Gold rows below which a teacher learns in batches of 16: larger ones leave it too few optimiser steps."""
_BATCHES = ((8000, 32), (20_000, 64), (float("inf"), 128))
"""Texts below which a student learns in batches of a size: the more there are, the larger, which is faster."""
_NARROW = 384
"""Width at which the peak learning rate of a teacher is 1e-4; wider ones take less (Turc et al. 2019)."""


class Derived(NamedTuple):
    """A value that the recipe leaves out: its dotted path, itself, and the reason, empty where it decides nothing."""

    path: str
    value: Any
    why: str


@dataclass(frozen=True)
class Resolution:
    """A recipe in which everything has a value.

    Attributes:
        recipe: the whole recipe; with candidates, the first of them.
        derived: what was left out, in the recipe's order.
        students: candidates among which dev is to choose, as changes to the recipe, the first of them none.
        twins: those of twins, likewise.
    """

    recipe: ResolvedRecipe
    derived: tuple[Derived, ...]
    students: tuple[Changes, ...] = ({},)
    twins: tuple[Changes, ...] = ({},)


def derive(recipe: Recipe, facts: Facts) -> Resolution:
    """Fills in what a recipe leaves out. The same recipe and facts give the same values, on any machine.

    Args:
        recipe: as the person wrote it; what it says stands.
        facts: of the data, the teachers' models and the machine.
    """
    budget = BUDGETS[recipe.effort]
    read = min(facts.data.tokens, float(budget.longest))  # more of a text is cut off
    facts = replace(facts, data=replace(facts.data, tokens=read))
    asked = [*_teachers(recipe, facts, budget), *_learning(recipe, facts, budget), *_judging(recipe, budget)]
    derived = tuple(one for one in asked if _left_out(recipe, one.path))
    whole = resolved(recipe, {one.path: one.value for one in derived})
    open_ = frozenset(one.path for one in derived)
    return Resolution(whole, derived, *candidates(whole, open_, facts.data, budget))


def resolved(recipe: Recipe, changes: Changes) -> ResolvedRecipe:
    """The recipe with other values at some dotted paths, as one that says everything.

    Raises:
        StillhouseError: no such recipe can be.
    """
    document = recipe.model_dump()
    for path, value in changes.items():
        _put(document, path.split("."), value)
    try:
        return ResolvedRecipe.model_validate(document)
    except ValidationError as error:  # what the recipe says does not go with what follows from the rest
        raise StillhouseError(f"recipe: {first_mistake(error, ResolvedRecipe)}") from None


def _left_out(recipe: Recipe, path: str) -> bool:
    found: Any = recipe
    for part in path.split("."):
        found = found[int(part)] if isinstance(found, list) else getattr(found, part)
    return found is None or found == "auto"


def _put(document: Any, path: list[str], value: Any) -> None:  # noqa: ANN401 - nested plain data
    *parents, last = path
    for part in parents:
        document = document[int(part) if isinstance(document, list) else part]
    document[last] = value


def _teachers(recipe: Recipe, facts: Facts, budget: Budget) -> Iterator[Derived]:
    """How each teacher learns, and labels. A file of labels does not learn."""
    for number, (teacher, model) in enumerate(zip(recipe.teachers, facts.models, strict=True)):
        if teacher.labels is None:
            where = f"teachers.{number}"
            yield from _teacher(teacher, model, facts, budget, where)
            longest = min(budget.longest, model.positions or budget.longest)
            why = _effort(budget) if longest == budget.longest else f"it has positions for {longest} tokens"
            yield Derived(f"{where}.max_length", longest, why)
    yield Derived("labelling.precision", facts.precision, _precision(facts))


def _teacher(teacher: Teacher, model: ModelFacts, facts: Facts, budget: Budget, where: str) -> Iterator[Derived]:
    if teacher.epochs == 0:
        yield from _as_it_is(where)
        return
    rows, classes = facts.data.gold, facts.data.classes
    batch = teacher.batch_size or (16 if rows < _FEW_GOLD else 32)
    wanted = budget.teacher_steps + budget.teacher_steps_a_class * classes
    passes = within(wanted / -(-rows // batch), budget.teacher_passes)
    steps = passes * -(-rows // batch)
    why = f"{steps:,} optimiser steps; {classes} classes call for {wanted:,}"
    if passes == budget.teacher_passes[1]:
        why += f", {_effort(budget)} allows {passes} passes"
    yield Derived(f"{where}.epochs", passes, why)
    yield Derived(f"{where}.batch_size", batch, f"{rows:,} gold rows")
    rate = _two_digits(min(2e-4, 1e-4 * _NARROW / (model.width or 2 * _NARROW)))
    yield Derived(f"{where}.learning_rate", rate, f"its hidden states are {model.width or 'perhaps 768'} wide")
    yield Derived(f"{where}.precision", facts.precision, _precision(facts))


def _as_it_is(where: str) -> Iterator[Derived]:
    """What a classifier that is not trained has no use for: the same whatever the data, as it is part of its key."""
    for name, value in {"batch_size": 16, "learning_rate": 5e-5, "precision": "fp32"}.items():
        yield Derived(f"{where}.{name}", value, "")


def _learning(recipe: Recipe, facts: Facts, budget: Budget) -> Iterator[Derived]:
    """What students and twins are, and how they learn."""
    data, student = facts.data, recipe.student
    of_labels = any(teacher.labels is not None for teacher in recipe.teachers)
    wanted = recipe.augment.changes and wants_copies(data) and not of_labels
    copies = copies_of(data.transfer, data, budget) if wanted else 0
    if recipe.augment.copies is not None:
        copies = recipe.augment.copies
    if not student.teacher_layers:
        why = "the file's vectors are so wide" if facts.vectors else _effort(budget)
        yield Derived("student.embedding_size", facts.vectors or budget.width, why)
    if not (student.teacher_layers or student.configuration):
        heads = student.heads if student.family == "transformer" else 1
        yield Derived("student.hidden_size", -(-budget.width // heads) * heads, _effort(budget))
    known = student.embeddings != "random"
    why = _effort(budget) if known else "a token that no text has would keep the vector that it drew"
    yield Derived("student.vocabulary", budget.vocabulary if known else 0, why)
    rows = data.transfer * (1 + copies)
    batch = recipe.training.batch_size or next(size for most, size in _BATCHES if rows < most)
    passes = passes_over(rows, batch, data, budget)
    met = (recipe.training.epochs or passes) * (1 + copies)
    yield Derived("student.dropout", dropout_of(recipe.training.epochs or passes, copies), _met(met, copies))
    temperature = 2.0 if data.classes <= SURE_CLASSES else 1.0
    terms = [{"term": "soft", "temperature": temperature}]
    softened = "the likeliest keeps most of its probability" if temperature > 1 else "none would stand out"
    yield Derived("objective", terms, f"{data.classes} classes: softened, {softened}")
    steps = f"{passes * -(-rows // batch):,} optimiser steps"
    yield Derived("training.epochs", passes, f"{steps} over {rows:,} texts of about {data.tokens:.0f} tokens")
    yield Derived("training.batch_size", batch, f"{rows:,} texts to learn from")
    slow = student.family == "transformer"
    yield Derived("training.learning_rate", 1e-3 if slow else 3e-3, f"a {student.family}")
    yield Derived("training.evaluations", budget.evaluations, _effort(budget))
    yield Derived("training.precision", facts.precision, _precision(facts))
    yield Derived("augment.copies", copies, _of_copies(data, of_labels, recipe.augment.changes, budget))
    yield from _twin(recipe, facts, budget, batch, (recipe.training.epochs or passes) * -(-rows // batch))


def _of_copies(data: DataFacts, of_labels: bool, changes: bool, budget: Budget) -> str:
    """Why there are as many changed copies as there are."""
    if of_labels:
        return "labels made elsewhere say nothing of copies"
    if not changes:
        return "augment changes no word"
    if wants_copies(data):
        return f"{data.transfer:,} texts, {_effort(budget)}"
    if data.classes > SURE_CLASSES:
        return f"{data.classes} classes: a changed word may make another one"
    return f"{data.transfer:,} texts for {data.gold:,} gold rows are enough"


def _twin(recipe: Recipe, facts: Facts, budget: Budget, batch: int, matched: int) -> Iterator[Derived]:
    """How twins learn, before dev chooses; `matched` is how many optimiser steps the students make."""
    copies = recipe.twin.copies or 0
    rows = facts.data.gold * (1 + copies)
    passes = passes_over(rows, batch, facts.data, budget)
    of_rows = f"{rows:,} gold rows" + (", copies included" if copies else "")
    yield Derived("twin.epochs", passes, f"{passes * -(-rows // batch):,} optimiser steps over {of_rows}")
    dropout, why = recipe.student.dropout, "as the student's"
    if dropout is None:
        asked = recipe.twin.epochs
        of_students = max(1, matched // -(-rows // batch))
        learnt = passes if asked is None else of_students if asked == "matched" else asked
        dropout, why = dropout_of(learnt, copies), _met(learnt * (1 + copies), copies)
    yield Derived("twin.dropout", dropout, why)
    yield Derived("twin.copies", 0, "none, unless dev prefers some" if budget.race > 1 else _effort(budget))


def _judging(recipe: Recipe, budget: Budget) -> Iterator[Derived]:
    """What is measured, and among how many dev chooses."""
    yield Derived("race", budget.race, _effort(budget))
    baselines = ["unaugmented"] if recipe.augment.copies else []
    yield Derived("baselines", baselines, "the recipe sets augment.copies" if baselines else "none is asked for")
    yield Derived("robustness.texts", budget.noisy, _effort(budget))


def _met(times: int, copies: int) -> str:
    """How often a small model meets a text."""
    return f"each text is met {times:,} times" + (", mostly changed" if copies else "")


def _effort(budget: Budget) -> str:
    return f"effort: {budget.name}"


def _precision(facts: Facts) -> str:
    return f"this machine multiplies fastest in {facts.precision}"


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")
