"""What all students are: token vectors, something that reads them, a linear head; Hugging Face models."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

POOLINGS = ("last", "mean", "max", "attention")


class StudentConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """What the shapes of all students have in common.

    Args:
        family: as in the recipe.
        vocab_size: rows of the embedding table.
        embedding_size: width of the token vectors.
        dropout: probability on embeddings, between layers and before the head.
        token_map_size: ids the tokenizer can emit, where they are mapped to fewer rows; 0 if ids are rows.
        pad_token_id: the tokenizer's; batches are filled up with it.
        pairs: whether it was trained on pairs of texts.
    """

    families: tuple[str, ...] = ()

    def __init__(
        self,
        family: str = "",
        vocab_size: int = 1000,
        embedding_size: int = 64,
        dropout: float = 0.1,
        token_map_size: int = 0,
        pad_token_id: int = 0,
        pairs: bool = False,
        **kwargs: Any,  # noqa: ANN401 - what any configuration takes
    ) -> None:
        """Raises ValueError for a family of another file."""
        self.family = family or next(iter(self.families), "")
        if self.family not in self.families:
            raise ValueError(f"family is {family!r}; known here: {[*self.families]}")
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.token_map_size = token_map_size
        self.pad_token_id = pad_token_id
        self.pairs = pairs
        super().__init__(**kwargs)


class Student(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A sequence classifier of which a family only says how token vectors become one vector a text.

    Padding must be on the right, and changes nothing.
    """

    config_class: type[StudentConfig] = StudentConfig
    main_input_name = "input_ids"
    accepts_loss_kwargs = False  # else Trainer takes `forward`'s loss to be normalised over accumulated batches
    classifier: nn.Linear
    token_map: Tensor  # where `token_map_size` is not 0

    def __init__(self, config: StudentConfig) -> None:
        """Token vectors; a family then adds its layers and calls `_finish`."""
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.dropout = nn.Dropout(config.dropout)

    def _finish(self, width: int) -> None:
        """Adds the head, and draws all weights from torch's random state."""
        self.classifier = nn.Linear(width, cast(int, self.config.num_labels))
        if self.config.token_map_size:
            self.register_buffer("token_map", torch.zeros(self.config.token_map_size, dtype=torch.int64))
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of token vectors, [rows, embedding_size]."""
        return self.embeddings

    def start_from(self, start: dict[str, Tensor]) -> None:
        """Sets starting weights, by name: `embeddings` [rows, embedding_size], `token_map`, and a family's own."""
        named = {"embeddings.weight" if name == "embeddings" else name: tensor for name, tensor in start.items()}
        unknown = self.load_state_dict(named, strict=False).unexpected_keys
        if unknown:
            raise ValueError(f"no student of this shape has {unknown[:5]}")

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Embedding, nn.Linear, nn.RNNBase, nn.Conv1d)):
            module.reset_parameters()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **_: object,
    ) -> SequenceClassifierOutput:
        """Logits [texts, classes] of token ids [texts, tokens].

        With labels [texts] also the mean cross-entropy; with `output_hidden_states` also the token vectors and each
        layer's states, [texts, tokens, width], of which those at padding mean nothing.
        """
        mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask != 0
        mask[:, 0] = True  # a text without a token is read as one padding token, as `encode` has it
        rows = self.token_map[input_ids] if self.config.token_map_size else input_ids
        vectors = self.embeddings(rows)
        states, pooled = self.read(rows, vectors, mask, token_type_ids)
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        hidden = (vectors, *states) if output_hidden_states else None
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=cast(Any, hidden))

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Widths of the states that a forward pass gives: of the token vectors, then of each layer."""
        return (int(self.config.embedding_size),)

    def read(
        self, rows: Tensor, vectors: Tensor, mask: Tensor, types: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """What a family adds: from token vectors to one vector a text.

        Args:
            rows: of the embedding table, [texts, tokens].
            vectors: of the tokens, [texts, tokens, embedding_size]; dropout is the family's to apply.
            mask: which tokens are no padding, [texts, tokens]; at least one a text.
            types: segment of each token, [texts, tokens], where the tokenizer tells pairs apart so.

        Returns:
            Each layer's states, [texts, tokens, width], and the text's vector, [texts, width of the head].
        """
        raise NotImplementedError


class Pool(nn.Module):
    """One vector a text from the states of its tokens: `last`, `mean`, `max`, `attention`; padding never counts."""

    def __init__(self, pooling: str, width: int) -> None:
        """Raises ValueError for an unknown pooling."""
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling is {pooling!r}; known: {[*POOLINGS]}")
        self.pooling = pooling
        if pooling == "attention":
            self.score = nn.Linear(width, 1)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """From [texts, tokens, width] to [texts, width]."""
        spread = mask[..., None]
        match self.pooling:
            case "max":
                return hidden.masked_fill(~spread, torch.finfo(hidden.dtype).min).amax(1)
            case "mean":
                return hidden.masked_fill(~spread, 0).sum(1) / spread.sum(1)
            case "attention":
                scores: Tensor = self.score(torch.tanh(hidden)).masked_fill(~spread, torch.finfo(hidden.dtype).min)
                return (scores.softmax(1) * hidden).sum(1)
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
