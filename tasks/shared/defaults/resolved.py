"""A recipe in which everything has a value: what steps are given."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.shared.recipe import Baseline, Recipe
from tasks.shared.recipe_learning import Term, Training, Twin
from tasks.shared.recipe_noise import Augment, Robustness
from tasks.shared.recipe_section import Precision
from tasks.shared.recipe_student import Student
from tasks.shared.recipe_teaching import Labelling, LabellingPrecision, Teacher


class ResolvedTeacher(Teacher):
    """A model whose training is known."""

    epochs: int
    batch_size: int
    learning_rate: float
    max_length: int
    precision: Precision


Teach = Annotated[ResolvedTeacher | Teacher, Field(union_mode="left_to_right")]
"""A model, or a file of labels, which has nothing to derive."""


class ResolvedLabelling(Labelling):
    """How soft labels are computed, on this machine."""

    precision: LabellingPrecision

    @property
    def judged_in(self) -> Precision:
        """In which a teacher answers test: as it labelled, but for int8, which only some processors are fast in."""
        return "bf16" if self.precision == "bf16" else "fp32"


class ResolvedStudent(Student):
    """A student whose shape is known; a width may be its configuration's, or its teacher's, to say."""

    dropout: float
    vocabulary: int

    @property
    def vector_width(self) -> int:
        """Of the token vectors; raises ValueError where they are the teacher's own, whose width they have."""
        if self.embedding_size is None:
            raise ValueError("the token vectors are as wide as the teacher's")
        return self.embedding_size


class ResolvedTraining(Training):
    """How students are trained."""

    epochs: int
    batch_size: int
    learning_rate: float
    evaluations: int
    precision: Precision


class ResolvedTwin(Twin):
    """How twins are trained."""

    epochs: int | Literal["matched"]
    dropout: float
    copies: int


class ResolvedAugment(Augment):
    """How many changed copies there are."""

    copies: int


class ResolvedRobustness(Robustness):
    """How many texts noise is put into."""

    texts: int


class ResolvedRecipe(Recipe):
    """The whole experiment, with nothing left to derive."""

    teachers: list[Teach]
    labelling: ResolvedLabelling
    student: ResolvedStudent
    training: ResolvedTraining
    twin: ResolvedTwin
    augment: ResolvedAugment
    robustness: ResolvedRobustness
    objective: list[Term]
    baselines: list[Baseline]
    race: int
