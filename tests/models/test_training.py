"""Training: every row keeps its own targets, the same seed the same bits, the best weights on dev stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from models.encoding import Encoded, encode
from models.families import new_student
from models.inference import predict_logits
from models.objectives import (
    NO_LABEL,
    DecoupledKL,
    HardCrossEntropy,
    HiddenDistance,
    LogitMSE,
    Objective,
    Ramp,
    RelationKL,
    SoftCrossEntropy,
    Term,
    Weighted,
)
from models.training import Examples, Schedule, accuracy_on, steps_for, train
from tests.tiny import wordpiece_tokenizer

ROWS = 32
WORDS = ["wheat", "corn", "oil", "gold", "ship", "trade", "bank", "rate", "loan", "cat", "dog", "mat", "sun", "rain"]
TEXTS = [
    " ".join(np.random.default_rng(row).choice(WORDS, size=2 + row % 5)) + (" rose" if row % 2 else " fell")
    for row in range(ROWS)
]
TOKENIZER = wordpiece_tokenizer(TEXTS)
CLASSES = 2
T = Ramp(2.0, 2.0)
HARD, SOFT, LOGITS = (Weighted(kind(), temperature=T) for kind in (HardCrossEntropy, SoftCrossEntropy, LogitMSE))
VECTOR = 6
SHORT = Schedule(steps=6, batch_size=8, learning_rate=0.02)


def examples(labelled=ROWS):
    """Texts with labels and made-up teacher logits that follow no rule, so that they have to be learnt row by row."""
    labels = np.arange(ROWS) % CLASSES
    labels[labelled:] = NO_LABEL
    teacher_logits = np.random.default_rng(0).normal(size=(ROWS, CLASSES)).astype(np.float32)
    vectors = np.random.default_rng(1).normal(size=(ROWS, 1, VECTOR)).astype(np.float16)
    return Examples(encode(TOKENIZER, TEXTS, None, 16), labels, teacher_logits, vectors)


def student(dropout=0.0):
    torch.manual_seed(0)
    return new_student(
        "gru", vocab_size=len(TOKENIZER), embedding_size=16, hidden_size=16, dropout=dropout, num_labels=CLASSES
    )


def trained(terms=(SOFT, HARD), schedule=SHORT, seed=0, rows=None, dev=None, dropout=0.0, **more):
    model, rows = student(dropout), rows or examples()
    history = train(model, rows, dev or examples(), Objective(terms), schedule, seed, **more)
    return model, history


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def test_bf16_learns_the_same_but_for_rounding_and_leaves_weights_in_fp32():
    schedule = Schedule(steps=80, batch_size=16, learning_rate=0.03, weight_decay=0.0)
    told = [trained([HARD], replace(schedule, precision=precision)) for precision in ("fp32", "bf16", "bf16")]
    (exact, _), (model, history), (again, _) = told
    assert history.loss[-1][1] < 0.01
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert torch.equal(weights(model), weights(again))
    assert not torch.equal(weights(model), weights(exact)), "it was in bf16"


@pytest.mark.parametrize("term", [HARD, SOFT, LOGITS], ids=lambda part: type(part.term).__name__)
def test_learns_what_each_row_says(term):
    schedule = Schedule(steps=80, batch_size=16, learning_rate=0.03, weight_decay=0.0)
    model, history = trained([term], schedule)
    if term is HARD:
        assert history.loss[-1][1] < 0.01
        assert accuracy_on(model, examples()) == 1
    else:  # the difference of the two logits is all that a softmax sees of them
        logits = predict_logits(model, examples().encoded, ROWS), examples().teacher_logits
        found, wanted = (np.diff(each, axis=1) for each in logits)
        assert np.abs(found - wanted).max() < 0.3


ENCODER = BertConfig(
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    initializer_range=0.5,  # BERT's 0.02 leaves so small a model with attention that is all the same
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    vocab_size=len(TOKENIZER),
)


def transformer():
    torch.manual_seed(0)
    shape = {"vocab_size": len(TOKENIZER), "embedding_size": 8, "encoder": ENCODER.to_dict()}
    return new_student("transformer", **shape, dropout=0.0, num_labels=CLASSES)


def relation(model):
    torch.manual_seed(5)
    return RelationKL(model, BertForSequenceClassification(ENCODER).eval(), -1, torch.arange(len(TOKENIZER)), 2)


def vectors(model):
    torch.manual_seed(6)
    return HiddenDistance(model.state_widths[-1:], VECTOR, "mse")


@pytest.mark.parametrize(
    "term",
    [
        lambda model: HardCrossEntropy(),
        lambda model: SoftCrossEntropy(),
        lambda model: LogitMSE(),
        lambda model: DecoupledKL(2.0),
        vectors,
        relation,
    ],
    ids=["hard", "soft", "logits", "decoupled", "hidden", "relation"],
)
@pytest.mark.parametrize("labelled", [ROWS, 5], ids=["all labelled", "few labelled"])
def test_accumulating_gradients_changes_nothing(term, labelled):
    """One step over all rows at once or in two halves; Adam hides a wrong scale, so the gradients are compared too."""
    results = []
    for batch_size, accumulate in ((ROWS, 1), (ROWS // 2, 2)):
        model, gradients = transformer(), []
        model.embeddings.weight.register_hook(gradients.append)
        schedule = Schedule(2, batch_size, learning_rate=0.01, accumulate=accumulate)
        history = train(model, examples(labelled), examples(), Objective([Weighted(term(model))]), schedule, seed=0)
        assert len(gradients) == 2 * accumulate
        results.append((sum(gradients[:accumulate]), torch.tensor(history.loss)))
    for whole, halves in zip(*results, strict=True):
        torch.testing.assert_close(halves, whole, atol=1e-5, rtol=1e-4)
    assert results[0][0].abs().max() > 1e-5, "it must have learnt something"


class _Spy(Term):
    """A term that is nothing but its temperature, and remembers it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, seen, temperature):
        self.seen.append(round(temperature, 6))
        return 0 * seen.logits.sum() + temperature


