"""The convolutional student of Kim 2014, "Convolutional Neural Networks for Sentence Classification"."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..student import Pool, Student, StudentConfig


class CnnConfig(StudentConfig):  # type: ignore[no-untyped-call]
    """Shape of a convolutional student.

    Args:
        family: `cnn`.
        hidden_size: filters of each width.
        kernel_sizes: widths of the filters, in tokens.
        **kwargs: see StudentConfig.
    """

    model_type = "stillhouse-cnn"
    families = ("cnn",)

    def __init__(
        self,
        family: str = "cnn",
        hidden_size: int = 100,
        kernel_sizes: Sequence[int] = (3, 4, 5),
        **kwargs: Any,  # noqa: ANN401 - what any configuration takes
    ) -> None:
        """Raises ValueError for an unknown family."""
        self.hidden_size = hidden_size
        self.kernel_sizes = list(kernel_sizes)
        super().__init__(family=family, **kwargs)


class CnnForSequenceClassification(Student):  # type: ignore[no-untyped-call]
    """Embeddings, filters of several widths side by side, the largest answer of each in the text, a linear head.

    A window lies around each of the text's tokens, so that a text may be shorter than a filter; past its ends are
    noughts, where padding is too.
    """

    config_class = CnnConfig

    def __init__(self, config: CnnConfig) -> None:
        """Fresh weights from torch's random state."""
        super().__init__(config)
        self.filters = nn.ModuleList(
            nn.Conv1d(config.embedding_size, config.hidden_size, size) for size in config.kernel_sizes
        )
        width = config.hidden_size * len(config.kernel_sizes)
        self.pool = Pool("max", width)
        self._finish(width)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """See Student."""
        return (*super().state_widths, self.classifier.in_features)

    def read(
        self, rows: Tensor, vectors: Tensor, mask: Tensor, types: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """See Student."""
        inputs = (self.dropout(vectors) * mask[..., None]).transpose(1, 2)
        found = [
            functional.relu(one(functional.pad(inputs, ((size - 1) // 2, size // 2))))
            for one, size in zip(self.filters, self.config.kernel_sizes, strict=True)
        ]
        states = torch.cat(found, dim=1).transpose(1, 2)
        return (states,), self.pool(states, mask)


CONFIG, MODEL = CnnConfig, CnnForSequenceClassification
