"""Training with every term: accumulated gradients are the same, schedules follow the steps, turning it off is seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BartConfig, BartForSequenceClassification

from models.families import new_student
from models.objectives import (
    DecoupledKL,
    HardCrossEntropy,
    HiddenDistance,
    LogitMSE,
    Objective,
    Ramp,
    Seen,
    SoftCrossEntropy,
    StandardisedCrossEntropy,
    Weighted,
)
from models.training import Schedule, train
from tests.models.test_training import (
    ENCODER,
    HARD,
    ROWS,
    SHORT,
    TOKENIZER,
    VECTOR,
    T,
    _Spy,
    examples,
    relation,
    trained,
    vectors,
    weights,
)


def three_classes():
    """The same texts with logits of three classes, as the standardised term needs them."""
    logits = np.random.default_rng(2).normal(size=(ROWS, 3)).astype(np.float32)
    return replace(examples(), teacher_logits=logits, labels=np.arange(ROWS) % 3)


def small(classes=3):
    torch.manual_seed(0)
    shape = {"vocab_size": len(TOKENIZER), "embedding_size": 8, "encoder": ENCODER.to_dict()}
    return new_student("transformer", **shape, dropout=0.0, num_labels=classes)


def cosine(model):
    torch.manual_seed(6)
    return HiddenDistance(model.state_widths[-1:], VECTOR, "cosine")


TERMS = {
    "hard": lambda model: HardCrossEntropy(),
    "soft": lambda model: SoftCrossEntropy(),
    "logits": lambda model: LogitMSE(),
    "decoupled": lambda model: DecoupledKL(2.0),
    "standardised": lambda model: StandardisedCrossEntropy(),
    "cosine": cosine,
    "mse": vectors,
    "relation": relation,
}
OF_TEACHERS = [name for name in TERMS if name != "hard"]


@pytest.mark.parametrize("name", ["standardised", "cosine"])
def test_accumulating_gradients_changes_nothing(name):
    """The other terms are in test_training. Adam hides a wrong scale, so it is the gradients that are compared."""
    results = []
    for batch_size, accumulate in ((ROWS, 1), (ROWS // 2, 2)):
        model, gradients = small(), []
        model.embeddings.weight.register_hook(gradients.append)
        objective = Objective([Weighted(TERMS[name](model), temperature=T)])
        schedule = Schedule(2, batch_size, learning_rate=0.01, accumulate=accumulate)
        train(model, three_classes(), three_classes(), objective, schedule, seed=0)
        results.append(sum(gradients[:accumulate]))
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-4)
    assert results[0].abs().max() > 1e-5, "it must have learnt something"


def test_what_a_term_learns_has_the_same_gradient_in_halves():
    results = []
    for batch_size, accumulate in ((ROWS, 1), (ROWS // 2, 2)):
        model, gradients = small(), []
        term = cosine(model)
        term.projections[0].weight.register_hook(gradients.append)
        schedule = Schedule(1, batch_size, learning_rate=0.01, accumulate=accumulate)
        train(model, examples(), examples(), Objective([Weighted(term)]), schedule, seed=0)
        results.append(sum(gradients))
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-4)


def test_schedules_follow_optimiser_steps_and_not_batches():
    spy = _Spy()
    trained([Weighted(spy, temperature=Ramp(1.0, 3.0)), HARD], replace(SHORT, steps=3, accumulate=2))
    assert spy.seen == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("name", OF_TEACHERS)
def test_turning_distillation_off_changes_the_student(name):
    """The projection of a hidden term is drawn beside the student, so that both begin alike."""
    ends = []
    for more in (True, False):
        model = small()
        terms = [HARD, Weighted(TERMS[name](model), temperature=T)] if more else [HARD]
        train(model, three_classes(), three_classes(), Objective(terms), SHORT, 0)
        ends.append(weights(model))
    assert not torch.allclose(*ends, atol=1e-4)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_alone_gives_the_same_student_each_time(name):
    ends = []
    for _ in range(2):
        model = small()
        objective = Objective([Weighted(TERMS[name](model), temperature=T)])
        train(model, three_classes(), three_classes(), objective, SHORT, 0)
        ends.append(weights(model))
    assert torch.equal(*ends)


@pytest.mark.parametrize("name", TERMS)
def test_every_term_learns_32_examples_by_heart(name):
    torch.manual_seed(0)
    shape = {"vocab_size": len(TOKENIZER), "embedding_size": 32, "hidden_size": 32, "num_attention_heads": 2}
    model, rows = new_student("transformer", **shape, dropout=0.0, num_labels=3), three_classes()
    objective = Objective([Weighted(TERMS[name](model), temperature=T)])
    history = train(model, rows, rows, objective, Schedule(200, 16, 0.005, weight_decay=0.0), 0)
    (_, first), (_, last) = history.loss[0], history.loss[-1]
    floor = lowest(name, rows.teacher_logits)
    assert last - floor < 0.03 * (first - floor)


def lowest(name, logits):
    """What a term is where the student says what the teacher does: with T^2, the entropy of what that one says."""
    if name not in ("soft", "standardised"):
        return 0
    agreed = torch.from_numpy(logits)
    return TERMS[name](None)(Seen(agreed, teacher_logits=agreed), T.first).item()


def test_a_teacher_of_encoder_and_decoder_is_trained():
    layers = {f"{part}_{what}": 1 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    ends = {"eos_token_id": TOKENIZER.sep_token_id, "pad_token_id": TOKENIZER.pad_token_id}
    model = BartForSequenceClassification(
        BartConfig(vocab_size=len(TOKENIZER), d_model=8, num_labels=2, **layers, **ends)
    )
    before = model.model.shared.weight.clone()
    train(model, examples(), examples(), Objective([HARD]), replace(SHORT, steps=2), 0)
    assert not torch.equal(model.model.shared.weight, before)
