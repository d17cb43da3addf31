"""The recipe: one validated document that is the whole experiment, and the single parameter of the flow.

Each field's description is what the docs' option table and the orchestrator's form show.
"""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from tasks.shared.recipe_data import Data
from tasks.shared.recipe_learning import INSIDE, Term, Training, Twin
from tasks.shared.recipe_noise import Augment, Robustness
from tasks.shared.recipe_promotion import Promotion
from tasks.shared.recipe_section import Section, Seed
from tasks.shared.recipe_student import Student
from tasks.shared.recipe_sweep import Sweep
from tasks.shared.recipe_teaching import Fuse, Labelling, Teacher

Baseline = Literal["scratch", "unaugmented"]
Effort = Literal["quick", "standard", "thorough"]
RegisteredName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


Seeded = TypeVar("Seeded", Data, Teacher)


class Names(Section):
    """What the models are called in MLflow's Model Registry."""

    student: RegisteredName | None = Field(
        None,
        description="Name of the student that does best on dev: letters, digits, '.', '_' and '-', 128 at most. "
        "Without it, the recipe's name and `-student`.",
    )
    teacher: RegisteredName | None = Field(
        None, description="Name of the teacher, of the same signs; without it, the recipe's name and `-teacher`."
    )


def _moved(section: Seeded, by: int) -> Seeded:
    """The same with another seed."""
    return section.model_copy(update={"seed": (section.seed + by) % 2**32})


