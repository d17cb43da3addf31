"""The flow that looks for gold labels which are probably wrong."""

from pathlib import Path
from typing import cast

from prefect import flow

from flows.flow_run import carry_out, flow_run_name
from flows.labelled import whole_recipe
from flows.once import Once
from tasks.disturb import Disturb
from tasks.doubt import Doubt, DoubtRecord
from tasks.evaluate import Evaluate
from tasks.fold_gold import FoldGold, TrainWithoutFold
from tasks.load_data import LoadData
from tasks.shared.defaults.resolved import ResolvedTeacher
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe import Recipe
from tasks.shared.steps import Do
from tasks.train_teacher import TrainTeacher


@flow(name="doubts", flow_run_name=flow_run_name, persist_result=False)
def doubts(recipe: Recipe, folds: int) -> Path:
    """Lists rows of train, dev and test whose gold label a teacher contradicts that did not learn it.

    Args:
        recipe: the experiment; its first teacher that is a model judges.
        folds: of the gold rows, for each of which a teacher is trained on the others.

    Returns:
        The folder of the run, with its record, recipe and log.
    """
    return carry_out(recipe, lambda recipe, do: find_doubts(recipe, folds, Once(do)))


def find_doubts(recipe: Recipe, folds: int, do: Do) -> DoubtRecord:
    """load_data -> train_teacher -> evaluate; fold_gold -> train_teacher x folds -> doubt.

    Raises:
        StillhouseError: no teacher is a model that learns.
    """
    number = next((n for n, one in enumerate(recipe.teachers) if one.labels is None and one.epochs != 0), None)
    if number is None:
        raise StillhouseError("doubts: none of the teachers learns, so none can be kept from a label that it judges")
    whole, data = whole_recipe(recipe, do), do(LoadData(recipe.data))
    options = cast(ResolvedTeacher, whole.teachers[number])
    teacher = do(TrainTeacher(data, options, number))
    how = (do(Disturb(data, whole.robustness)), whole.robustness)
    score = do(Evaluate(data, teacher, *how, precision=whole.labelling.judged_in))
    folded = do(FoldGold(data, folds))
    held = tuple(
        do.aside(f", fold {place}")(TrainWithoutFold(fold, options, number)) for place, fold in enumerate(folded.folds)
    )
    return do(Doubt(data, teacher, folded, held, score))
