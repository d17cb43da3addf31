"""The part of the recipe that says what a sweep tries."""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from tasks.shared.recipe_section import Section, Seed

SWEPT = ("student", "objective", "training", "augment", "data.unlabelled")
"""What trials may differ in: they share teachers, and gold labels."""
MOST_COMBINATIONS = 5000


class Range(Section):
    """Numbers from `low` to `high`, both included; whole ones where both are."""

    low: int | float = Field(description="The lowest.")
    high: int | float = Field(description="The highest.")
    log: bool = Field(False, description="Whether to search evenly in its logarithm, as for learning rates.")

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _goes_up(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"goes from {self.low} to {self.high}; low must be below high")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range cannot begin at {self.low}")
        return self


def as_key(changes: Mapping[str, Any]) -> str:
    """The same for the same changes, whatever space they are of and in whatever order they stand."""
    return json.dumps(changes, sort_keys=True)


def _listed(space: dict[str, Any]) -> dict[str, Any]:
    """A space in which a value alone is a list of one."""
    return {path: found if isinstance(found, (list, dict, Range)) else [found] for path, found in space.items()}


Choices = Annotated[list[Any], Field(min_length=1, max_length=1000)]
Tried = Annotated[
    Annotated[Choices, Tag("values")] | Annotated[Range, Tag("range")],
    Discriminator(lambda found: "range" if isinstance(found, (dict, Range)) else "values"),
]
Space = Annotated[dict[str, Tried], Field(min_length=1)]


class Sweep(Section):
    """What `stillhouse sweep` tries: students of one set of soft labels, of which dev chooses."""

    trials: int = Field(20, ge=1, le=10_000, description="Students to try.")
    space: list[Space] = Field(
        min_length=1,
        max_length=100,
        description="What to try: the recipe's paths, each with a list of values or with low, high and perhaps log. "
        "Several of them in a list are tried side by side, where what goes with one does not go with another. Paths "
        f"begin with {', '.join(SWEPT)}.",
    )
    pruning: bool = Field(
        True,
        description="Stop a student that at a look does worse on dev than most of the same space did at theirs.",
    )
    seed: Seed = Field(0, description="Seed of the search; the students' is the first of seeds.")

    @field_validator("space", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:  # noqa: ANN401 - not validated yet
        spaces = [value] if isinstance(value, dict) else value
        if not isinstance(spaces, list):
            return spaces
        return [_listed(space) if isinstance(space, dict) else space for space in spaces]

    @field_validator("space")
    @classmethod
    def _of_students(cls, spaces: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        for path in (path for space in spaces for path in space):
            if not any(path == start or path.startswith(f"{start}.") for start in SWEPT):
                raise ValueError(
                    f"{path} cannot be tried, as all students share it; paths begin with {', '.join(SWEPT)}"
                )
        return spaces

    def corners(self) -> Iterator[dict[str, Any]]:
        """Every combination of values, of ranges the ends."""
        for space in self.space:
            values = [[found.low, found.high] if isinstance(found, Range) else found for found in space.values()]
            for some in product(*values):
                yield dict(zip(space, some, strict=True))

    @property
    def size(self) -> int | None:
        """How many different students there are; None where a range makes it endless, or nearly so."""
        if any(isinstance(found, Range) for space in self.space for found in space.values()):
            return None
        return len({as_key(changes) for changes in self.corners()})

    @property
    def most_trials(self) -> int:
        """How many trials are carried out in all: no student is tried twice."""
        size = self.size
        return self.trials if size is None else min(size, self.trials)

    @model_validator(mode="after")
    def _not_too_many(self) -> "Sweep":
        for number, _ in enumerate(self.corners(), start=1):
            if number > MOST_COMBINATIONS:
                raise ValueError(
                    f"space has more than {MOST_COMBINATIONS:,} combinations; list fewer values, or a range"
                )
        return self