class Recipe(Section):
    """The whole experiment."""

    name: str = Field(
        "distill",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the experiment: letters, digits, '.', '_' and '-', 64 at most.",
    )
    task: Literal["single-label"] = Field("single-label", description="Kind of task: one class a text.")
    effort: Effort = Field(
        "standard",
        description="How much work what the recipe leaves out may make: from it and the data, passes, widths, batches, "
        "dropout, copies, objective and more are derived. `stillhouse plan` shows each with its reason; a value that "
        "the recipe gives always stands.",
    )
    data: Data
    teachers: list[Teacher] = Field(
        default_factory=lambda: [Teacher()],
        min_length=1,
        max_length=16,
        description="The teachers; what several say is fused.",
    )
    labelling: Labelling = Labelling()
    fuse: Fuse = Fuse()
    student: Student = Student()
    objective: list[Term] | None = Field(
        None,
        min_length=1,
        description="Terms of the student's objective, summed. The twin's is always the hard term alone. Without it, "
        "soft, with a temperature derived from the number of classes.",
    )
    training: Training = Training()
    twin: Twin = Twin()
    race: int | None = Field(
        None,
        ge=1,
        le=8,
        description="Candidates at most, for what the recipe leaves out, among which dev chooses before all seeds are "
        "trained; as many for twins. 1 for none; without it, by `effort` 1, 2 or 4.",
    )
    augment: Augment = Augment()
    robustness: Robustness = Robustness()
    seeds: list[Seed] = Field(
        default_factory=lambda: [0, 1, 2, 3, 4],
        min_length=1,
        max_length=100,
        description="One student and one twin for each; the verdict needs at least two.",
    )
    draws: int = Field(
        1,
        ge=1,
        le=100,
        description="Draws of labels over which all is repeated, teacher included, for a verdict on the method "
        "instead of on this teacher and these labels; all seeds count up. What is registered is of the first.",
    )
    baselines: list[Baseline] | None = Field(
        None,
        description="More models to compare the students with, one for each seed. scratch: a twin with a tokenizer and "
        "token vectors of its own instead of the teacher's; unaugmented: a student without augment's texts. Without "
        "it, unaugmented where the recipe itself sets augment.copies.",
    )
    worthwhile: float = Field(
        0.005, ge=0, lt=1, description="Gain in accuracy worth having; below it the verdict can be NO BETTER."
    )
    sweep: Sweep | None = Field(None, description="What `stillhouse sweep` tries.")
    promotion: Promotion = Promotion()
    registry: Names = Names()
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where models run; auto takes a GPU if there is one."
    )
    runner: Literal["local", "ray"] = Field(
        "local",
        description="Where texts are labelled: local, in this process; ray, as shares on the cluster of RAY_ADDRESS, "
        "or else on this machine. Its machines see the workspace at the same path. All else is local.",
    )

    @property
    def vectors_of_copies(self) -> str | None:
        """The file of word vectors that changed copies may need: what is left out may become some."""
        none = self.augment.copies == 0 and self.twin.copies == 0
        return None if none else self.augment.vectors

    @property
    def registered_student(self) -> str:
        """Name of the student in the registry."""
        return self.registry.student or f"{self.name}-student"

    @property
    def registered_teacher(self) -> str:
        """Name of the teacher in the registry."""
        return self.registry.teacher or f"{self.name}-teacher"

    @property
    def tokenizer_of(self) -> str:
        """The model whose tokenizer students have, as the recipe names it."""
        tokenizer = self.student.tokenizer
        return self.teachers[tokenizer].model if isinstance(tokenizer, int) else tokenizer

    @property
    def compared_with(self) -> list[str]:
        """The baselines."""
        if self.baselines is not None:
            return list(self.baselines)
        return ["unaugmented"] if self.augment.copies else []

    @property
    def trainings(self) -> int:
        """How many students, twins and baselines a run trains, of all seeds and draws of labels."""
        return len(self.seeds) * (2 * self.draws + len(self.compared_with))

    def of_draw(self, number: int) -> Self:
        """The recipe of one draw of labels; those after the first only tell of the method, and test no noise.

        Teachers and students begin from other seeds, so that the luck of a beginning is another in each draw.
        """
        if not number:
            return self
        after = number * (max(self.seeds) - min(self.seeds) + 1)
        changes = {
            "data": _moved(self.data, number),
            "teachers": [_moved(teacher, number) for teacher in self.teachers],
            "seeds": [(seed + after) % 2**32 for seed in self.seeds],
            "robustness": self.robustness.model_copy(update={"texts": 0}),
            "baselines": [],
        }
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _baselines_differ(self) -> "Recipe":
        if self.baselines and len(set(self.baselines)) != len(self.baselines):
            raise ValueError("baselines holds a value twice")
        if "unaugmented" in self.compared_with and self.augment.copies == 0:
            raise ValueError("baselines: unaugmented would be the student itself, as augment.copies is 0")
        if self.augment.copies and any(teacher.labels is not None for teacher in self.teachers):
            raise ValueError("augment makes texts that labels made elsewhere know nothing of; set augment.copies to 0")
        if self.draws > 1 and self.data.dev and not self.data.labels_per_class:
            raise ValueError("draws would all be the same: set data.labels_per_class, or leave data.dev to the draw")
        return self

    @model_validator(mode="after")
    def _objective_can_be_had(self) -> "Recipe":
        for term in self.objective or []:
            if term.term in INSIDE:
                self._check_inside(term)
        if self.objective and all(term.term in INSIDE for term in self.objective):
            raise ValueError("objective says nothing of the classes; add soft, hard, logits, decoupled or standardised")
        return self

    def _check_inside(self, term: Term) -> None:
        """Raises ValueError unless the teacher can be looked into, and the student has something to match."""
        name, states = term.term, self.student.states
        if sum(other.term == name for other in self.objective or []) > 1:
            raise ValueError(f"objective has {name} twice")
        if term.teacher >= len(self.teachers):
            raise ValueError(f"objective: {name} looks into teacher {term.teacher}, but they are numbered from 0")
        if self.teachers[term.teacher].labels is not None:
            raise ValueError(f"objective: {name} looks into teacher {term.teacher}, which is a file of labels")
        if name == "relation" and (self.student.family, self.student.tokenizer) != ("transformer", term.teacher):
            raise ValueError(
                "objective: relation compares how tokens attend to each other, so it takes student.family: transformer "
                f"and student.tokenizer: {term.teacher}"
            )
        length, teachers = self.student.max_length, self.teachers[term.teacher].max_length
        if name == "relation" and length is not None and teachers is not None and length > teachers:
            raise ValueError(
                f"objective: for relation the teacher reads what the student does, so student.max_length is at most "
                f"that of teachers.{term.teacher}, {teachers}"
            )
        if name == "hidden" and states is not None and len(term.layers) > states:
            raise ValueError(
                f"objective: hidden names {len(term.layers)} layers of the teacher, but this {self.student.family} has "
                f"{states} to match, its token vectors counted"
            )

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        tokenizer = self.student.tokenizer
        if isinstance(tokenizer, int) and tokenizer >= len(self.teachers):
            raise ValueError(f"student.tokenizer is {tokenizer}, but teachers are numbered from 0")
        if isinstance(tokenizer, int) and self.teachers[tokenizer].labels is not None:
            raise ValueError(
                f"student.tokenizer is {tokenizer}, but teachers.{tokenizer} is a file of labels, which have none; "
                "set it to a model, such as sample:minilm-l6"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds holds a number twice")
        if self.registered_student == self.registered_teacher:
            raise ValueError(f"registry calls student and teacher both {self.registered_student}")
        return self
