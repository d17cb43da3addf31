"""Objectives of outputs: worked by hand, against naive loops, and with a scale that nothing in the batch changes."""

import math

import pytest
import torch

from models.objectives import (
    NO_LABEL,
    DecoupledKL,
    HardCrossEntropy,
    LogitMSE,
    Objective,
    Ramp,
    Seen,
    SoftCrossEntropy,
    StandardisedCrossEntropy,
    Weighted,
)

LN3 = math.log(3)
TERMS = [
    (SoftCrossEntropy(), 1.0),
    (SoftCrossEntropy(), 2.5),
    (HardCrossEntropy(), 1.0),
    (LogitMSE(), 1.0),
    (StandardisedCrossEntropy(), 1.5),
    (DecoupledKL(0.0), 2.0),
    (DecoupledKL(8.0), 2.0),
]
OF_TEACHERS = [(term, temperature) for term, temperature in TERMS if not isinstance(term, HardCrossEntropy)]


def batch(rows=7, classes=4, seed=0):
    """Logits, labels (every third missing) and teacher logits."""
    torch.manual_seed(seed)
    labels = torch.randint(classes, (rows,))
    labels[::3] = NO_LABEL
    return torch.randn(rows, classes, requires_grad=True), labels, 3 * torch.randn(rows, classes)


def loss(term, temperature, logits, labels, teacher):
    return term(Seen(logits, labels, teacher), temperature)


def gradient(term, temperature, logits, labels, teacher):
    return torch.autograd.grad(loss(term, temperature, logits, labels, teacher), logits)[0]


def naive(term, temperature, logits, labels, teacher):
    """The textbook's sums, row by row and class by class."""

    def probabilities(row, temperature):
        powers = [math.exp(value / temperature) for value in row]
        return [power / sum(powers) for power in powers]

    def cross_entropy(wanted, found):
        return -sum(p * math.log(q) for p, q in zip(wanted, found, strict=True))

    def divergence(wanted, found):
        return sum(p * math.log(p / q) for p, q in zip(wanted, found, strict=True))

    def standard(row):
        mean = sum(row) / len(row)
        return [(value - mean) / math.sqrt(sum((one - mean) ** 2 for one in row) / len(row)) for value in row]

    total = 0.0
    for row, label, wanted in zip(logits.tolist(), labels.tolist(), teacher.tolist(), strict=True):
        p, q = probabilities(wanted, temperature), probabilities(row, temperature)
        match term:
            case SoftCrossEntropy():
                total += temperature**2 * cross_entropy(p, q)
            case HardCrossEntropy():
                total -= 0 if label == NO_LABEL else math.log(probabilities(row, 1.0)[label])
            case LogitMSE():
                total += sum((a - b) ** 2 for a, b in zip(row, wanted, strict=True)) / len(row)
            case StandardisedCrossEntropy():
                p, q = (probabilities(standard(some), temperature) for some in (wanted, row))
                total += temperature**2 * cross_entropy(p, q)
            case DecoupledKL(beta=beta):
                target = wanted.index(max(wanted)) if label == NO_LABEL else label
                sure = divergence([p[target], 1 - p[target]], [q[target], 1 - q[target]])
                others = [place for place in range(len(row)) if place != target]
                among = [[some[place] / (1 - some[target]) for place in others] for some in (p, q)]
                total += temperature**2 * (sure + beta * divergence(*among))
    return total / len(logits)


