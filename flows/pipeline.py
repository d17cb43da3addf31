"""The order of the steps. The same lines run a recipe and plan it; what carries a step out is handed in."""

from dataclasses import dataclass
from typing import cast

from tasks.augment import Augment
from tasks.disturb import Disturb
from tasks.embed import Embed, EmbedRecord
from tasks.evaluate import Evaluate, ScoreRecord
from tasks.explain import Explain
from tasks.fuse import Fuse, FuseRecord
from tasks.import_labels import ImportLabels, ImportRecord
from tasks.judge import Judge, ResultRecord
from tasks.label import Label, LabelRecord
from tasks.label_shard import LabelShard, ShardRecord
from tasks.load_data import LoadData
from tasks.prepare_scratch import PrepareScratch
from tasks.prepare_student import PreparedRecord, PrepareStudent, origin_of
from tasks.register import Register
from tasks.report import Report
from tasks.shared.costing import Model
from tasks.shared.dataset import DataRecord
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_learning import Term
from tasks.shared.shards import Shard
from tasks.shared.steps import Do
from tasks.train_scratch import TrainScratch
from tasks.train_student import TrainStudent
from tasks.train_teacher import TeacherRecord, TrainTeacher
from tasks.train_twin import TrainTwin
from tasks.train_unaugmented import TrainUnaugmented

Teacher = TeacherRecord | ImportRecord


def label_shard(recipe: Recipe, shard: Shard, do: Do) -> list[ShardRecord]:
    """Carries out one share of a recipe's labelling: load_data -> train_teacher -> label_shard."""
    data, teachers = _teachers(recipe, do)
    return [
        do(LabelShard(data, cast(TeacherRecord, teacher), recipe.labelling, number, shard))
        for number, teacher in enumerate(teachers)
        if recipe.teachers[number].labels is None
    ]


def label_texts(recipe: Recipe, do: Do) -> tuple[DataRecord, list[Teacher], list[LabelRecord]]:
    """Carries out a recipe as far as the soft labels: load_data -> train_teacher -> label."""
    data, teachers = _teachers(recipe, do)
    labels = []
    for number, teacher in enumerate(teachers):
        if recipe.teachers[number].labels is None:
            labels.append(_label(recipe, data, cast(TeacherRecord, teacher), number, do))
        else:
            labels.append(cast(ImportRecord, teacher))
    return data, teachers, labels


def _label(recipe: Recipe, data: DataRecord, teacher: TeacherRecord, number: int, do: Do) -> LabelRecord:
    """One teacher's labels: by this process, or by a cluster whose parts this process then finds in the store."""
    labelling = recipe.labelling.named_from_anywhere()
    step = Label(data, teacher, labelling, number)
    if recipe.runner == "ray":
        count = labelling.shards
        shares = [LabelShard(data, teacher, labelling, number, Shard(index, count)) for index in range(count)]
        do.spread(step, shares)
    return do(step)


def _teachers(recipe: Recipe, do: Do) -> tuple[DataRecord, list[Teacher]]:
    """The teachers: models that are trained, and labels that were made elsewhere."""
    data = do(LoadData(recipe.data))
    if recipe.augment.copies:
        data = do(Augment(data, recipe.augment, recipe.tokenizer_of))
    teachers: list[Teacher] = []
    for number, teacher in enumerate(recipe.teachers):
        if teacher.labels is None:
            teachers.append(do(TrainTeacher(data, teacher, number)))
        else:
            teachers.append(do(ImportLabels(data, recipe.data, teacher, recipe.labelling, number)))
    return data, teachers


@dataclass(frozen=True)
class Compared:
    """All models of one draw of labels.

    Attributes:
        data: the parts of the data.
        scores: the models' scorecards.
        fused: what the students learnt from.
    """

    data: DataRecord
    scores: tuple[ScoreRecord, ...]
    fused: FuseRecord


def distil(recipe: Recipe, do: Do) -> ResultRecord:
    """Carries out a recipe.

    load_data -> train_teacher -> label -> fuse -+-> train_student x seeds -+-> evaluate -> judge -> explain
                               -> prepare_student                           |            -> register -> report
                                                 +-> train_twin x seeds ----+
    """
    draws = [_compare(recipe.of_draw(n), do.of_draw(n)) for n in range(recipe.draws)]
    data, scores, soft_labels = draws[0].data, draws[0].scores, draws[0].fused
    all_scores, all_labels = (tuple(draw.scores for draw in draws), tuple(draw.fused for draw in draws))
    result = do(Judge(all_scores, all_labels, recipe.worthwhile, tuple(draw.data for draw in draws)))
    explanation = do(Explain(data, scores, soft_labels))
    names = (recipe.registered_student, recipe.registered_teacher)
    registered = do(Register(data, result, *names, recipe.promotion))
    do(Report(data, scores, result, explanation, recipe, registered))
    return result


def beginnings(recipe: Recipe, data: DataRecord, teachers: list[Teacher], do: Do) -> PreparedRecord:
    """What students and twins share."""
    tokenizer = recipe.student.tokenizer
    start = origin_of(tokenizer) if isinstance(tokenizer, str) else cast(TeacherRecord, teachers[tokenizer])
    return do(PrepareStudent(data, start, recipe.student))


def taught_by(
    recipe: Recipe, data: DataRecord, teachers: list[Teacher], soft_labels: FuseRecord, do: Do
) -> tuple[FuseRecord, tuple[Term, ...], EmbedRecord | None, TeacherRecord | None]:
    """What a student learns from: soft labels, objective, vectors of its hidden term, teacher of its relation term."""
    terms = {term.term: term for term in recipe.objective}
    vectors, looked_into = None, None
    if "hidden" in terms:
        number, layers = terms["hidden"].teacher, tuple(terms["hidden"].layers)
        labelling = recipe.labelling.named_from_anywhere()
        vectors = do(Embed(data, cast(TeacherRecord, teachers[number]), labelling, number, layers))
    if "relation" in terms:
        looked_into = cast(TeacherRecord, teachers[terms["relation"].teacher])
    return soft_labels, tuple(recipe.objective), vectors, looked_into


def _compare(recipe: Recipe, do: Do) -> Compared:
    """Trains and measures all models of one draw of labels."""
    data, teachers, labels = label_texts(recipe, do)
    soft_labels = do(Fuse(data, tuple(teachers), tuple(labels), recipe.fuse))
    prepared = beginnings(recipe, data, teachers, do)
    shared = (data, prepared, recipe.student, recipe.training)
    taught = taught_by(recipe, data, teachers, soft_labels, do)
    models: list[Model] = [do(TrainStudent(*shared, seed, *taught)) for seed in recipe.seeds]
    models += [do(TrainTwin(*shared, seed)) for seed in recipe.seeds]
    if "unaugmented" in recipe.compared_with:
        models += [do(TrainUnaugmented(*shared, seed, *taught)) for seed in recipe.seeds]
    if "scratch" in recipe.compared_with:
        own = (data, do(PrepareScratch(data, prepared)), recipe.student, recipe.training)
        models += [do(TrainScratch(*own, seed)) for seed in recipe.seeds]
    how = (do(Disturb(data, recipe.robustness)), recipe.robustness)
    with_models = [teacher for number, teacher in enumerate(teachers) if recipe.teachers[number].labels is None]
    large = tuple(do(Evaluate(data, cast(Model, teacher), *how)) for teacher in with_models)
    small = tuple(do(Evaluate(data, model, *how, large, soft_labels)) for model in models)
    return Compared(data, (*large, *small), soft_labels)
