"""Starting vectors: the closest table of their width, of the size that training expects, the same every time."""

import numpy as np
import pytest
import torch

from models.embeddings import as_they_are, project

KEPT = np.array([4, -1, 0, 7, 8, 8, -1, 30, 12, 19, 25])
PRESENT = KEPT >= 0


def table(tokens=40, width=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(tokens, width, generator=generator) * torch.arange(1.0, width + 1) + 5


def centred():
    rows = table().double()[KEPT[PRESENT]]
    return rows - rows.mean(0)


def gram(rows):
    products = rows.double() @ rows.double().T
    return products / products.norm()


@pytest.mark.parametrize("size", [1, 3, 6, 9])
def test_shape_scale_and_rows_without_a_teachers(size):
    start = project(table(), KEPT, size)
    assert start.shape == (len(KEPT), size)
    assert start.dtype == torch.float32
    assert (start[~PRESENT] == 0).all()
    assert start[PRESENT, :6].std() == pytest.approx(1, rel=1e-5)
    assert start[PRESENT].mean(0).abs().max() < 1e-5
    assert torch.equal(start, project(table(), KEPT, size))
    assert torch.equal(start[4], start[5]), "two rows of the same teacher's token start alike"


@pytest.mark.parametrize("size", [6, 9])
def test_wide_enough_vectors_keep_all_inner_products(size):
    start = project(table(), KEPT, size)
    torch.testing.assert_close(gram(start[PRESENT]), gram(centred()), atol=1e-6, rtol=0)
    assert (start[:, 6:] == 0).all()


def test_narrow_vectors_keep_what_can_be_kept():
    """No table of rank 3 comes closer to the inner products than the largest three eigenvalues' (Eckart and Young)."""
    values, vectors = torch.linalg.eigh(centred() @ centred().T)
    closest = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    start = project(table(), KEPT, 3)[PRESENT]
    torch.testing.assert_close(gram(start), closest / closest.norm(), atol=1e-6, rtol=0)


def test_a_teacher_whose_tokens_are_all_alike_gives_finite_vectors():
    assert project(torch.ones(40, 6), KEPT, 3).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_trainable_tables_will_do(dtype):
    half = torch.nn.Parameter(table().to(dtype))
    start = project(half, KEPT, 3)
    assert not start.requires_grad
    torch.testing.assert_close(start, project(half.detach().double(), KEPT, 3))


def test_as_they_are_rows_are_the_teachers_or_their_mean():
    start = as_they_are(table().bfloat16(), KEPT)
    assert start.dtype == torch.float32
    assert torch.equal(start[PRESENT], table().bfloat16().float()[KEPT[PRESENT]])
    mean = sum(start[PRESENT]) / PRESENT.sum()
    torch.testing.assert_close(start[~PRESENT], mean.expand(2, -1))
