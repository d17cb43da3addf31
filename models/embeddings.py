"""Starting values for a student's token vectors."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

_WORD_STARTS = ("Ġ", "▁")
"""How byte-pair and SentencePiece tokenizers mark a token that begins a word."""
_WORDPIECE_REST = "##"


def project(table: torch.Tensor, kept: NDArray[np.integer], size: int) -> torch.Tensor:
    """The closest table of width `size` to the teacher's rows, up to rotation: their principal components.

    Rows without a teacher's row (-1) start at the mean. The result is scaled to unit variance, the size that
    `nn.Embedding` starts with, so that the student's learning rate means the same for both starts.

    Args:
        table: the teacher's input embeddings, [teacher's tokens, width].
        kept: the teacher's token of each of the student's rows, -1 for none, [rows].
        size: width of the student's vectors; more than the teacher's are filled up with zeros.

    Returns:
        The student's table, float32 [rows, size].
    """
    present = torch.from_numpy(kept >= 0)
    rows = table.detach().cpu()[torch.from_numpy(kept.clip(min=0))].double()
    rows = torch.where(present[:, None], rows - rows[present].mean(0), 0.0)
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    axes = vectors.flip(-1)[:, :size]
    # An eigenvector's sign is arbitrary; fixing it keeps the start the same wherever it is computed.
    signs = torch.sign(axes.gather(0, axes.abs().argmax(0, keepdim=True)))
    projected = rows @ (axes * signs)
    start = torch.zeros(len(kept), size, dtype=torch.float64)
    start[:, : projected.shape[1]] = projected / projected[present].std().clamp(min=1e-12)
    return start.float()


def as_they_are(table: torch.Tensor, kept: NDArray[np.integer]) -> torch.Tensor:
    """The teacher's own rows, float32 [rows, width], for a student that has its layers too; at the mean without one."""
    present = torch.from_numpy(kept >= 0)
    rows = table.detach().cpu()[torch.from_numpy(kept.clip(min=0))].float()
    return torch.where(present[:, None], rows, rows[present].mean(0))


def words_of(tokens: Sequence[str]) -> list[str | None]:
    """The word that each token of a vocabulary stands for; None for what only goes on a word."""
    # Either sign may also be a letter of another kind's vocabulary, so the commoner one decides.
    marked = sum(token.startswith(_WORD_STARTS) for token in tokens)
    if marked > sum(token.startswith(_WORDPIECE_REST) for token in tokens):
        return [token[1:] or None if token.startswith(_WORD_STARTS) else None for token in tokens]
    return [None if token.startswith(_WORDPIECE_REST) else token for token in tokens]


def from_vectors(words: Sequence[str | None], vectors: Mapping[str, NDArray[np.float32]], size: int) -> torch.Tensor:
    """A table of word vectors, scaled to unit variance as `project` does; without one a row starts at random.

    Args:
        words: of each row, as they are or in lower case in `vectors`; [rows].
        vectors: of width `size`.
        size: width of the table.

    Returns:
        The student's table, float32 [rows, size], the same each time.
    """
    found = [vectors.get(word, vectors.get(word.lower())) if word else None for word in words]
    there = np.array([vector is not None for vector in found])
    table = np.random.default_rng(0).standard_normal((len(words), size))
    rows = np.array([vector for vector in found if vector is not None], np.float64)
    centred = rows - rows.mean(0) if len(rows) > 1 else rows
    table[there] = centred / max(centred.std(), 1e-12)
    return torch.from_numpy(table.astype(np.float32))
