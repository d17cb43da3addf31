"""The recipe's student and objective: what belongs to another family or term is refused with a line that says so."""

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.shared.objective import flattened
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_learning import Term

DATA = {"train": "train.csv", "test": "test.csv"}
SOFT = {"term": "soft"}
FILE = {"teachers": [{"labels": "x.csv"}], "student": {"tokenizer": "here"}}


@pytest.mark.parametrize(
    ("student", "complaint"),
    [
        ({"family": "cnn", "layers": 2}, "a cnn takes no layers; remove that"),
        ({"family": "cnn", "bidirectional": False, "pooling": "max"}, "a cnn takes no bidirectional and no pooling"),
        ({"family": "bag", "pooling": "max"}, "a bag takes no pooling"),
        ({"family": "lstm", "heads": 2}, "a lstm takes no heads"),
        ({"family": "gru", "kernel_sizes": [3]}, "a gru takes no kernel_sizes"),
        ({"family": "rnn", "configuration": "c.json"}, "a rnn takes no configuration"),
        ({"family": "lstm", "teacher_layers": [0]}, "a lstm takes no teacher_layers"),
        ({"family": "transformer", "bidirectional": False}, "a transformer takes no bidirectional"),
        ({"family": "transformer", "hidden_size": 66}, "hidden_size 66 is no multiple of the 4 heads"),
        ({"family": "transformer", "configuration": "c.json", "heads": 2}, "configuration says the encoder's shape"),
        ({"family": "transformer", "configuration": "c.json", "layers": 2}, "already; remove layers"),
        ({"family": "transformer", "teacher_layers": [0], "hidden_size": 128}, "already; remove hidden_size"),
        ({"family": "transformer", "teacher_layers": [0], "embedding_size": 32}, "already; remove embedding_size"),
        ({"family": "transformer", "teacher_layers": [0], "embeddings": "random"}, "leave embeddings out"),
        ({"family": "transformer", "teacher_layers": [0], "embeddings": "glove.txt"}, "leave embeddings out"),
        ({"family": "transformer", "teacher_layers": [0], "configuration": "c"}, "both say what the encoder is"),
        ({"family": "transformer", "teacher_layers": [-1]}, "greater than or equal to 0"),
        ({"pooling": "median"}, "'last', 'mean', 'max' or 'attention'"),
        ({"family": "perceptron"}, "'lstm', 'gru', 'rnn', 'transformer', 'cnn' or 'bag'"),
    ],
)
def test_a_shape_that_cannot_be_is_told(student, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Recipe(data=DATA, student=student)


@pytest.mark.parametrize(
    ("term", "complaint"),
    [
        (SOFT | {"beta": 2}, "beta belongs to decoupled, not to soft"),
        (SOFT | {"layers": [0]}, "layers belongs to hidden and relation, not to soft"),
        ({"term": "hard", "temperature": 2}, "temperature belongs to soft and decoupled and standardised, not to hard"),
        ({"term": "logits", "final_temperature": 2}, "final_temperature belongs to soft"),
        ({"term": "standardised", "beta": 1}, "beta belongs to decoupled"),
        ({"term": "relation", "distance": "mse"}, "distance belongs to hidden, not to relation"),
        ({"term": "hidden", "temperature": 2}, "not to hidden"),
        ({"term": "relation", "layers": [0, 1]}, "relation takes one layer"),
        (SOFT | {"weight": 0}, "weight is 0 all the time; remove the term"),
        (SOFT | {"weight": 0, "final_weight": 0}, "weight is 0 all the time; remove the term"),
    ],
)
def test_a_term_with_what_is_not_its_own_is_told(term, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Recipe(data=DATA, objective=[term, SOFT])


@pytest.mark.parametrize(
    ("terms", "more", "complaint"),
    [
        (["hidden"], {}, "says nothing of the classes"),
        (["hidden", "hidden", "soft"], {}, "objective has hidden twice"),
        (["relation", "soft"], {}, "takes student.family: transformer and student.tokenizer: 0"),
        (["relation", "soft"], {"student": {"family": "transformer", "tokenizer": "here"}}, "student.tokenizer: 0"),
        (["hidden", "soft"], FILE, "hidden looks into teacher 0, which is a file of labels"),
        (["relation", "soft"], FILE, "relation looks into teacher 0, which is a file of labels"),
        ([{"term": "hidden", "teacher": 1}, "soft"], {}, "teacher 1, but they are numbered from 0"),
        ([{"term": "hidden", "layers": [0, 1, 2]}, "soft"], {}, "names 3 layers .* this lstm has 2 to match"),
        ([{"term": "hidden", "layers": [0, 1]}, "soft"], {"student": {"family": "bag"}}, "this bag has 1 to match"),
        ([{"term": "hidden", "layers": [0, 1, 2]}, "soft"], {"student": {"family": "cnn"}}, "this cnn has 2"),
        (
            [{"term": "hidden", "layers": [0, 1, 2]}, "soft"],
            {"student": {"family": "transformer", "teacher_layers": [4]}},
            "this transformer has 2 to match",
        ),
    ],
)
def test_an_objective_that_nobody_can_answer_is_told(terms, more, complaint):
    objective = [{"term": term} if isinstance(term, str) else term for term in terms]
    with pytest.raises(ValidationError, match=complaint):
        Recipe.model_validate({"data": DATA, "objective": objective, **more})


@pytest.mark.parametrize(
    ("terms", "student"),
    [
        ([{"term": "relation"}, SOFT], {"family": "transformer"}),
        ([{"term": "relation", "layers": [3]}, SOFT], {"family": "transformer", "teacher_layers": [0, 5]}),
        ([{"term": "hidden", "layers": [0, -1]}, SOFT], {}),
        ([{"term": "hidden", "layers": [1, 2, 3]}, SOFT], {"layers": 2}),
        ([{"term": "hidden", "distance": "mse"}, SOFT], {"family": "bag"}),
        ([{"term": "hidden"}, {"term": "relation"}, SOFT], {"family": "transformer"}),
        ([{"term": "hidden", "layers": [0, 1, 2, 3]}, SOFT], {"family": "transformer", "configuration": "c.json"}),
        ([SOFT, {"term": "hard", "weight": 0, "final_weight": 1}], {"family": "cnn", "kernel_sizes": [2, 3]}),
    ],
)
def test_what_fits_together_is_taken(terms, student):
    recipe = Recipe(data=DATA, objective=terms, student=student)
    assert Recipe.model_validate(recipe.model_dump()) == recipe, (
        "what was left out and what is the default are the same"
    )


@pytest.mark.parametrize(
    ("student", "states"),
    [
        ({}, 2),
        ({"layers": 3}, 4),
        ({"family": "cnn"}, 2),
        ({"family": "bag", "layers": 3}, 1),
        ({"family": "transformer", "layers": 2}, 3),
        ({"family": "transformer", "teacher_layers": [1, 5, 9]}, 4),
        ({"family": "transformer", "configuration": "c.json"}, None),
    ],
)
def test_the_recipe_counts_the_states_that_the_student_has(student, states):
    from models.families import new_student

    shape = Recipe(data=DATA, student=student).student
    assert shape.states == states
    if not {"teacher_layers", "configuration"} & set(student):
        layers = {} if shape.family == "cnn" else {"num_hidden_layers": shape.layers}
        assert len(new_student(shape.family, **layers).state_widths) == states


def test_a_temperature_that_flattens_what_the_teacher_says_is_told_of():
    many = np.zeros((20, 150), np.float32)
    many[:, 3] = 7.0  # e^7 of e^7 + 149: 88 %; at 2, e^3.5 of e^3.5 + 149: 18 %
    said = flattened([Term(term="soft", temperature=2.0)], many)
    assert said is not None
    assert "18% at temperature 2, 88% at 1" in said
    assert flattened([Term(term="soft", temperature=1.0)], many) is None
    assert flattened([Term(term="logits")], many) is None
    unsure = flattened([Term(term="soft", temperature=2.0)], many / 2)
    assert unsure is None, "so it is at 1 too"
    eight = np.zeros((20, 8), np.float32)
    eight[:, 3] = 3.6  # 84 %; 46 % at 2, which did the quickstart's students no harm
    assert flattened([Term(term="soft", temperature=2.0)], eight) is None
    two = np.array([[0.1, 0.0]] * 3, np.float32)
    assert flattened([Term(term="soft", temperature=50.0)], two) is None, "of two classes one has a half at least"