def test_temperature_and_weight_change_evenly_over_the_steps():
    spy = _Spy()
    schedule = replace(SHORT, steps=5)
    _, history = trained([Weighted(spy, Ramp(1.0, 0.0), Ramp(1.0, 5.0)), HARD], schedule)
    assert spy.seen == [1.0, 2.0, 3.0, 4.0, 5.0]
    _, plain = trained([HARD], schedule)
    added = [both - alone for (_, both), (_, alone) in zip(history.loss, plain.loss, strict=True)]
    np.testing.assert_allclose(added, [1.0, 0.75 * 2, 0.5 * 3, 0.25 * 4, 0.0], atol=1e-5)


def test_what_a_term_learns_is_trained_along_and_the_student_learns_from_it():
    model = student()
    term = vectors(model)
    before = term.projections[0].weight.clone()
    history = train(
        model, examples(), examples(), Objective([Weighted(term)]), Schedule(60, 16, 0.02, weight_decay=0.0), 0
    )
    assert not torch.equal(term.projections[0].weight, before)
    assert history.loss[-1][1] < 0.5 * history.loss[0][1]
    assert not torch.equal(model.embeddings.weight, student().embeddings.weight)


def test_a_look_at_dev_can_end_the_training():
    class Enough(Exception):  # noqa: N818
        pass

    told = []

    def looked(look, accuracy):
        told.append((look, accuracy))
        if look == 2:
            raise Enough

    with pytest.raises(Enough):
        trained(schedule=replace(SHORT, evaluations=3), looked=looked)
    assert [look for look, _ in told] == [1, 2]
    assert all(0 <= accuracy <= 1 for _, accuracy in told)


