"""Objectives that look inside: hidden vectors and attention relations, by hand, padded, in halves."""

import math

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from models.families import new_student
from models.objectives import HiddenDistance, Objective, Ramp, RelationKL, Seen, Weighted
from models.objectives.relations import projections_of, relation_kl
from tests.models.test_families import TOKENS, padded, texts

DISTANCES = ("cosine", "mse")


def states_of(lengths, width, extra=0, seed=0):
    """States of some texts, the same whatever the padding, at which they are not nought; and the mask."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, width, generator=generator) for length in lengths]
    longest = max(lengths) + extra
    states, mask = torch.full((len(rows), longest, width), 7.0), torch.zeros(len(rows), longest, dtype=torch.bool)
    for place, row in enumerate(rows):
        states[place, : len(row)], mask[place, : len(row)] = row, True
    return states, mask


def hidden(distance, widths=(3,), teacher_width=2):
    torch.manual_seed(0)
    return HiddenDistance(widths, teacher_width, distance)


def seen(states, mask, wanted):
    return Seen(torch.zeros(len(mask), 2), teacher_vectors=wanted, states=states, mask=mask)


def test_hidden_by_hand():
    states = torch.tensor([[[1.0, 0.0, 0.0], [3.0, 4.0, 0.0], [9.0, 9.0, 9.0]]])  # the mean of the first two: 2, 2, 0
    mask, wanted = torch.tensor([[True, True, False]]), torch.tensor([[[0.0, 5.0]]])
    for distance, expected in (("cosine", 1 - 1 / math.sqrt(2)), ("mse", (4 + 9) / 2)):
        term = hidden(distance)
        with torch.no_grad():
            term.projections[0].weight.copy_(torch.eye(2, 3))
        assert term(seen((states,), mask, wanted), 1.0).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_hidden_equals_the_naive_loop_over_rows_and_layers(distance):
    lengths = (4, 1, 6)
    (one, mask), (other, _) = states_of(lengths, 3), states_of(lengths, 5, seed=1)
    wanted = torch.randn(3, 2, 4, dtype=torch.float64).half()
    term = hidden(distance, (3, 5), 4)
    total = 0.0
    for row, length in enumerate(lengths):
        for layer, states in enumerate((one, other)):
            mean = sum(states[row, place] for place in range(length)) / length
            found, aim = term.projections[layer].weight @ mean, wanted[row, layer].float()
            cosine = (found @ aim) / (found.norm() * aim.norm())
            total += (1 - cosine if distance == "cosine" else ((found - aim) ** 2).mean()).item() / 2
    decoy = torch.full((3, 6, 9), 5.0)  # a state that no layer of the teacher is matched with
    assert term(seen((decoy, one, other), mask, wanted), 1.0).item() == pytest.approx(total / 3, rel=1e-4)


@pytest.mark.parametrize("distance", DISTANCES)
def test_hidden_does_not_mind_padding_and_a_batch_is_the_mean_of_its_halves(distance):
    lengths, wanted = (4, 1, 6, 2), torch.randn(4, 1, 2)
    term = hidden(distance)
    whole = term(seen(*_one(states_of(lengths, 3)), wanted), 1.0)
    torch.testing.assert_close(term(seen(*_one(states_of(lengths, 3, extra=5)), wanted), 1.0), whole)
    states, mask = states_of(lengths, 3)
    halves = [term(seen((states[half],), mask[half], wanted[half]), 1.0) for half in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, whole)


def _one(found):
    return (found[0],), found[1]


def test_hidden_says_what_it_lacks():
    states, mask = states_of((2,), 3)
    with pytest.raises(ValueError, match="teacher vectors"):
        hidden("mse")(seen((states,), mask, None), 1.0)
    with pytest.raises(ValueError, match="euclid"):
        hidden("euclid")


def test_relation_by_hand():
    """Two tokens, one head of width 1: products q_i q_j, and softmax over j."""
    mask = torch.ones(1, 2, dtype=torch.bool)
    teacher, student = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [2.0]]])

    def relations(values):
        return [[math.exp(a * b) / sum(math.exp(a * c) for c in values) for b in values] for a in values]

    pairs = zip(relations([0.0, 1.0]), relations([0.0, 2.0]), strict=True)
    wanted = sum(p * math.log(p / q) for ps, qs in pairs for p, q in zip(ps, qs, strict=True)) / 2
    assert relation_kl(teacher, student, mask, 1).item() == pytest.approx(wanted, rel=1e-5)


def test_relation_equals_the_naive_loop():
    lengths, heads = (3, 1, 5), 2
    (teacher, mask), (student, _) = states_of(lengths, 8), states_of(lengths, 4, seed=1)
    total = 0.0
    for row, length in enumerate(lengths):
        for head in range(heads):
            t = teacher[row, :length, head * 4 : head * 4 + 4]
            s = student[row, :length, head * 2 : head * 2 + 2]
            p, q = (t @ t.T / 4**0.5).softmax(-1), (s @ s.T / 2**0.5).softmax(-1)
            total += (p * (p / q).log()).sum().item() / length / heads
    assert relation_kl(teacher, student, mask, heads).item() == pytest.approx(total / 3, rel=1e-4)


def test_relation_does_not_mind_padding_and_a_batch_is_the_mean_of_its_halves():
    lengths = (3, 1, 5, 2)
    (teacher, mask), (student, _) = states_of(lengths, 8), states_of(lengths, 4, seed=1)
    whole = relation_kl(teacher, student, mask, 2)
    more, _ = states_of(lengths, 8, extra=4)
    other, longer = states_of(lengths, 4, extra=4, seed=1)
    torch.testing.assert_close(relation_kl(more, other, longer, 2), whole)
    halves = [relation_kl(teacher[half], student[half], mask[half], 2) for half in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, whole)
    assert relation_kl(teacher, teacher, mask, 2).item() == pytest.approx(0, abs=1e-6)


def test_the_order_of_the_batch_does_not_matter():
    lengths, order, wanted = (4, 1, 6), [2, 0, 1], torch.randn(3, 1, 2)
    (states, mask), (other, _) = states_of(lengths, 4), states_of(lengths, 8, seed=1)
    turned = relation_kl(other[order], states[order], mask[order], 2)
    torch.testing.assert_close(turned, relation_kl(other, states, mask, 2))
    for distance in DISTANCES:
        term = hidden(distance, (4,))
        turned = term(seen((states[order],), mask[order], wanted[order]), 1.0)
        torch.testing.assert_close(turned, term(seen((states,), mask, wanted), 1.0))


@pytest.mark.parametrize("name", [*DISTANCES, "relation"])
def test_a_text_without_any_token_is_no_danger_to_the_others(name):
    """No gradient comes from it, least of all one that is no number."""
    (states, mask), (teacher, _), wanted = states_of((3, 2), 4), states_of((3, 2), 8, seed=1), torch.randn(2, 1, 2)
    mask[1] = False
    states.requires_grad_()

    def loss(rows):
        if name == "relation":
            return relation_kl(teacher[rows], states[rows], mask[rows], 2)
        return hidden(name, (4,))(seen((states[rows],), mask[rows], wanted[rows]), 1.0)

    both, alone = (torch.autograd.grad(loss(rows), states)[0] for rows in (slice(0, 2), slice(0, 1)))
    assert loss(slice(0, 2)).isfinite()
    assert both[1].abs().max() == 0
    torch.testing.assert_close(2 * both[0], alone[0])


def bert(width=8, heads=2, seed=1):
    torch.manual_seed(seed)
    shape = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": heads, "intermediate_size": 8}
    return BertForSequenceClassification(BertConfig(vocab_size=TOKENS, initializer_range=0.5, **shape)).eval()


def small():
    torch.manual_seed(0)
    return new_student("transformer", vocab_size=TOKENS, embedding_size=4, hidden_size=4, num_attention_heads=2).eval()


def test_relation_asks_the_teacher_in_its_own_ids_and_leaves_it_untrained():
    teacher, student, batch = bert(), small(), padded(texts((3, 6)))
    ids = torch.arange(TOKENS).flip(0)
    term = RelationKL(student, teacher, -1, ids, 2)
    logits = student(**batch).logits
    found = term(Seen(logits, input_ids=batch["input_ids"], mask=batch["attention_mask"].bool()), 1.0)

    taken = {}
    for place, projection in enumerate(projections_of(teacher, 1)):
        projection.register_forward_hook(lambda _, __, out, place=place: taken.update({place: out}))
    for place, projection in enumerate(projections_of(student, 1)):
        projection.register_forward_hook(lambda _, __, out, place=place: taken.update({3 + place: out}))
    with torch.no_grad():
        teacher(input_ids=ids[batch["input_ids"]], attention_mask=batch["attention_mask"])
        student(**batch)
    mask = batch["attention_mask"].bool()
    wanted = sum(relation_kl(taken[place], taken[3 + place], mask, 2) for place in range(3)) / 3
    torch.testing.assert_close(found, wanted)
    found.backward()
    assert all(weights.grad is None for weights in teacher.parameters())
    assert student.embeddings.weight.grad.abs().sum() > 0
    assert not list(term.parameters())


def test_relation_says_what_cannot_be():
    ids = torch.arange(TOKENS)
    with pytest.raises(ValueError, match="layer 5"):
        RelationKL(small(), bert(), 5, ids, 2)
    with pytest.raises(ValueError, match="3 relation heads"):
        RelationKL(small(), bert(), -1, ids, 3)
    lstm = new_student("lstm", vocab_size=TOKENS)
    with pytest.raises(ValueError, match="attention"):
        RelationKL(lstm, bert(), -1, ids, 2)
    term = RelationKL(small(), bert(), -1, ids, 2)
    with pytest.raises(ValueError, match="attention"):  # the student has read nothing
        term(Seen(torch.zeros(1, 2), input_ids=ids[None], mask=ids[None] >= 0), 1.0)


def test_an_objective_knows_whether_it_needs_states_and_weighs_them():
    states, mask = states_of((2, 3), 3)
    batch = seen((states,), mask, torch.randn(2, 1, 2))
    term = hidden("mse")
    objective = Objective([Weighted(term, Ramp(3.0, 3.0))])
    assert objective.needs_states
    torch.testing.assert_close(objective(batch), 3 * term(batch, 1.0))
    assert list(objective.parameters()), "a projection is trained along"


@pytest.mark.parametrize("name", ["cosine", "mse", "relation"])
def test_gradients_scale_with_the_weight(name):
    student, batch = small(), padded(texts((3, 6)))
    term = RelationKL(student, bert(), -1, torch.arange(TOKENS), 2) if name == "relation" else hidden(name, (4,))
    gradients = []
    for weight in (1.0, 2.0):
        found = student(**batch, output_hidden_states=True)
        mask, wanted = batch["attention_mask"].bool(), torch.tensor([[[1.0, -2.0]], [[3.0, 1.0]]])
        read = Seen(found.logits, None, None, wanted, found.hidden_states, batch["input_ids"], mask)
        loss = Objective([Weighted(term, Ramp(weight, weight))])(read)
        gradients.append(torch.autograd.grad(loss, student.embeddings.weight)[0])
    torch.testing.assert_close(gradients[1], 2 * gradients[0])
    assert gradients[0].abs().max() > 1e-5
