"""Asking for each step once, so that what several parts of a run share is not carried out, or shown, again."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from tasks.shared.defaults.derive import Resolution
from tasks.shared.defaults.facts import DataFacts
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.recipe import Recipe
from tasks.shared.steps import Do, Record, Step


@dataclass(frozen=True)
class Once:
    """Passes on what it is asked for the first time, and remembers the records.

    Attributes:
        do: what carries steps out.
        found: steps that were asked for, with their records. A plan's may have no key yet, so they are compared whole.
    """

    do: Do
    found: list[tuple[Step[Any], Any]] = field(default_factory=list)

    def __call__(self, step: Step[Record]) -> Record:
        """The record of a step."""
        return self.together([step])[0]

    def together(self, steps: Sequence[Step[Record]]) -> list[Record]:
        """See `Do.together`."""
        new = [step for step in steps if self._before(step) is None]
        records = self.do.together(new) if len(new) > 1 else [self.do(step) for step in new]
        self.found.extend(zip(new, records, strict=True))
        for step in steps:
            if step not in new:
                self.do.again(step)
        return [cast(Record, before[1]) for before in map(self._before, steps) if before]

    def _before(self, step: Step[Any]) -> tuple[Step[Any], Any] | None:
        """A step that was asked for, which is the same as this one, with its record."""
        same = (one for one in self.found if one[0] == step or _same_key(one[0], step))
        return next(same, None)

    def resolve(self, recipe: Recipe, data: DataFacts | None) -> Resolution:
        """See `Do.resolve`."""
        return self.do.resolve(recipe, data)

    def settle(self, recipe: ResolvedRecipe, *, final: bool) -> None:
        """See `Do.settle`."""
        self.do.settle(recipe, final=final)

    def of_draw(self, number: int) -> "Once":
        """The same for a draw of labels, which shares nothing: a record holds more of the data than a key decides."""
        return replace(self, do=self.do.of_draw(number), found=[])

    def aside(self, suffix: str) -> "Once":
        """See `Do.aside`."""
        return replace(self, do=self.do.aside(suffix))

    def again(self, step: Step[Any]) -> None:
        """See `Do.again`."""
        self.do.again(step)

    def spread(self, step: Step[Any], shares: Sequence[Step[Any]]) -> None:
        """See `Do.spread`."""
        if all(known != step for known, _ in self.found):
            self.do.spread(step, shares)
            return
        for share in shares:
            self.do.again(share)


def _same_key(one: Step[Any], other: Step[Any]) -> bool:
    return one.ready and other.ready and one.key == other.key
