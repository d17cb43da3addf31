"""The recurrent students: RNN, LSTM and GRU."""

from typing import Any

import torch
from torch import Tensor, nn

from ..student import Pool, Student, StudentConfig  # relative: registered models carry copies of these modules

_CELLS: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentConfig(StudentConfig):  # type: ignore[no-untyped-call]
    """Shape of a recurrent student.

    Args:
        family: `rnn`, `lstm` or `gru`.
        hidden_size: width of the hidden state in each direction.
        num_hidden_layers: recurrent layers.
        bidirectional: read in both directions.
        pooling: `last`, `mean`, `max` or `attention`.
        **kwargs: see StudentConfig.
    """

    model_type = "stillhouse-recurrent"
    families = ("lstm", "gru", "rnn")

    def __init__(
        self,
        family: str = "lstm",
        hidden_size: int = 64,
        num_hidden_layers: int = 1,
        bidirectional: bool = True,
        pooling: str = "max",
        **kwargs: Any,  # noqa: ANN401 - what any configuration takes
    ) -> None:
        """Raises ValueError for an unknown family."""
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        super().__init__(family=family, **kwargs)


class RecurrentForSequenceClassification(Student):  # type: ignore[no-untyped-call]
    """Embeddings, recurrent layers, pooling over the text's own tokens, a linear head.

    The backward direction reads the reversed text, not the reversed batch, so that padding changes nothing. (Packed
    sequences would do as well but train three and a half times slower on CPU; see docs/decisions.md.)
    """

    config_class = RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        """Fresh weights from torch's random state."""
        super().__init__(config)
        directions = 2 if config.bidirectional else 1
        width = directions * config.hidden_size
        self.layers = nn.ModuleList(
            nn.ModuleList(
                _CELLS[config.family](
                    config.embedding_size if depth == 0 else width, config.hidden_size, batch_first=True
                )
                for _ in range(directions)
            )
            for depth in range(config.num_hidden_layers)
        )
        self.pool = Pool(config.pooling, width)
        self._finish(width)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """See Student."""
        width = self.classifier.in_features
        return (*super().state_widths, *[width] * self.config.num_hidden_layers)

    def read(
        self, rows: Tensor, vectors: Tensor, mask: Tensor, types: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """See Student."""
        hidden, states = vectors, []
        backwards = _reversal(mask)
        for cells in self.layers:
            hidden = _run(cells, self.dropout(hidden), backwards)
            states.append(hidden)
        return tuple(states), self._ends(hidden, mask) if self.config.pooling == "last" else self.pool(hidden, mask)

    def _ends(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """The last state of each direction: at the last token going forwards, at the first going backwards."""
        ahead = self.pool(hidden, mask)[:, : self.config.hidden_size]
        return torch.cat([ahead, hidden[:, 0, self.config.hidden_size :]], dim=-1)


def _reversal(mask: Tensor) -> Tensor:
    """Positions [texts, tokens, 1] that reverse each text in place and leave its padding at the end."""
    places = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - places, places)[..., None]


def _run(cells: nn.Module, hidden: Tensor, backwards: Tensor) -> Tensor:
    forward_cell, *backward_cells = cells.children()
    states: list[Tensor] = [forward_cell(hidden)[0]]
    for cell in backward_cells:
        back = cell(hidden.gather(1, backwards.expand_as(hidden)))[0]
        states.append(back.gather(1, backwards.expand_as(back)))
    return torch.cat(states, dim=-1)


CONFIG, MODEL = RecurrentConfig, RecurrentForSequenceClassification
