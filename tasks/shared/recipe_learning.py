"""The parts of the recipe about how the student learns."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.shared.recipe_section import Section, TrainingPrecision

TermName = Literal["soft", "hard", "logits", "decoupled", "standardised", "hidden", "relation"]
_SOFTENED = frozenset({"temperature", "final_temperature"})
_OPTIONS: dict[TermName, frozenset[str]] = {
    "soft": _SOFTENED,
    "hard": frozenset(),
    "logits": frozenset(),
    "decoupled": _SOFTENED | {"beta"},
    "standardised": _SOFTENED,
    "hidden": frozenset({"layers", "distance", "teacher"}),
    "relation": frozenset({"layers", "teacher"}),
}
"""What each term takes besides its weight."""
_OF_SOME = frozenset().union(*_OPTIONS.values())
INSIDE: frozenset[TermName] = frozenset({"hidden", "relation"})
"""Terms that look inside a teacher, which a file of its labels cannot answer."""


class Term(Section):
    """One term of the training objective."""

    term: TermName = Field(
        description="soft: softened cross-entropy with the teacher, times T squared; hard: cross-entropy with the gold "
        "label; logits: mean squared error to the teacher's logits; decoupled: how sure the teacher is, and what it "
        "says of the other classes, weighed apart (Zhao et al. 2022); standardised: soft, of logits scaled to mean 0 "
        "and deviation 1 (Sun et al. 2024); hidden: distance of a text's vectors to those in the teacher's layers; "
        "relation: how tokens attend to each other (MiniLM, version 2), for transformers, with the teacher in memory.",
    )
    weight: float = Field(1.0, ge=0, le=1e6, description="Factor of this term in the sum.")
    final_weight: float | None = Field(
        None, ge=0, le=1e6, description="Factor at the end of the training, reached evenly; without it, weight stays."
    )
    temperature: float = Field(1.0, gt=0, le=100, description="T of soft, decoupled and standardised.")
    final_temperature: float | None = Field(
        None, gt=0, le=100, description="T at the end of the training, reached evenly; without it, temperature stays."
    )
    beta: float = Field(
        8.0, ge=0, le=1000, description="Of decoupled: weight of the other classes against that of how sure it is."
    )
    layers: list[Annotated[int, Field(ge=-1000, lt=1000)]] = Field(
        default_factory=lambda: [-1],
        min_length=1,
        max_length=64,
        description="Layers of the teacher, from 0, or from -1 backwards. Of hidden: matched with the student's last "
        "ones in order. Of relation: one.",
    )
    distance: Literal["cosine", "mse"] = Field("cosine", description="Of hidden: 1 - cosine, or mean squared error.")
    teacher: int = Field(0, ge=0, le=15, description="Of hidden and relation: the teacher's position.")

    @model_validator(mode="after")
    def _options_of_its_own(self) -> "Term":
        foreign = self.changed(_OF_SOME - _OPTIONS[self.term])
        if foreign:
            owners = " and ".join(term for term, options in _OPTIONS.items() if foreign[0] in options)
            raise ValueError(f"{foreign[0]} belongs to {owners}, not to {self.term}")
        if self.weight == 0 and not self.final_weight:
            raise ValueError("weight is 0 all the time; remove the term")
        if self.term == "relation" and len(self.layers) != 1:
            raise ValueError("relation takes one layer of the teacher")
        return self


class Training(Section):
    """How students and twins are trained. What is left out is derived from the data and `effort`."""

    epochs: int | None = Field(None, ge=1, le=10000, description="Passes of the student over the transfer set.")
    batch_size: int | None = Field(None, ge=1, le=65536, description="Texts in a training batch.")
    learning_rate: float | None = Field(None, gt=0, le=1, description="Peak learning rate; one cycle up and down.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW.")
    evaluations: int | None = Field(None, ge=1, le=1000, description="Looks at dev; the best weights seen are kept.")
    precision: TrainingPrecision = "auto"


class Twin(Section):
    """How twins, which are the students' measure, are trained. All that is not said here is as the students'.

    A twin that goes through its few gold rows for as many steps as a student goes through the transfer set may learn
    less than a shorter training gives it, and a gain over it would be none.
    """

    epochs: Annotated[int, Field(ge=1, le=10000)] | Literal["matched"] | None = Field(
        None,
        description="Passes of the twin over the gold rows; matched: as many optimiser steps as the student has, as in "
        "studies of the objective alone. Without it, derived; with `effort: thorough` dev chooses.",
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="Its dropout; without it, the student's, or derived.")
    copies: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Changed copies of each gold text that it learns from, with that text's label; made as augment "
        "says. Without it, dev chooses between none and some, except with `effort: quick`.",
    )
