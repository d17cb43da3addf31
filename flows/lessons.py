"""What students and twins of one recipe are trained from, and the race in which dev chooses among a few recipes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from flows.labelled import Labelled, Teacher, label_resolved
from tasks.augment_gold import AugmentGold
from tasks.embed import Embed, EmbedRecord
from tasks.fuse import Fuse, FuseRecord
from tasks.prepare_scratch import PrepareScratch
from tasks.prepare_student import PreparedRecord, PrepareStudent, origin_of
from tasks.race import Race, RaceRecord
from tasks.shared.dataset import DataRecord
from tasks.shared.defaults.candidates import Changes
from tasks.shared.defaults.derive import Resolution, resolved
from tasks.shared.defaults.resolved import ResolvedRecipe, ResolvedStudent, ResolvedTraining
from tasks.shared.recipe_learning import Term
from tasks.shared.steps import Do, suffix_of
from tasks.train_scratch import TrainScratch
from tasks.train_student import TrainSmall, TrainStudent
from tasks.train_teacher import TeacherRecord
from tasks.train_twin import TrainTwin
from tasks.train_unaugmented import TrainUnaugmented


@dataclass(frozen=True)
class Lessons:
    """All that small models of one recipe are trained from.

    Attributes:
        recipe: with everything that it left out.
        data: the parts of the data.
        teachers: models, and labels that were made elsewhere.
        soft_labels: what students learn from.
        prepared: what students and twins share.
        vectors: the teacher's, for the objective's hidden term.
        looked_into: the teacher of the objective's relation term.
        copies: the data with changed copies of gold texts, where twins learn from those.
    """

    recipe: ResolvedRecipe
    data: DataRecord
    teachers: Sequence[Teacher]
    soft_labels: FuseRecord
    prepared: PreparedRecord
    vectors: EmbedRecord | None
    looked_into: TeacherRecord | None
    copies: DataRecord | None

    def student(self, seed: int) -> TrainStudent:
        """The step that trains a student."""
        return TrainStudent(*self._shared, seed, *self._taught)

    def unaugmented(self, seed: int) -> TrainUnaugmented:
        """The step that trains a student without changed copies."""
        return TrainUnaugmented(*self._shared, seed, *self._taught)

    def twin(self, seed: int) -> TrainTwin:
        """The step that trains a twin."""
        return TrainTwin(self.data, self.prepared, *self._as_twin, seed, self._matched, self.copies)

    def scratch(self, seed: int, do: Do) -> TrainScratch:
        """The step that trains a twin with nothing of the teacher's."""
        own = do(PrepareScratch(self.data, self.prepared))
        return TrainScratch(self.data, own, *self._as_twin, seed, self._matched, self.copies)

    @property
    def _shared(self) -> tuple[DataRecord, PreparedRecord, ResolvedStudent, ResolvedTraining]:
        return self.data, self.prepared, self.recipe.student, self.recipe.training

    @property
    def _taught(self) -> tuple[FuseRecord, tuple[Term, ...], EmbedRecord | None, TeacherRecord | None]:
        return self.soft_labels, tuple(self.recipe.objective), self.vectors, self.looked_into

    @property
    def _matched(self) -> bool:
        return self.recipe.twin.epochs == "matched"

    @property
    def _as_twin(self) -> tuple[ResolvedStudent, ResolvedTraining]:
        """What twins are and how they learn, where that is their own."""
        training, own = self.recipe.training, self.recipe.twin
        passes = {} if own.epochs == "matched" else {"epochs": own.epochs}
        return self.recipe.student.model_copy(update={"dropout": own.dropout}), training.model_copy(update=passes)


def lessons(labelled: Labelled, do: Do) -> Lessons:
    """Makes what small models are trained from: fuse, embed where asked for, prepare_student, copies for twins."""
    recipe, data, teachers = labelled.recipe, labelled.data, labelled.teachers
    soft_labels = do(Fuse(data, tuple(teachers), tuple(labelled.labels), recipe.fuse))
    tokenizer = recipe.student.tokenizer
    start = origin_of(tokenizer) if isinstance(tokenizer, str) else cast(TeacherRecord, teachers[tokenizer])
    prepared = do(PrepareStudent(data, start, recipe.student))
    terms = {term.term: term for term in recipe.objective}
    vectors, looked_into, copies = None, None, None
    if "hidden" in terms:
        number, layers = terms["hidden"].teacher, tuple(terms["hidden"].layers)
        labelling = recipe.labelling.named_from_anywhere()
        vectors = do(Embed(data, cast(TeacherRecord, teachers[number]), labelling, number, layers))
    if "relation" in terms:
        looked_into = cast(TeacherRecord, teachers[terms["relation"].teacher])
    if recipe.twin.copies:
        how = recipe.augment.model_copy(update={"copies": recipe.twin.copies})
        copies = do(AugmentGold(data, how, recipe.tokenizer_of))
    return Lessons(recipe, data, teachers, soft_labels, prepared, vectors, looked_into, copies)


@dataclass(frozen=True)
class Chosen:
    """What dev chose.

    Attributes:
        lessons: of the recipe that goes on.
        races: in which it was chosen.
    """

    lessons: Lessons
    races: tuple[RaceRecord, ...]


def choose(resolution: Resolution, do: Do) -> Chosen:
    """Has dev choose among the candidates of what a recipe left out: first for students, then for their twins."""
    recipe, races = resolution.recipe, list[RaceRecord]()
    do.settle(recipe, final=False)
    for asked, role in ((resolution.students, "student"), (resolution.twins, "twin")):
        if len(asked) > 1:
            races.append(_race(recipe, asked, role, do))
            # In a plan nobody knows yet who wins.
            recipe = resolved(recipe, asked[races[-1].winner] if isinstance(races[-1], RaceRecord) else {})
    do.settle(recipe, final=True)
    return Chosen(lessons(label_resolved(recipe, do), do), tuple(races))


def _race(recipe: ResolvedRecipe, asked: Sequence[Changes], role: str, do: Do) -> RaceRecord:
    """Which of some candidates does best on dev."""
    steps: list[TrainSmall] = []
    for number, changes in enumerate(asked):
        of_candidate = do.aside(suffix_of("candidate", number))
        taught = lessons(label_resolved(resolved(recipe, changes), of_candidate), of_candidate)
        steps.append(taught.student(recipe.seeds[0]) if role == "student" else taught.twin(recipe.seeds[0]))
    return do(Race(tuple(steps), tuple(asked), steps[0].data.rows.get("dev", 0)))
