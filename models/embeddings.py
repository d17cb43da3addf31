"""Starting values for a student's token vectors."""

import numpy as np
import torch
from numpy.typing import NDArray


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
