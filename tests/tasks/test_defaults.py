"""What a recipe leaves out: derived from the data and one dial, and never against what the recipe says."""

from dataclasses import replace
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.shared.defaults.derive import Resolution, derive, resolved
from tasks.shared.defaults.facts import DataFacts, Facts, ModelFacts
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.dotted import flatten
from tasks.shared.recipe import Effort, Recipe
from tasks.shared.recipe_file import recipe_to_yaml, validate_recipe

DATA = {"train": "train.csv", "test": "test.csv"}
SENTENCES = DataFacts(classes=2, gold=5600, dev=1400, transfer=5600, tokens=19.0)
EFFORTS = get_args(Effort)


def facts(data: DataFacts = SENTENCES, **others: object) -> Facts:
    return replace(Facts(data, (ModelFacts(384, 512),), "fp32"), **others)


def derived(data: DataFacts = SENTENCES, **recipe: object) -> Resolution:
    return derive(Recipe(**{"data": DATA, **recipe}), facts(data))


def test_nothing_is_left_to_derive_and_each_value_has_a_reason():
    found = derived()
    assert isinstance(found.recipe, ResolvedRecipe), "its type knows no value that is left out"
    assert "auto" not in [value for path, value in flatten(found.recipe.model_dump()) if path != "device"]
    assert all(one.why for one in found.derived)
    assert {one.path for one in found.derived} >= {"training.epochs", "augment.copies", "teachers.0.learning_rate"}


def test_what_the_recipe_says_stands_and_is_not_raced():
    said = {
        "student": {"hidden_size": 20, "dropout": 0.0},
        "training": {"epochs": 3},
        "augment": {"copies": 1},
        "twin": {"copies": 0},
        "teachers": [{"precision": "bf16"}],
    }
    found = derived(**said)
    assert (found.recipe.student.hidden_size, found.recipe.student.dropout) == (20, 0.0)
    assert (found.recipe.training.epochs, found.recipe.augment.copies) == (3, 1)
    assert found.recipe.teachers[0].precision == "bf16"
    changed = {path for changes in (*found.students, *found.twins) for path in changes}
    named = {"student.hidden_size", "student.dropout", "training.epochs", "augment.copies", "twin.copies"}
    assert not changed & named
    assert not {one.path for one in found.derived} & named


def test_a_resolved_recipe_is_read_back_and_derives_nothing_more():
    """A run keeps it whole, so that a later Stillhouse's rules change nothing."""
    whole = derived().recipe
    again = validate_recipe(yaml.safe_load(recipe_to_yaml(whole)), "recipe.yaml")
    found = derive(again, facts(replace(SENTENCES, gold=50, transfer=10**6)))
    assert found.derived == ()
    assert found.recipe == whole


@pytest.mark.parametrize(
    "name",
    ["student.hidden_size", "student.vocabulary", "robustness.texts", "augment.copies", "race"],
)
def test_more_effort_is_never_less_work(name):
    values = [dict(flatten(derived(effort=effort).recipe.model_dump()))[name] for effort in EFFORTS]
    assert values == sorted(values)


def test_more_effort_is_never_fewer_texts_read():
    recipes = [derived(effort=effort).recipe for effort in EFFORTS]
    read = [recipe.training.epochs * (1 + recipe.augment.copies) for recipe in recipes]
    assert read == sorted(read)


def test_dropout_is_for_texts_that_are_met_often():
    seldom = derived(training={"epochs": 6}, augment={"copies": 0}, twin={"epochs": 6}).recipe
    often = derived(training={"epochs": 60}, augment={"copies": 0}, twin={"epochs": 60}).recipe
    assert seldom.student.dropout == seldom.twin.dropout < 0.2 < often.student.dropout == often.twin.dropout


def test_copies_where_text_is_scarce_and_none_where_it_abounds():
    assert derived().recipe.augment.copies > 1
    much = derived(replace(SENTENCES, transfer=200_000))
    assert much.recipe.augment.copies == 0
    assert all("augment.copies" not in changes for changes in much.students)
    hosted = {"teachers": [{"labels": "hosted.csv"}], "student": {"tokenizer": "sample:minilm-l6"}}
    assert derived(**hosted).recipe.augment.copies == 0


