"""A student that looks at its teacher's attention: in the teacher's own ids, and told in one line where it cannot."""

from dataclasses import replace

import numpy as np
import pytest
from transformers import AutoTokenizer, BertConfig

from models.families import new_student
from tasks.prepare_student import Origin, PrepareStudent
from tasks.shared.dataset import read_chunks
from tasks.shared.errors import StillhouseError
from tasks.shared.objective import TEACHER_IDS, objective_of
from tasks.shared.outputs import hash_folder
from tasks.shared.recipe_learning import Term
from tasks.train_student import TrainStudent
from tests.settled import Student
from tests.tiny import bpe_tokenizer, tiny_gpt2
from tests.toy import toy_rows

RELATION, SOFT = Term(term="relation"), Term(term="soft", temperature=2.0)
SHAPE = Student(family="transformer", embedding_size=8, hidden_size=8, heads=2)
TEXTS = [text for text, _ in toy_rows(240, seed=0)]


@pytest.fixture
def step(toy):
    prepared = toy.bench(PrepareStudent(toy.data, toy.teacher, SHAPE))
    fields = {"student": SHAPE, "prepared": prepared, "objective": (RELATION, SOFT), "looked_into": toy.teacher}
    return toy.small(TrainStudent, **fields)


def test_relation_teaches_and_the_same_each_time(toy, step):
    made = toy.bench(step)
    assert toy.bench.make(step).digest == toy.bench.output(step).digest
    assert made.digest != toy.bench(replace(step, objective=(SOFT,), looked_into=None)).digest
    assert replace(step, looked_into=replace(toy.teacher, digest="0")).key != step.key


def test_the_teacher_reads_what_the_student_reads(toy, step):
    """Its attention is that of the text as its own tokenizer has it."""
    model = step._new_model()
    objective = step.objective_for(model)
    examples = step.learn_from(toy.bench.context)
    batch = examples.encoded.batch(np.arange(4))
    reader = AutoTokenizer.from_pretrained(toy.teacher.path)
    shipped = AutoTokenizer.from_pretrained(step.prepared.path / "tokenizer")
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        tokens = shipped.convert_ids_to_tokens(ids[mask.bool()].tolist())
        wanted = objective.terms[0]._ids[ids[mask.bool()]].tolist()
        assert reader.convert_ids_to_tokens(wanted) == tokens


@pytest.mark.parametrize("kind", ["cut down", "mapped"])
def test_each_id_of_the_student_is_the_teachers_id_of_the_same_token(toy, tmp_path, kind):
    origin = toy.teacher
    if kind == "mapped":
        folder = tiny_gpt2(tmp_path / "gpt2", bpe_tokenizer(TEXTS))
        origin = Origin(folder, hash_folder(folder), 16)
    prepared = toy.bench(PrepareStudent(toy.data, origin, SHAPE))
    ids = np.load(prepared.path / TEACHER_IDS)
    ours, theirs = (AutoTokenizer.from_pretrained(path) for path in (prepared.path / "tokenizer", origin.path))
    assert len(ids) >= len(ours)
    assert ids.max() < len(theirs)
    texts = next(read_chunks(toy.data.file("transfer"))).texts  # of others, the student may not know a token
    for text in texts[:20]:
        assert ids[ours(text)["input_ids"]].tolist() == theirs(text)["input_ids"]


def test_heads_that_do_not_share_out_the_teachers_width_are_told(toy, step):
    model = new_student("transformer", vocab_size=20, hidden_size=12, num_attention_heads=3)
    with pytest.raises(StillhouseError, match=r"objective: 3 relation heads .* width of 32"):
        objective_of([RELATION], model, 0, toy.teacher.path, step.prepared.path)


def test_a_teachers_layer_that_is_not_there_is_told(toy, step):
    for layer, path, complaint in ((5, toy.teacher.path, "layer 5: it has 1"), (-1, None, "needs a teacher")):
        with pytest.raises(StillhouseError, match=rf"objective: .*{complaint}"):
            objective_of([Term(term="relation", layers=[layer])], step._new_model(), 0, path, step.prepared.path)


def test_more_of_the_teachers_layers_than_the_student_has_are_told(toy):
    encoder = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8).to_dict()
    model = new_student("transformer", encoder=encoder, vocab_size=20, embedding_size=8)
    with pytest.raises(StillhouseError, match="objective: "):
        objective_of([Term(term="hidden", layers=[0, 1, 2])], model, 32, None, toy.folder)


def test_copied_layers_that_read_fewer_tokens_than_the_student_are_told(toy):
    """The toy teacher has 64 positions."""
    shape = Student(family="transformer", teacher_layers=[0], max_length=100)
    with pytest.raises(StillhouseError, match=r"max_length"):
        toy.bench(PrepareStudent(toy.data, toy.teacher, shape))


def test_hidden_matches_the_students_last_states_in_order(toy):
    model = new_student("gru", vocab_size=20, embedding_size=6, hidden_size=5, num_hidden_layers=2)
    for layers, widths in (([0], [10]), ([0, 1], [10, 10]), ([0, 1, 2], [6, 10, 10])):
        [term] = objective_of([Term(term="hidden", layers=layers)], model, 32, None, toy.folder).terms
        assert [(one.in_features, one.out_features) for one in term.projections] == [(width, 32) for width in widths]


def test_schedules_of_the_recipe_are_those_of_the_terms(toy):
    terms = [
        Term(term="soft", weight=2, final_weight=0, temperature=4, final_temperature=1),
        Term(term="decoupled", weight=0, final_weight=3, temperature=2, beta=5),
    ]
    soft, decoupled = objective_of(terms, new_student("bag"), 0, None, toy.folder).parts
    assert [soft.weight.at(progress) for progress in (0, 0.5, 1)] == [2, 1, 0]
    assert [soft.temperature.at(progress) for progress in (0, 1)] == [4, 1]
    assert [decoupled.weight.at(progress) for progress in (0, 1)] == [0, 3]
    assert [decoupled.temperature.at(progress) for progress in (0, 1)] == [2, 2]
    assert decoupled.term.beta == 5
