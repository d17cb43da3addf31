"""The order of the steps. The same lines run a recipe and plan it; what carries a step out is handed in."""

from tasks.evaluate import Evaluate, Model
from tasks.label import Label, LabelRecord
from tasks.load_data import LoadData
from tasks.prepare_student import PrepareStudent
from tasks.register import Register
from tasks.report import Report, ResultRecord
from tasks.shared.dataset import DataRecord
from tasks.shared.recipe import Recipe
from tasks.shared.steps import Do
from tasks.train_student import TrainStudent
from tasks.train_teacher import TeacherRecord, TrainTeacher
from tasks.train_twin import TrainTwin


def label_texts(recipe: Recipe, do: Do) -> tuple[DataRecord, list[TeacherRecord], list[LabelRecord]]:
    """Carries out a recipe as far as the soft labels: load_data -> train_teacher -> label."""
    data = do(LoadData(recipe.data))
    teachers = [do(TrainTeacher(data, teacher, number)) for number, teacher in enumerate(recipe.teachers)]
    labels = [do(Label(data, teacher, recipe.labelling, number)) for number, teacher in enumerate(teachers)]
    return data, teachers, labels


def distil(recipe: Recipe, do: Do) -> ResultRecord:
    """Carries out a recipe.

    load_data -> train_teacher -> label -+-> train_student x seeds -+-> evaluate -> report -> register
                              -> prepare_student                    |
                                         +-> train_twin x seeds ----+
    """
    data, teachers, labels = label_texts(recipe, do)
    prepared = do(PrepareStudent(data, teachers[recipe.student.tokenizer], recipe.student))
    shared = (data, prepared, recipe.student, recipe.training)
    students = [do(TrainStudent(*shared, seed, labels[0], tuple(recipe.objective))) for seed in recipe.seeds]
    twins = [do(TrainTwin(*shared, seed)) for seed in recipe.seeds]
    models: list[Model] = [*teachers, *students, *twins]
    scores = [do(Evaluate(data, model)) for model in models]
    result = do(Report(tuple(scores), recipe.worthwhile))
    do(Register(data, result, recipe.registered_student, recipe.registered_teacher))
    return result
