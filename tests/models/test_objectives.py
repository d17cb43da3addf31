"""Objectives: worked by hand, against naive loops, and with a scale that nothing in the batch changes."""

import math

import pytest
import torch

from models.objectives import NO_LABEL, HardCrossEntropy, LogitMSE, Objective, SoftCrossEntropy, build_objective

LN3 = math.log(3)
TERMS = [SoftCrossEntropy(1.0), SoftCrossEntropy(2.5), HardCrossEntropy(), LogitMSE()]


def batch(rows=7, classes=4, seed=0):
    """Logits, labels (every third missing) and teacher logits."""
    torch.manual_seed(seed)
    labels = torch.randint(classes, (rows,))
    labels[::3] = NO_LABEL
    return torch.randn(rows, classes, requires_grad=True), labels, 3 * torch.randn(rows, classes)


def naive(term, logits, labels, teacher_logits):
    """The textbook's sums, row by row and class by class."""

    def probabilities(row, temperature):
        powers = [math.exp(value / temperature) for value in row]
        return [power / sum(powers) for power in powers]

    total = 0.0
    for row, label, wanted in zip(logits.tolist(), labels.tolist(), teacher_logits.tolist(), strict=True):
        match term:
            case SoftCrossEntropy(temperature=temperature):
                pairs = zip(probabilities(wanted, temperature), probabilities(row, temperature), strict=True)
                total += temperature**2 * -sum(p * math.log(q) for p, q in pairs)
            case HardCrossEntropy():
                total -= 0 if label == NO_LABEL else math.log(probabilities(row, 1.0)[label])
            case LogitMSE():
                total += sum((a - b) ** 2 for a, b in zip(row, wanted, strict=True)) / len(row)
    return total / len(logits)


def gradient(term, logits, labels, teacher_logits):
    return torch.autograd.grad(term(logits, labels, teacher_logits), logits)[0]


@pytest.mark.parametrize(
    ("term", "logits", "labels", "teacher", "wanted"),
    [
        # q = 1/4, 3/4 and p = 1/2, 1/2
        (SoftCrossEntropy(1.0), [[0.0, LN3]], [NO_LABEL], [[0.0, 0.0]], -math.log(3 / 16) / 2),
        # the same p and q at twice the logits, times T^2
        (SoftCrossEntropy(2.0), [[0.0, 2 * LN3]], [NO_LABEL], [[0.0, 0.0]], -4 * math.log(3 / 16) / 2),
        (HardCrossEntropy(), [[0.0, LN3]], [1], None, -math.log(3 / 4)),
        # a row without a label adds nothing and still counts
        (HardCrossEntropy(), [[0.0, LN3], [5.0, 1.0]], [0, NO_LABEL], None, -math.log(1 / 4) / 2),
        (LogitMSE(), [[0.0, 1.0], [2.0, 3.0]], [0, 0], [[0.0, 3.0], [2.0, 2.0]], 5 / 4),
    ],
)
def test_worked_by_hand(term, logits, labels, teacher, wanted):
    teacher = None if teacher is None else torch.tensor(teacher)
    assert term(torch.tensor(logits), torch.tensor(labels), teacher).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_naive_loop(term, seed):
    data = batch(seed=seed)
    assert term(*data).item() == pytest.approx(naive(term, *data), rel=1e-5)


@pytest.mark.parametrize("term", TERMS)
def test_a_batch_is_the_mean_of_its_halves(term):
    """So that accumulating gradients over batches changes nothing, however the labels fall."""
    logits, labels, teacher = batch(rows=6)
    labels[:3] = NO_LABEL
    halves = []
    for half in (slice(0, 3), slice(3, 6)):
        part = logits[half].detach().requires_grad_()
        halves.append(gradient(term, part, labels[half], teacher[half]))
    torch.testing.assert_close(gradient(term, logits, labels, teacher), torch.cat(halves) / 2)


def test_temperature_leaves_the_gradients_size_alone():
    """With T^2 it tends to that of half the squared logit difference, for logits of mean zero (Hinton 2015)."""
    logits, labels, teacher = batch(rows=64, classes=5)
    logits = (0.3 * (logits - logits.mean(1, keepdim=True))).detach().requires_grad_()
    teacher = 0.1 * (teacher - teacher.mean(1, keepdim=True))
    limit = (logits - teacher) / 5 / len(logits)
    sizes = {
        temperature: (gradient(SoftCrossEntropy(temperature), logits, labels, teacher).norm() / limit.norm()).item()
        for temperature in (1.0, 2.0, 5.0, 20.0, 1000.0)
    }
    assert sizes == {temperature: pytest.approx(1, abs=0.15) for temperature in sizes}
    torch.testing.assert_close(gradient(SoftCrossEntropy(1000.0), logits, labels, teacher), limit, atol=1e-5, rtol=1e-2)


def test_sure_teacher_is_a_gold_label():
    logits, _, _ = batch()
    labels = torch.arange(7) % 4
    sure = 100 * torch.nn.functional.one_hot(labels, 4).float()
    soft, hard = SoftCrossEntropy(1.0)(logits, None, sure), HardCrossEntropy()(logits, labels, None)
    torch.testing.assert_close(soft, hard)


def test_student_that_agrees_is_left_alone():
    logits, labels, _ = batch()
    for term in (SoftCrossEntropy(3.0), LogitMSE()):
        assert gradient(term, logits, labels, logits.detach()).abs().max() < 1e-6


def test_without_any_label_the_hard_term_is_nought():
    logits, labels, teacher = batch()
    nothing = torch.full_like(labels, NO_LABEL)
    assert HardCrossEntropy()(logits, nothing, teacher).item() == 0
    assert torch.equal(gradient(HardCrossEntropy(), logits, nothing, teacher), torch.zeros_like(logits))


def test_weights_scale_linearly_and_names_are_the_recipes():
    data = batch()
    built = build_objective([(0.5, "soft", 2.0), (2.0, "hard", 9.0), (3.0, "logits", 9.0)])
    parts = 0.5 * SoftCrossEntropy(2.0)(*data) + 2 * HardCrossEntropy()(*data) + 3 * LogitMSE()(*data)
    torch.testing.assert_close(built(*data), parts)
    torch.testing.assert_close(
        gradient(Objective([(7.0, LogitMSE())]), *data), 7 * gradient(Objective([(1.0, LogitMSE())]), *data)
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_must_be_above_nought(temperature):
    with pytest.raises(ValueError, match="temperature"):
        SoftCrossEntropy(temperature)


@pytest.mark.parametrize("weights", [[], [0.0], [1.0, -2.0], [math.nan]])
def test_weights_must_be_above_nought(weights):
    with pytest.raises(ValueError, match="weights"):
        Objective((weight, LogitMSE()) for weight in weights)


def test_unknown_name_is_refused():
    with pytest.raises(KeyError, match="sfot"):
        build_objective([(1.0, "sfot", 1.0)])


@pytest.mark.parametrize(("name", "missing"), [("soft", "teacher"), ("logits", "teacher"), ("hard", "gold")])
def test_missing_target_is_named(name, missing):
    with pytest.raises(ValueError, match=missing):
        build_objective([(1.0, name, 1.0)])(torch.zeros(2, 2))