def test_twins_of_few_rows_learn_for_as_many_steps_as_others():
    """They are the students' measure: held to few passes they would be a low one."""
    few = replace(SENTENCES, gold=64, transfer=5000)
    for effort in EFFORTS:
        found = derived(few, effort=effort).recipe
        steps = found.twin.epochs * -(-few.gold // found.training.batch_size)
        assert steps >= 0.9 * found.training.epochs * -(-few.transfer // found.training.batch_size)


def test_twins_are_as_the_recipe_says():
    assert derived(student={"dropout": 0.0}).recipe.twin.dropout == 0.0
    copied = derived(twin={"copies": 8}).recipe.twin
    assert copied.epochs < derived().recipe.twin.epochs / 4
    assert copied.dropout == 0.3


def test_a_matched_twin_drops_out_by_the_passes_that_the_students_steps_give_it():
    few = replace(SENTENCES, gold=64, transfer=5000)
    for epochs, much in ((1, False), (60, True)):
        found = derived(few, training={"epochs": epochs, "batch_size": 1000}, twin={"epochs": "matched"})
        [why] = [one.why for one in found.derived if one.path == "twin.dropout"]
        assert f"met {5 * epochs} times" in why
        assert (found.recipe.twin.dropout > 0.2) is much


def test_no_copies_where_nothing_would_be_changed():
    found = derived(augment={"mask": 0, "same_class": 0, "n_gram": 0})
    assert found.recipe.augment.copies == 0
    assert not any("twin.copies" in changes for changes in found.twins)


def test_candidates_are_trainings_that_differ_and_that_a_recipe_can_ask_for():
    alone = replace(SENTENCES, gold=500, transfer=500)
    whole = derived(alone, augment={"copies": 0}, training={"epochs": 40}, race=4)
    assert {"twin.epochs": "matched"} in whole.twins
    same = derived(alone, augment={"copies": 0}, training={"epochs": whole.recipe.twin.epochs}, race=4)
    assert {"twin.epochs": "matched"} not in same.twins
    huge = derived(replace(alone, classes=500), effort="thorough", training={"batch_size": 4096})
    assert all(changes.get("training.epochs", 1) <= 10_000 for changes in huge.students)


def test_many_classes_are_not_flattened():
    assert derived().recipe.objective[0].temperature == 2.0
    assert derived(replace(SENTENCES, classes=77)).recipe.objective[0].temperature == 1.0


def test_a_teacher_reads_no_more_than_it_has_positions_for_and_wide_ones_learn_slowly():
    narrow = derive(Recipe(data=DATA), facts(models=(ModelFacts(384, 16),))).recipe.teachers[0]
    wide = derive(Recipe(data=DATA), facts(models=(ModelFacts(1024, None),))).recipe.teachers[0]
    assert narrow.max_length == 16
    assert wide.learning_rate < narrow.learning_rate


def test_a_classifier_that_is_taken_as_it_is_has_the_same_key_whatever_the_data():
    few, many = (derived(replace(SENTENCES, gold=n), teachers=[{"epochs": 0}]).recipe.teachers[0] for n in (30, 30_000))
    assert few == many


def test_word_vectors_keep_their_width():
    recipe = Recipe(data=DATA, student={"embeddings": "glove.txt"})
    assert derive(recipe, facts(vectors=50)).recipe.student.embedding_size == 50


def test_tokens_that_no_text_has_are_kept_where_they_start_with_a_vector_that_means_something():
    assert derived().recipe.student.vocabulary > 10_000
    assert derived(student={"embeddings": "random"}).recipe.student.vocabulary == 0


@pytest.mark.parametrize("shape", [{"configuration": "config.json"}, {"teacher_layers": [0]}])
def test_what_says_the_shape_itself_is_given_none(shape):
    student = derived(student={"family": "transformer", **shape}).recipe.student
    assert student.hidden_size is None


@given(
    st.builds(
        DataFacts,
        classes=st.integers(2, 1000),
        gold=st.integers(1, 10**6),
        dev=st.integers(1, 10**5),
        transfer=st.integers(1, 10**9),
        tokens=st.floats(1, 10**5),
    ),
    st.sampled_from(EFFORTS),
)
def test_whatever_the_data_the_recipe_can_be(data, effort):
    """Every candidate too; and the same facts give the same."""
    found = derived(data, effort=effort)
    assert found == derived(data, effort=effort)
    for changes in found.students:
        resolved(found.recipe, changes)
    for changes in found.twins:
        resolved(found.recipe, changes)
    assert 1 <= len(found.students) <= found.recipe.race
    assert found.students[0] == found.twins[0] == {}