@pytest.mark.parametrize(
    ("term", "temperature", "logits", "labels", "teacher", "wanted"),
    [
        # q = 1/4, 3/4 and p = 1/2, 1/2
        (SoftCrossEntropy(), 1.0, [[0.0, LN3]], [NO_LABEL], [[0.0, 0.0]], -math.log(3 / 16) / 2),
        # the same p and q at twice the logits, times T^2
        (SoftCrossEntropy(), 2.0, [[0.0, 2 * LN3]], [NO_LABEL], [[0.0, 0.0]], -4 * math.log(3 / 16) / 2),
        (HardCrossEntropy(), 1.0, [[0.0, LN3]], [1], None, -math.log(3 / 4)),
        # a row without a label adds nothing and still counts
        (HardCrossEntropy(), 1.0, [[0.0, LN3], [5.0, 1.0]], [0, NO_LABEL], None, -math.log(1 / 4) / 2),
        (LogitMSE(), 1.0, [[0.0, 1.0], [2.0, 3.0]], [0, 0], [[0.0, 3.0], [2.0, 2.0]], 5 / 4),
        # standardised the student says -a, 0, a with a = sqrt(3/2), the teacher nought of all
        (
            StandardisedCrossEntropy(),
            1.0,
            [[1.0, 2.0, 3.0]],
            [NO_LABEL],
            [[5.0, 5.0, 5.0]],
            math.log(1 + 2 * math.cosh(math.sqrt(1.5))),
        ),
        # target 0: half against a quarter; among the others both say one and one
        (DecoupledKL(9.0), 1.0, [[0.0, LN3, -50.0]], [0], [[LN3 - LN3, 0.0, -50.0]], math.log(4 / 3) / 2),
        # sure alike, but among the others a half against a quarter
        (
            DecoupledKL(2.0),
            1.0,
            [[0.0, math.log(1 / 4), math.log(3 / 4)]],
            [0],
            [[0.0, math.log(1 / 2), math.log(1 / 2)]],
            2 * math.log(4 / 3) / 2,
        ),
    ],
)
def test_worked_by_hand(term, temperature, logits, labels, teacher, wanted):
    teacher = None if teacher is None else torch.tensor(teacher)
    found = loss(term, temperature, torch.tensor(logits), torch.tensor(labels), teacher)
    assert found.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("term", "temperature"), TERMS)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_naive_loop(term, temperature, seed):
    data = batch(seed=seed)
    assert loss(term, temperature, *data).item() == pytest.approx(naive(term, temperature, *data), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("term", "temperature"), TERMS)
def test_the_order_of_the_batch_does_not_matter(term, temperature):
    logits, labels, teacher = batch()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    found = gradient(term, temperature, logits, labels, teacher)[order]
    turned = logits[order].detach().requires_grad_()
    torch.testing.assert_close(gradient(term, temperature, turned, labels[order], teacher[order]), found)


def test_without_any_label_the_target_is_what_the_teacher_names():
    logits, labels, teacher = batch()
    nothing, named = torch.full_like(labels, NO_LABEL), teacher.argmax(-1)
    for given in (nothing, None):
        found = loss(DecoupledKL(8.0), 2.0, logits, given, teacher)
        torch.testing.assert_close(found, loss(DecoupledKL(8.0), 2.0, logits, named, teacher))


@pytest.mark.parametrize(("term", "temperature"), TERMS)
def test_a_batch_is_the_mean_of_its_halves(term, temperature):
    """So that accumulating gradients over batches changes nothing, however the labels fall."""
    logits, labels, teacher = batch(rows=6)
    labels[:3] = NO_LABEL
    halves = []
    for half in (slice(0, 3), slice(3, 6)):
        part = logits[half].detach().requires_grad_()
        halves.append(gradient(term, temperature, part, labels[half], teacher[half]))
    whole = gradient(term, temperature, logits, labels, teacher)
    torch.testing.assert_close(whole, torch.cat(halves) / 2)


@pytest.mark.parametrize("kind", [SoftCrossEntropy, lambda: DecoupledKL(1.0)])
def test_temperature_leaves_the_gradients_size_alone(kind):
    """With T^2 it tends to that of half the squared logit difference, for logits of mean zero (Hinton 2015)."""
    term = kind()
    logits, labels, teacher = batch(rows=64, classes=5)
    logits = (0.3 * (logits - logits.mean(1, keepdim=True))).detach().requires_grad_()
    teacher = 0.1 * (teacher - teacher.mean(1, keepdim=True))
    sizes = [gradient(term, t, logits, labels, teacher).norm().item() for t in (1.0, 2.0, 5.0, 20.0, 1000.0)]
    assert sizes == [pytest.approx(sizes[-1], rel=0.2)] * 5
    if isinstance(term, SoftCrossEntropy):
        limit = (logits - teacher) / 5 / len(logits)
        found = gradient(term, 1000.0, logits, labels, teacher)
        torch.testing.assert_close(found, limit, atol=1e-5, rtol=1e-2)


def test_decoupled_with_the_teachers_doubt_as_beta_is_the_softened_cross_entropy():
    """Row by row, since beta is then the teacher's probability of all classes but the target (Zhao et al. 2022)."""
    logits, _, teacher = batch(rows=5)
    for row in range(5):
        one, other = logits[row : row + 1].detach().requires_grad_(), teacher[row : row + 1]
        target = torch.tensor([row % 4])
        beta = 1 - (other / 2).softmax(-1)[0, target].item()
        torch.testing.assert_close(
            gradient(DecoupledKL(beta), 2.0, one, target, other),
            gradient(SoftCrossEntropy(), 2.0, one, None, other),
            atol=1e-5,
            rtol=1e-4,
        )


