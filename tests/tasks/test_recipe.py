"""The recipe's shape: defaults, descriptions, bounds."""

import types
from typing import Union, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from tasks.shared.recipe import Recipe
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_learning import Term
from tasks.shared.recipe_promotion import Promotion
from tasks.shared.recipe_teaching import Teacher

DATA = {"train": "train.csv", "test": "test.csv"}


def sections_in(annotation):
    """The recipe's sections in a field's type, also in a list or an optional one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (list, Union, types.UnionType):
        return [section for inner in get_args(annotation) for section in sections_in(inner)]
    return []


def walk(section, prefix=""):
    """Dotted name and field of everything in the recipe."""
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}", field
        for inner in sections_in(field.annotation):
            yield from walk(inner, f"{prefix}{name}.")


FIELDS = dict(walk(Recipe))


def test_only_train_and_test_are_needed():
    recipe = Recipe(data=DATA)
    assert {name for name, field in FIELDS.items() if field.is_required()} == {
        "data",
        "data.train",
        "objective.term",
        "sweep.space",
    }
    assert len(recipe.teachers) == 1
    assert (recipe.effort, recipe.objective, recipe.training.epochs) == ("standard", None, None), "derived, see there"
    assert len(recipe.seeds) >= 5, "fewer do not settle a verdict"
    assert recipe.worthwhile == 0.005
    assert recipe.data.dev is None
    for missing, said in (
        ("train", r"data\.train\n  Field required"),
        ("test", "test is missing; name a file, or keep"),
    ):
        with pytest.raises(ValidationError, match=said):
            Recipe(data={name: value for name, value in DATA.items() if name != missing})


@pytest.mark.parametrize("name", FIELDS)
def test_everything_is_described(name):
    field = FIELDS[name]
    described = [field.description] if field.description else [inner.__doc__ for inner in sections_in(field.annotation)]
    assert described
    assert all(text and text.strip().endswith(".") for text in described)


def test_numbers_have_bounds():
    for name, field in FIELDS.items():
        if field.annotation in (int, float):
            assert any(hasattr(limit, "ge") or hasattr(limit, "gt") for limit in field.metadata), name
            if not name.endswith(("labels_per_class", "tokenizer")):
                assert any(hasattr(limit, "le") or hasattr(limit, "lt") for limit in field.metadata), name


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"teachers": []}, "teachers"),
        ({"teachers": [{}] * 17}, "teachers"),
        ({"teachers": [{"epochs": -1}]}, "teachers.0.epochs"),
        ({"teachers": [{"floor": 1.01}]}, "teachers.0.floor"),
        ({"teachers": [{"seed": 2**32}]}, "teachers.0.seed"),
        ({"data": DATA | {"seed": 2**64}}, "data.seed"),
        ({"data": DATA | {"train": ""}}, "data.train"),
        ({"data": DATA | {"labels_per_class": 1}}, "data.labels_per_class"),
        ({"data": DATA | {"classes": ["alone"]}}, "data.classes"),
        ({"data": DATA | {"classes": ["twice", "twice"]}}, "data.classes"),
        ({"data": DATA | {"separator": ";;"}}, "data.separator"),
        ({"student": {"family": "perceptron"}}, "student.family"),
        ({"student": {"family": "cnn", "layers": 2}}, "student"),
        ({"student": {"heads": 2}}, "student"),
        ({"student": {"family": "bag", "pooling": "max"}}, "student"),
        ({"student": {"family": "transformer", "hidden_size": 66}}, "student"),
        ({"student": {"family": "transformer", "teacher_layers": [0], "hidden_size": 128}}, "student"),
        ({"student": {"family": "transformer", "teacher_layers": [0], "embedding_size": 32}}, "student"),
        ({"student": {"family": "transformer", "teacher_layers": [0], "embeddings": "random"}}, "student"),
        ({"student": {"family": "transformer", "teacher_layers": [0], "configuration": "c.json"}}, "student"),
        ({"student": {"family": "transformer", "teacher_layers": []}}, "student.teacher_layers"),
        ({"student": {"teacher_layers": [0]}}, "student"),
        ({"student": {"hidden_size": 0}}, "student.hidden_size"),
        ({"student": {"dropout": 1.0}}, "student.dropout"),
        ({"objective": []}, "objective"),
        ({"objective": [{"term": "soft", "temperature": 0}]}, "objective.0.temperature"),
        ({"objective": [{"term": "soft", "weight": 0}]}, "objective.0"),
        ({"objective": [{"term": "soft", "weight": -1}]}, "objective.0.weight"),
        ({"objective": [{"term": "soft", "beta": 2}]}, "objective.0"),
        ({"objective": [{"term": "decoupled", "layers": [0]}]}, "objective.0"),
        ({"objective": [{"term": "relation", "layers": [0, 1]}, {"term": "soft"}]}, "objective.0"),
        ({"objective": [{"term": "relation"}, {"term": "soft"}]}, ""),
        ({"objective": [{"term": "hidden"}]}, ""),
        (
            {
                "objective": [{"term": "relation"}, {"term": "soft"}],
                "student": {"family": "transformer", "max_length": 200},
                "teachers": [{"max_length": 128}],
            },
            "",
        ),
        ({"objective": [{"term": "hidden"}, {"term": "hidden"}, {"term": "soft"}]}, ""),
        ({"objective": [{"term": "hidden", "teacher": 1}, {"term": "soft"}]}, ""),
        ({"objective": [{"term": "hidden", "layers": [0, 1, 2]}, {"term": "soft"}]}, ""),
        (
            {
                "objective": [{"term": "hidden"}, {"term": "soft"}],
                "teachers": [{"labels": "x.csv"}],
                "student": {"tokenizer": "here"},
            },
            "",
        ),
        ({"sweep": {"space": {}}}, "sweep.space.0"),
        ({"sweep": {"space": []}}, "sweep.space"),
        ({"sweep": {"space": {"teachers.0.epochs": [1, 2]}}}, "sweep.space"),
        ({"sweep": {"space": {"student.dropout": []}}}, None),
        ({"sweep": {"space": {"student.dropout": {"low": 1, "high": 1}}}}, None),
        ({"sweep": {"space": {"student.dropout": {"low": 0, "high": 1, "log": True}}}}, None),
        ({"sweep": {"space": {f"student.{name}": list(range(20)) for name in "abc"}}}, "sweep"),
        ({"augment": {"copies": 1, "mask": 0, "same_class": 0, "n_gram": 0}}, "augment"),
        ({"augment": {"mask": 0.6, "same_class": 0.6}}, "augment"),
        ({"objective": [{"term": "hard", "temperature": 2}]}, "objective.0"),
        ({"training": {"learning_rate": 0}}, "training.learning_rate"),
        ({"training": {"epochs": 0}}, "training.epochs"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"seeds": [2**32]}, "seeds.0"),
        ({"seeds": [0, 1, 0]}, ""),
        ({"student": {"tokenizer": 1}}, ""),
        ({"worthwhile": -0.1}, "worthwhile"),
        ({"name": "with blanks"}, "name"),
        ({"name": "../up"}, "name"),
        ({"device": "tpu"}, "device"),
        ({"draws": 0}, "draws"),
        ({"draws": 2, "data": DATA | {"dev": "dev.csv"}}, ""),
        ({"data": DATA | {"tests": {"a": "x.csv", "A": "y.csv"}}}, "data.tests"),
        ({"worthwhile": 1.0}, "worthwhile"),
        ({"data": DATA | {"tests": {"a b": "x.csv"}}}, "data.tests.a b.[key]"),
        ({"data": DATA | {"tests": {"../up": "x.csv"}}}, "data.tests.../up.[key]"),
        ({"robustness": {"noises": ["typo"]}}, "robustness.noises.0"),
        ({"robustness": {"noises": ["ocr", "ocr"]}}, "robustness"),
        ({"robustness": {"strengths": [0.1, 0.1]}}, "robustness"),
        ({"robustness": {"strengths": [0.0]}}, "robustness.strengths.0"),
        ({"robustness": {"strengths": [1.1]}}, "robustness.strengths.0"),
        ({"augment": {"noises": [], "copies": 1}}, "augment.noises"),
        ({"augment": {"copies": 1}, "teachers": [{"labels": "x.csv"}], "student": {"tokenizer": "here"}}, ""),
        ({"baselines": ["unaugmented"], "augment": {"copies": 0}}, ""),
        ({"baselines": ["scratch", "scratch"]}, ""),
    ],
)
def test_what_is_out_of_bounds_is_refused(change, where):
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate({"data": DATA, **change})
    error = caught.value.errors()[0]
    if where is not None:  # of a list or a range pydantic tells more than one
        assert len(caught.value.errors()) == 1
        assert ".".join(map(str, error["loc"])) == where


def test_baselines_are_those_that_make_sense():
    assert Recipe(data=DATA).compared_with == []
    assert Recipe(data=DATA, augment={"copies": 1}).compared_with == ["unaugmented"]
    assert Recipe(data=DATA, augment={"copies": 1}, baselines=[]).compared_with == []
    thirds = {"mask": 0.33, "same_class": 0.56, "neighbours": 0.11}  # with rounding a little more than 1
    assert Recipe(data=DATA, augment=thirds).augment.mask == 0.33
    assert Recipe(data=DATA, baselines=["scratch"]).compared_with == ["scratch"]


def test_a_further_draw_is_another_draw_of_labels_and_nothing_else():
    recipe = Recipe(data=DATA | {"seed": 2**32 - 1}, draws=3, baselines=["scratch"])
    assert recipe.of_draw(0) is recipe
    other = recipe.of_draw(2)
    assert other.data.seed == 1
    assert (other.robustness.texts, other.compared_with) == (0, [])
    assert (other.student, other.training, other.worthwhile) == (recipe.student, recipe.training, recipe.worthwhile)
    assert other.teachers[0].seed == recipe.teachers[0].seed + 2
    seeds = [seed for number in range(3) for seed in recipe.of_draw(number).seeds]
    assert len(set(seeds)) == 3 * len(recipe.seeds)


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe(data=DATA).name = "other"


def test_default_sections_and_lists_are_not_shared():
    one, other = Recipe(data=DATA), Recipe(data=DATA)
    assert one.seeds is not other.seeds
    assert one == other
    assert Data(**DATA).unlabelled is not Data(**DATA).unlabelled
    assert Teacher() == one.teachers[0]
    assert Term(term="hard", temperature=1.0).temperature == 1.0


def test_models_are_registered_under_the_recipes_name_unless_it_names_them():
    recipe = Recipe(name="news", data=DATA, registry={"teacher": "shared-teacher"})
    assert (recipe.registered_student, recipe.registered_teacher) == ("news-student", "shared-teacher")
    for name in ("a/b", "a:b", "a@b", "", "-a", "x" * 129):
        with pytest.raises(ValidationError, match=r"registry.student"):
            Recipe(data=DATA, registry={"student": name})
    with pytest.raises(ValidationError, match="student and teacher both news-student"):
        Recipe(name="news", data=DATA, registry={"teacher": "news-student"})


@pytest.mark.parametrize(
    "bounds",
    [{"max_megabytes": 0}, {"max_growth": 0.9}, {"max_ms_per_text": -1}, {"max_macro_f1_loss": 1.1}]
    + [{name: value} for name in Promotion.model_fields for value in (float("nan"), float("inf"), True, "large")]
    + [{"max_size": 1}],
)
def test_a_bound_on_promotion_that_bounds_nothing_is_refused(bounds):
    with pytest.raises(ValidationError, match=next(iter(bounds))):
        Recipe(data=DATA, promotion=bounds)


def test_only_growth_is_bounded_unless_a_recipe_says_so():
    assert Promotion().model_dump(exclude_none=True) == {"max_growth": 2.0}
    assert Recipe(data=DATA, promotion={"max_growth": None}).promotion.max_growth is None
