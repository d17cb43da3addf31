"""The bag of words: a weighted mean of token vectors and a small network; the fastest thing that can work.

After the deep averaging network of Iyyer et al. 2015, with a learnt weight for each token.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..student import Student, StudentConfig


class BagConfig(StudentConfig):  # type: ignore[no-untyped-call]
    """Shape of a bag of words.

    Args:
        family: `bag`.
        hidden_size: width of the layers behind the mean.
        num_hidden_layers: how many of them; 0 leaves the mean and the head alone.
        **kwargs: see StudentConfig.
    """

    model_type = "stillhouse-bag"
    families = ("bag",)

    def __init__(
        self,
        family: str = "bag",
        hidden_size: int = 64,
        num_hidden_layers: int = 1,
        **kwargs: Any,  # noqa: ANN401 - what any configuration takes
    ) -> None:
        """Raises ValueError for an unknown family."""
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        super().__init__(family=family, **kwargs)


class BagForSequenceClassification(Student):  # type: ignore[no-untyped-call]
    """Embeddings, their mean by the softmax of the tokens' weights, a small network, a linear head."""

    config_class = BagConfig

    def __init__(self, config: BagConfig) -> None:
        """Fresh weights from torch's random state; all tokens weigh the same."""
        super().__init__(config)
        self.weights = nn.Embedding(config.vocab_size, 1)
        sizes = [config.embedding_size] + [config.hidden_size] * config.num_hidden_layers
        self.layers = nn.ModuleList(nn.Linear(sizes[depth], sizes[depth + 1]) for depth in range(len(sizes) - 1))
        self._finish(sizes[-1])

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.weights:
            nn.init.zeros_(self.weights.weight)
        else:
            super()._init_weights(module)

    def read(
        self, rows: Tensor, vectors: Tensor, mask: Tensor, types: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """See Student."""
        weights = self.weights(rows).masked_fill(~mask[..., None], torch.finfo(vectors.dtype).min).softmax(1)
        # The size of the vectors' mean shrinks with the length of the text; the root of it keeps the network's input
        # alike for all. Weights are positive, so this is no division by nought.
        pooled = (weights * self.dropout(vectors)).sum(1) / weights.square().sum(1).sqrt()
        for layer in self.layers:
            pooled = self.dropout(torch.relu(layer(pooled)))
        return (), pooled


CONFIG, MODEL = BagConfig, BagForSequenceClassification