def test_standardised_is_blind_to_scale_and_shift_of_either_side():
    logits, labels, teacher = batch()
    wanted = loss(StandardisedCrossEntropy(), 2.0, logits, labels, teacher)
    for scale, shift in ((3.0, 0.0), (1.0, 5.0), (0.5, -2.0)):
        for changed in ((scale * logits + shift, teacher), (logits, scale * teacher + shift)):
            found = loss(StandardisedCrossEntropy(), 2.0, changed[0], labels, changed[1])
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="three classes"):
        loss(StandardisedCrossEntropy(), 2.0, *batch(classes=2))


def test_two_classes_leave_nothing_among_the_others():
    data = batch(classes=2)
    torch.testing.assert_close(loss(DecoupledKL(0.0), 2.0, *data), loss(DecoupledKL(9.0), 2.0, *data))


def test_sure_teacher_is_a_gold_label():
    logits, _, _ = batch()
    labels = torch.arange(7) % 4
    sure = 100 * torch.nn.functional.one_hot(labels, 4).float()
    soft, hard = loss(SoftCrossEntropy(), 1.0, logits, None, sure), loss(HardCrossEntropy(), 1.0, logits, labels, None)
    torch.testing.assert_close(soft, hard)


@pytest.mark.parametrize(("term", "temperature"), OF_TEACHERS)
def test_student_that_agrees_is_left_alone(term, temperature):
    logits, labels, _ = batch()
    assert gradient(term, temperature, logits, labels, logits.detach()).abs().max() < 1e-6


def test_without_any_label_the_hard_term_is_nought():
    logits, labels, teacher = batch()
    nothing = torch.full_like(labels, NO_LABEL)
    assert loss(HardCrossEntropy(), 1.0, logits, nothing, teacher).item() == 0
    assert torch.equal(gradient(HardCrossEntropy(), 1.0, logits, nothing, teacher), torch.zeros_like(logits))


@pytest.mark.parametrize(("term", "temperature"), TERMS)
def test_gradients_scale_with_the_weight(term, temperature):
    data = batch()
    sizes = []
    for weight in (1.0, 2.0):
        objective = Objective([Weighted(term, Ramp(weight, weight), Ramp(temperature, temperature))])
        sizes.append(torch.autograd.grad(objective(Seen(*data)), data[0])[0])
    torch.testing.assert_close(sizes[1], 2 * sizes[0])


def test_terms_are_summed_and_go_evenly_from_first_to_last():
    data = batch()
    objective = Objective(
        [
            Weighted(SoftCrossEntropy(), Ramp(1.0, 0.0), Ramp(4.0, 2.0)),
            Weighted(HardCrossEntropy(), Ramp(0.0, 2.0)),
        ]
    )
    for progress in (0.0, 0.25, 1.0):
        wanted = (1 - progress) * loss(SoftCrossEntropy(), 4 - 2 * progress, *data)
        wanted = wanted + 2 * progress * loss(HardCrossEntropy(), 1.0, *data)
        torch.testing.assert_close(objective(Seen(*data), progress), wanted)


@pytest.mark.parametrize(
    ("weight", "temperature", "named"),
    [
        (Ramp(0.0, 0.0), Ramp(1.0, 1.0), "weight"),
        (Ramp(1.0, -1.0), Ramp(1.0, 1.0), "weight"),
        (Ramp(math.nan, 1.0), Ramp(1.0, 1.0), "weight"),
        (Ramp(1.0, 1.0), Ramp(0.0, 1.0), "temperature"),
        (Ramp(1.0, 1.0), Ramp(1.0, -1.0), "temperature"),
        (Ramp(1.0, 1.0), Ramp(math.nan, 1.0), "temperature"),
    ],
)
def test_what_is_out_of_range_is_refused(weight, temperature, named):
    with pytest.raises(ValueError, match=named):
        Weighted(LogitMSE(), weight, temperature)


def test_nothing_to_minimise_is_refused():
    with pytest.raises(ValueError, match="a term"):
        Objective([])
    with pytest.raises(ValueError, match="beta"):
        DecoupledKL(-1.0)


@pytest.mark.parametrize(
    ("term", "missing"), [(HardCrossEntropy(), "gold"), *((term, "teacher") for term, _ in OF_TEACHERS)]
)
def test_missing_target_is_named(term, missing):
    with pytest.raises(ValueError, match=missing):
        term(Seen(torch.zeros(2, 3)), 1.0)
