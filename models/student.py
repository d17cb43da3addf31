"""The recurrent students: RNN, LSTM and GRU classifiers as Hugging Face models."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

_CELLS: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
POOLINGS = ("last", "mean", "max", "attention")


class RecurrentConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Shape of a recurrent student.

    Args:
        family: `rnn`, `lstm` or `gru`.
        vocab_size: rows of the embedding table.
        embedding_size: width of the token vectors.
        hidden_size: width of the hidden state in each direction.
        num_hidden_layers: recurrent layers.
        bidirectional: read in both directions.
        pooling: `last`, `mean`, `max` or `attention`.
        dropout: probability on embeddings, between layers and before the head.
        token_map_size: ids the tokenizer can emit, where they are mapped to fewer rows; 0 if ids are rows.
        pad_token_id: the tokenizer's; batches are filled up with it.
        pairs: whether it was trained on pairs of texts.
    """

    model_type = "stillhouse-recurrent"

    def __init__(
        self,
        family: str = "lstm",
        vocab_size: int = 1000,
        embedding_size: int = 64,
        hidden_size: int = 64,
        num_hidden_layers: int = 1,
        bidirectional: bool = True,
        pooling: str = "max",
        dropout: float = 0.1,
        token_map_size: int = 0,
        pad_token_id: int = 0,
        pairs: bool = False,
        **kwargs: Any,  # noqa: ANN401 - what any configuration takes
    ) -> None:
        """Raises ValueError for an unknown family or pooling."""
        if family not in _CELLS or pooling not in POOLINGS:
            raise ValueError(f"family is {family!r}, pooling is {pooling!r}; known: {[*_CELLS]}, {[*POOLINGS]}")
        self.family = family
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.dropout = dropout
        self.token_map_size = token_map_size
        self.pad_token_id = pad_token_id
        self.pairs = pairs
        super().__init__(**kwargs)


class RecurrentForSequenceClassification(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Embeddings, recurrent layers, pooling over the text's own tokens, a linear head.

    Padding must be on the right. It changes nothing: the backward direction reads the reversed text, not
    the reversed batch, and pooling masks it. (Packed sequences would do as well but train three and a half times
    slower on CPU; see docs/decisions.md.)
    """

    config_class = RecurrentConfig
    main_input_name = "input_ids"
    accepts_loss_kwargs = False  # else Trainer takes `forward`'s loss to be normalised over accumulated batches
    attention: nn.Linear  # of pooling `attention`
    token_map: Tensor  # where `token_map_size` is not 0

    def __init__(self, config: RecurrentConfig) -> None:
        """Fresh weights from torch's random state."""
        super().__init__(config)
        directions = 2 if config.bidirectional else 1
        width = directions * config.hidden_size
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                _CELLS[config.family](
                    config.embedding_size if depth == 0 else width, config.hidden_size, batch_first=True
                )
                for _ in range(directions)
            )
            for depth in range(config.num_hidden_layers)
        )
        self.dropout = nn.Dropout(config.dropout)
        if config.pooling == "attention":
            self.attention = nn.Linear(width, 1)
        self.classifier = nn.Linear(width, cast(int, config.num_labels))
        if config.token_map_size:
            self.register_buffer("token_map", torch.zeros(config.token_map_size, dtype=torch.int64))
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of token vectors, [rows, embedding_size]."""
        return self.embeddings

    def start_from(self, embeddings: Tensor | None, token_map: Tensor | None) -> None:
        """Sets the starting token vectors [rows, embedding_size] and the map from ids to rows, where given."""
        with torch.no_grad():
            if embeddings is not None:
                self.embeddings.weight.copy_(embeddings)
            if token_map is not None:
                self.token_map.copy_(token_map)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Embedding, nn.Linear, nn.RNNBase)):
            module.reset_parameters()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **_: object
    ) -> SequenceClassifierOutput:
        """Logits [texts, classes] of token ids [texts, tokens]; with labels [texts] also the mean cross-entropy."""
        mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        # A text without a token is read as one padding token, as `encode` has it.
        mask = mask | (torch.arange(mask.shape[1], device=mask.device) == 0)
        rows = self.token_map[input_ids] if self.config.token_map_size else input_ids
        hidden = self.dropout(self.embeddings(rows))
        backwards = _reversal(mask)
        for depth, cells in enumerate(self.layers):
            if depth:
                hidden = self.dropout(hidden)
            hidden = _run(cells, hidden, backwards)
        logits = self.classifier(self.dropout(self._pool(hidden, mask)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        spread = mask[..., None]
        match self.config.pooling:
            case "max":
                return hidden.masked_fill(~spread, torch.finfo(hidden.dtype).min).amax(1)
            case "mean":
                return hidden.masked_fill(~spread, 0).sum(1) / spread.sum(1)
            case "attention":
                scores: Tensor = self.attention(torch.tanh(hidden)).masked_fill(~spread, torch.finfo(hidden.dtype).min)
                return (scores.softmax(1) * hidden).sum(1)
        # The last state of each direction: at the last token going forwards, at the first going backwards.
        last = mask.sum(1) - 1
        ahead = hidden[torch.arange(len(hidden), device=hidden.device), last, : self.config.hidden_size]
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
