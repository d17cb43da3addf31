"""The order of the steps. The same lines run a recipe and plan it; what carries a step out is handed in."""

from dataclasses import dataclass
from typing import cast

from flows.labelled import label_resolved
from flows.lessons import Lessons, choose, lessons
from flows.once import Once
from tasks.disturb import Disturb
from tasks.evaluate import Evaluate, ScoreRecord
from tasks.explain import Explain
from tasks.fuse import FuseRecord
from tasks.judge import Judge, ResultRecord
from tasks.load_data import LoadData
from tasks.register import Register
from tasks.report import Report
from tasks.shared.costing import Model
from tasks.shared.dataset import DataRecord
from tasks.shared.recipe import Recipe
from tasks.shared.steps import Do
from tasks.train_student import TrainSmall


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

    What the recipe leaves out is derived behind load_data; a race behind prepare_student lets dev choose a part of it.
    """
    once = Once(do)
    chosen = choose(once.resolve(recipe, once(LoadData(recipe.data)).facts), once)
    whole = chosen.lessons.recipe
    draws = [_compare(chosen.lessons, once)]
    for number in range(1, recipe.draws):
        of_draw = once.of_draw(number)
        draws.append(_compare(lessons(label_resolved(whole.of_draw(number), of_draw), of_draw), of_draw))
    data, scores, soft_labels = draws[0].data, draws[0].scores, draws[0].fused
    all_scores, all_labels = (tuple(draw.scores for draw in draws), tuple(draw.fused for draw in draws))
    result = do(Judge(all_scores, all_labels, recipe.worthwhile, tuple(draw.data for draw in draws)))
    explanation = do(Explain(data, scores, soft_labels))
    names = (recipe.registered_student, recipe.registered_teacher)
    registered = do(Register(data, result, *names, recipe.promotion))
    do(Report(data, scores, result, explanation, whole, registered, chosen.races))
    return result


def _compare(taught: Lessons, do: Do) -> Compared:
    """Trains and measures all models of one draw of labels."""
    recipe, data = taught.recipe, taught.data
    small: list[TrainSmall] = [taught.student(seed) for seed in recipe.seeds]
    small += [taught.twin(seed) for seed in recipe.seeds]
    if "unaugmented" in recipe.compared_with:
        small += [taught.unaugmented(seed) for seed in recipe.seeds]
    if "scratch" in recipe.compared_with:
        small += [taught.scratch(seed, do) for seed in recipe.seeds]
    models = do.together(small)
    how = (do(Disturb(data, recipe.robustness)), recipe.robustness)
    with_models = [teacher for number, teacher in enumerate(taught.teachers) if recipe.teachers[number].labels is None]
    precision = recipe.labelling.judged_in
    large = tuple(do(Evaluate(data, cast(Model, teacher), *how, precision=precision)) for teacher in with_models)
    scores = tuple(do(Evaluate(data, model, *how, large, taught.soft_labels)) for model in models)
    return Compared(data, (*large, *scores), taught.soft_labels)