def test_same_seed_gives_the_same_bits_in_memory_or_mapped(tmp_path):
    rows = examples()
    rows.encoded.save(tmp_path)
    mapped = replace(rows, encoded=Encoded.load(tmp_path))
    first, again, other = (
        weights(trained(rows=each, seed=seed, dropout=0.3)[0]) for each, seed in ((rows, 1), (mapped, 1), (rows, 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_each_term_of_the_objective_counts():
    both, hard, soft = (weights(trained(terms)[0]) for terms in ([SOFT, HARD], [HARD], [SOFT]))
    assert not torch.allclose(both, hard, atol=1e-4)
    assert not torch.allclose(both, soft, atol=1e-4)


def test_best_weights_on_dev_are_kept():
    """What is learnt here is wrong on dev, so an early look is the best one."""
    dev = replace(examples(), labels=1 - examples().labels)
    schedule = Schedule(steps=24, batch_size=8, learning_rate=0.01, evaluations=24)
    model, history = trained([HARD], schedule, dev=dev)
    accuracies = [accuracy for _, accuracy in history.dev_accuracy]
    assert max(accuracies) > accuracies[-1] + 0.2
    assert accuracy_on(model, dev) == max(accuracies)
    assert history.best_step == max(step for step, accuracy in history.dev_accuracy if accuracy == max(accuracies))
    assert history.best_step < 24
    assert not model.training


def test_a_tie_goes_to_the_later_weights():
    """A gold class that no logit stands for is never right, so that all looks tie."""
    nothing_right = replace(examples(), labels=np.full(ROWS, CLASSES))
    looking, history = trained(schedule=replace(SHORT, evaluations=3), dev=nothing_right)
    assert history.best_step == SHORT.steps
    assert torch.equal(weights(looking), weights(trained()[0]))


def test_looking_at_dev_does_not_disturb_training():
    """Else a student that is looked at more often would also be another one."""
    often, never = (trained(schedule=replace(SHORT, evaluations=looks), dropout=0.3)[1] for looks in (6, 0))
    assert often.loss == never.loss


@pytest.mark.parametrize(("evaluations", "wanted"), [(0, []), (1, [5]), (2, [2, 5]), (9, [1, 2, 3, 4, 5])])
def test_looks_at_dev_are_spread_and_each_step_is_told(evaluations, wanted):
    done = []
    schedule = replace(SHORT, steps=5, evaluations=evaluations)
    _, history = trained(schedule=schedule, advance=done.append)
    assert done == [1] * 5
    assert [step for step, _ in history.dev_accuracy] == wanted
    assert [step for step, _ in history.loss] == [1, 2, 3, 4, 5]


def test_one_step_already_learns():
    model, _ = trained(schedule=replace(SHORT, steps=1))
    assert not torch.equal(weights(model), weights(student()))
    assert not model.training


def test_diverging_loss_stops_with_a_hint():
    with pytest.raises(FloatingPointError, match="learning_rate"):
        trained([LOGITS], replace(SHORT, learning_rate=1e30))


def test_soft_term_without_teacher_logits_is_refused():
    with pytest.raises(ValueError, match="teacher logits"):
        trained(rows=replace(examples(), teacher_logits=None))


@pytest.mark.parametrize("change", [{"labels": np.zeros(3)}, {"teacher_logits": np.zeros((3, 2))}])
def test_targets_for_other_rows_are_refused(change):
    with pytest.raises(ValueError, match=f"{ROWS} texts"):
        replace(examples(), **change)


def test_accuracy_reads_the_columns_it_is_given():
    model, rows = student(), examples()
    right = accuracy_on(model, rows)
    assert 0 < right < 1
    assert accuracy_on(model, rows, [1, 0]) == pytest.approx(1 - right)


def test_steps_for_counts_the_smaller_last_batch():
    assert [steps_for(rows, 4, 3) for rows in (1, 4, 5, 8)] == [3, 3, 6, 6]
