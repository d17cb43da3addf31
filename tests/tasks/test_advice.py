"""What to try next follows from the result, and is never what the recipe has already."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml

from tasks.shared.recipe import Recipe
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_learning import Training
from tasks.shared.recipe_student import Student
from tasks.shared.report.advice import Standing, advise, standing
from tasks.shared.report.content import Learnt

RECIPE = Recipe(
    data=Data(train="train.csv", test="test.csv"),
    student=Student(hidden_size=64),
    training=Training(epochs=6),
).model_dump(mode="json")
LOST = Standing("NO BETTER", 5, 2000, {}, 0.005, 0.90, 0.90, 0.95, 0.5, 256, 5000, RECIPE)
UNCLEAR = replace(LOST, outcome="INCONCLUSIVE")
WON = replace(LOST, outcome="BEATS", student=0.96)


def with_student(**changes):
    return {**RECIPE, "student": {**RECIPE["student"], **changes}}


@pytest.mark.parametrize(
    ("found", "why", "change"),
    [
        (replace(LOST, examples=0), "label rows of data.test", ""),
        (replace(UNCLEAR, needed={"seeds": 7}), "settle it with 7 seeds", "seeds=[0, 1, 2, 3, 4, 5, 6]"),
        (
            replace(UNCLEAR, seeds=1, recipe={**RECIPE, "seeds": [3]}),
            "of one seed little can be said: take 5 seeds",
            "seeds=[3, 0, 1, 2, 4]",
        ),
        (replace(UNCLEAR, needed={"seeds": 7}, student=0.89), "a larger student", "student.hidden_size="),
        (
            replace(UNCLEAR, needed={"seeds": 7}, trivial=0.899),
            "longer: it is hardly better than always",
            "training.epochs=12",
        ),
        (replace(UNCLEAR, needed={"seeds": 90, "examples": 4200}), "about 4,200 examples in data.test", ""),
        (replace(UNCLEAR, seeds=2, needed={"examples": 4200}), "of 2 seeds little can be said: take 5", "seeds=["),
        (replace(UNCLEAR, needed={"seeds": 90, "examples": 360_000}), "a larger student", "student.hidden_size="),
        (replace(UNCLEAR, teacher=0.903), "a better teacher: this one is 0.3 points above", "teachers.0.model=FOLDER"),
        (replace(LOST, teacher=0.89), "a better teacher: this one is no better than the twins", "teachers.0.model="),
        (replace(LOST, transfer=2000), "from 2,000, its twin from 256 rows", "data.unlabelled=[YOUR_TEXTS.txt]"),
        (LOST, "a larger student: it is 5.0 points below its teacher", "student.hidden_size=128"),
        (
            replace(LOST, recipe=with_student(hidden_size=128)),
            "a larger student",
            "student.hidden_size=256",
        ),
        (
            replace(LOST, recipe=with_student(family="bag", layers=0)),
            "train the student for longer",
            "training.epochs=",
        ),
        (
            replace(LOST, recipe=with_student(family="transformer", teacher_layers=[0, 5])),
            "train the student for longer",
            "training.epochs=12",
        ),
        (replace(LOST, teacher=None), "a larger student", "student.hidden_size=128"),
        (replace(WON, teacher=0.99), "a larger student: it is 3.0 points below its teacher", "student.hidden_size=128"),
    ],
)
def test_the_advice_follows_from_the_result(found, why, change):
    advice = advise(found)[0]
    assert why in advice.why
    assert advice.change.startswith(change)
    assert bool(advice.change) == bool(change)


@pytest.mark.parametrize(
    ("found", "why", "does"),
    [
        (replace(LOST, loyal=0.8), "it names its teacher's class of 80% of the texts it learnt", "training.epochs=12"),
        (
            replace(LOST, doubted=0.1, recipe={**RECIPE, "teachers": [{**RECIPE["teachers"][0], "epochs": 0}]}),
            "a larger student",
            "student.hidden_size=128",
        ),
        (replace(LOST, covered=0.95), "of dev's tokens 5% are in no text", "student.vocabulary=30000"),
        (replace(LOST, covered=0.95, recipe=with_student(vocabulary=30000)), "a larger student", "hidden_size=128"),
        (replace(LOST, loyal=0.99, loyal_on_new=0.9), "class 9 points less often on test than", "[YOUR_TEXTS.txt]"),
        (replace(LOST, doubted=0.04), "the teacher contradicts 4% of the gold labels", "doubts latest"),
        (replace(LOST, cut_off=0.3), "only the beginning of 30% of the texts", "student.max_length=256"),
    ],
)
def test_causes_that_were_measured_are_named(found, why, does):
    assert any(why in one.why and does in (one.change or one.command) for one in advise(found))


def test_three_things_are_advised_at_most_and_none_twice():
    found = replace(UNCLEAR, seeds=1, teacher=0.903, loyal=0.8, transfer=300, doubted=0.1, cut_off=0.5)
    advice = advise(found)
    assert len(advice) == 3
    assert len({one.change for one in advice}) == 3


def test_a_student_that_beats_its_twin_and_reaches_its_teacher_is_left_as_it_is():
    assert advise(WON) == []
    assert advise(replace(WON, teacher=None)) == []


def test_where_little_is_left_above_the_commonest_class_half_of_it_is_enough():
    assert advise(replace(WON, student=1.0, trivial=0.997, teacher=1.0)) == []
    assert "it is hardly better than always" in advise(replace(WON, student=0.998, trivial=0.997))[0].why
    assert "it is no better than always" in advise(replace(WON, student=0.99, trivial=0.997))[0].why
    assert "it is no better than always" in advise(replace(LOST, student=0.9, trivial=0.9))[0].why


def test_with_several_draws_of_labels_the_advice_goes_by_the_verdict_over_them():
    first = {"outcome": "BEATS", "seeds": 5, "examples": 2000, "worthwhile": 0.005, "needed": None}
    needed = {"seeds": 9, "examples": 4200, "both": None}
    method = {**first, "outcome": "INCONCLUSIVE", "seeds": 3, "needed": needed}
    quality = SimpleNamespace(accuracy=0.9, trivial=0.5, loyalty=None)
    card = SimpleNamespace(quality=quality, learnt=Learnt(None, 0.0), cut_off=0.0, cost=SimpleNamespace(max_length=64))
    content = SimpleNamespace(
        result={"verdict": first, "draws": method, "teacher": None},
        rows={"gold": 256, "transfer": 5000},
        recipe=RECIPE,
        shipped=card,
        of=lambda role: [card],
    )
    found = standing(content)
    assert (found.outcome, found.seeds) == ("INCONCLUSIVE", 3)
    [advice, *_] = advise(found)
    assert (advice.why, advice.change) == ("settle it with about 4,200 examples in data.test", "")
    content.result["draws"] = {**method, "seeds": 2, "needed": None}
    assert not any(advice.change.startswith("seeds=") for advice in advise(standing(content)))
    content.result["draws"] = None
    assert standing(content).outcome == "BEATS"


@pytest.mark.parametrize(
    "recipe",
    [
        with_student(configuration="encoder.json"),
        {**RECIPE, "objective": [{"term": "soft"}, {"term": "relation"}]},
    ],
)
def test_a_student_that_can_read_no_more_is_not_advised_to(recipe):
    for found in (replace(LOST, cut_off=0.3, recipe=recipe), replace(LOST, cut_off=0.3, reads=8192)):
        assert not any("max_length" in advice.change for advice in advise(found))


def test_a_teacher_of_labels_alone_is_replaced_by_labels():
    recipe = {**RECIPE, "teachers": [{**RECIPE["teachers"][0], "labels": "hosted.csv"}]}
    assert advise(replace(LOST, teacher=0.89, recipe=recipe))[0].change == "teachers.0.labels=FILE"


def test_names_of_files_are_written_as_yaml_wants_them():
    recipe = {**RECIPE, "data": {**RECIPE["data"], "unlabelled": ["x[1].txt", "a, b.txt"]}}
    change = advise(replace(LOST, transfer=300, recipe=recipe))[0].change
    assert yaml.safe_load(change.partition("=")[2]) == ["x[1].txt", "a, b.txt", "YOUR_TEXTS.txt"]


def test_more_texts_are_added_to_those_that_there_are():
    recipe = {**RECIPE, "data": {**RECIPE["data"], "unlabelled": ["a.txt"]}}
    assert advise(replace(LOST, transfer=300, recipe=recipe))[0].change == "data.unlabelled=[a.txt, YOUR_TEXTS.txt]"
