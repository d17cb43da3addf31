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
        for known, record in self.found:
            if known == step or (known.ready and step.ready and known.key == step.key):
                self.do.again(known)
                return cast(Record, record)
        record = self.do(step)
        self.found.append((step, record))
        return record

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
