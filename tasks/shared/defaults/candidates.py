"""The few recipes among which dev chooses, for what a recipe leaves out and no rule can know beforehand."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from tasks.shared.defaults.budgets import Budget, within
from tasks.shared.defaults.facts import DataFacts
from tasks.shared.defaults.resolved import ResolvedRecipe

SURE_CLASSES = 10
"""Classes up to which they are far apart: a changed word seldom makes another one, and a temperature of 2 leaves the
teacher's likeliest class most of its belief."""
_ABOUNDS = 3
"""As many times more transfer texts than gold rows are more than copies can add to."""

_SELDOM = 10
"""Times that a text is met, its copies counted."""
MOST_PASSES = 10_000
"""As many as a recipe may have."""

Changes = Mapping[str, Any]
"""To a recipe: value by dotted path."""


def passes_over(rows: int, batch: int, data: DataFacts, budget: Budget) -> int:
    """Passes over so many rows that make the optimiser steps which the classes want, if the tokens allow."""
    steps = budget.steps + budget.steps_a_class * data.classes
    allowed = budget.read / (rows * data.tokens)
    return max(budget.passes, round(min(steps / -(-rows // batch), allowed, MOST_PASSES)))


def dropout_of(passes: int, copies: int) -> float:
    """Dropout of small models: little where a text is met so seldom that nobody learns it by heart."""
    if passes * (1 + copies) < _SELDOM:
        return 0.1
    return 0.3 if copies else 0.4


def wants_copies(data: DataFacts) -> bool:
    """Whether changed copies may help: there is little other text, and a changed word seldom makes another class."""
    return data.transfer < _ABOUNDS * data.gold and data.classes <= SURE_CLASSES


def copies_of(rows: int, data: DataFacts, budget: Budget) -> int:
    """Changed copies of each of so many rows that the tokens which a teacher labels allow."""
    return within(budget.labelled / (rows * data.tokens) - 1, (0, budget.copies))


def candidates(
    recipe: ResolvedRecipe, left_out: frozenset[str], data: DataFacts, budget: Budget
) -> tuple[tuple[Changes, ...], tuple[Changes, ...]]:
    """Candidates for students and for twins, as changes to the recipe, the first of each none.

    Args:
        recipe: in which everything has a value.
        left_out: paths that the person left out; no other is changed.
        data: what is known of the data.
        budget: of the dial.
    """
    students = _students(recipe, left_out, data, budget)
    twins = _twins(recipe, left_out, data, budget)
    return tuple(islice(students, recipe.race)), tuple(islice(twins, recipe.race))


def _students(recipe: ResolvedRecipe, left_out: frozenset[str], data: DataFacts, budget: Budget) -> Iterator[Changes]:
    yield {}
    batch, copies = recipe.training.batch_size, recipe.augment.copies
    passes = min(2 * recipe.training.epochs, MOST_PASSES)
    if "augment.copies" in left_out and copies:
        alone = passes_over(data.transfer, batch, data, budget)
        changed = {"training.epochs": alone, "student.dropout": dropout_of(alone, 0)}
        yield {"augment.copies": 0, **_some(changed, left_out)}
    if "training.epochs" in left_out and passes > recipe.training.epochs:
        changed = {"student.dropout": dropout_of(passes, copies)}
        same = changed["student.dropout"] == recipe.student.dropout
        yield {"training.epochs": passes, **({} if same else _some(changed, left_out))}


def _twins(recipe: ResolvedRecipe, left_out: frozenset[str], data: DataFacts, budget: Budget) -> Iterator[Changes]:
    yield {}
    batch = recipe.training.batch_size
    copies = copies_of(data.gold, data, budget)
    if "twin.copies" in left_out and copies and recipe.augment.changes:
        passes = passes_over(data.gold * (1 + copies), batch, data, budget)
        dropout = dropout_of(passes, copies) if "student.dropout" in left_out else recipe.student.dropout
        changed = {"twin.epochs": passes, "twin.dropout": dropout}
        yield {"twin.copies": copies, **_some(changed, left_out)}
    if "twin.epochs" in left_out and recipe.twin.epochs != "matched":
        students = recipe.training.epochs * -(-data.transfer * (1 + recipe.augment.copies) // batch)
        if students != recipe.twin.epochs * -(-data.gold // batch):
            yield {"twin.epochs": "matched"}
        if recipe.twin.epochs > 1:
            yield {"twin.epochs": recipe.twin.epochs // 2}


def _some(changes: Changes, left_out: frozenset[str]) -> Changes:
    return {path: value for path, value in changes.items() if path in left_out}
