"""A recipe as far as its soft labels: data, teachers, and what each says of the transfer texts."""

from dataclasses import dataclass
from typing import cast

from tasks.augment import Augment
from tasks.import_labels import ImportLabels, ImportRecord
from tasks.label import Label, LabelRecord
from tasks.label_shard import LabelShard, ShardRecord
from tasks.load_data import LoadData
from tasks.shared.dataset import DataRecord
from tasks.shared.defaults.resolved import ResolvedRecipe, ResolvedTeacher
from tasks.shared.recipe import Recipe
from tasks.shared.shards import Shard
from tasks.shared.steps import Do
from tasks.train_teacher import TeacherRecord, TrainTeacher

Teacher = TeacherRecord | ImportRecord


@dataclass(frozen=True)
class Labelled:
    """A recipe, carried out as far as the soft labels.

    Attributes:
        recipe: with everything that it left out.
        data: the parts of the data, changed copies of transfer texts included.
        teachers: models, and labels that were made elsewhere.
        labels: what each teacher says of the transfer texts.
    """

    recipe: ResolvedRecipe
    data: DataRecord
    teachers: list[Teacher]
    labels: list[LabelRecord]


def label_shard(recipe: Recipe, shard: Shard, do: Do) -> list[ShardRecord]:
    """Carries out one share of a recipe's labelling: load_data -> train_teacher -> label_shard."""
    whole = whole_recipe(recipe, do)
    data, teachers = _teachers(whole, do)
    return [
        do(LabelShard(data, cast(TeacherRecord, teacher), whole.labelling, number, shard))
        for number, teacher in enumerate(teachers)
        if whole.teachers[number].labels is None
    ]


def label_texts(recipe: Recipe, do: Do) -> Labelled:
    """Carries out a recipe as far as the soft labels: load_data -> train_teacher -> label."""
    return label_resolved(whole_recipe(recipe, do), do)


def whole_recipe(recipe: Recipe, do: Do) -> ResolvedRecipe:
    """The recipe with everything that it leaves out, without a race, for a run that goes on with it."""
    whole = do.resolve(recipe, do(LoadData(recipe.data)).facts).recipe
    do.settle(whole, final=True)
    return whole


def label_resolved(recipe: ResolvedRecipe, do: Do) -> Labelled:
    """The same of a recipe in which everything has a value."""
    data, teachers = _teachers(recipe, do)
    labels = []
    for number, teacher in enumerate(teachers):
        if recipe.teachers[number].labels is None:
            labels.append(_label(recipe, data, cast(TeacherRecord, teacher), number, do))
        else:
            labels.append(cast(ImportRecord, teacher))
    return Labelled(recipe, data, teachers, labels)


def _label(recipe: ResolvedRecipe, data: DataRecord, teacher: TeacherRecord, number: int, do: Do) -> LabelRecord:
    """One teacher's labels: by this process, or by a cluster whose parts this process then finds in the store."""
    labelling = recipe.labelling.named_from_anywhere()
    step = Label(data, teacher, labelling, number)
    if recipe.runner == "ray":
        count = labelling.shards
        shares = [LabelShard(data, teacher, labelling, number, Shard(index, count)) for index in range(count)]
        do.spread(step, shares)
    return do(step)


def _teachers(recipe: ResolvedRecipe, do: Do) -> tuple[DataRecord, list[Teacher]]:
    """The teachers: models that are trained, and labels that were made elsewhere."""
    own = data = do(LoadData(recipe.data))
    if recipe.augment.copies:
        data = do(Augment(own, recipe.augment, recipe.tokenizer_of))
    teachers: list[Teacher] = []
    for number, teacher in enumerate(recipe.teachers):
        if teacher.labels is None:
            teachers.append(do(TrainTeacher(own, cast(ResolvedTeacher, teacher), number)))
        else:
            teachers.append(do(ImportLabels(data, recipe.data, teacher, recipe.labelling, number)))
    return data, teachers
