"""The transformer student: an encoder of any Hugging Face configuration, or of layers copied from the teacher."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedModel

from ..student import Pool, Student, StudentConfig


class TransformerConfig(StudentConfig):  # type: ignore[no-untyped-call]
    """Shape of a transformer student.

    Args:
        family: `transformer`.
        encoder: configuration of the encoder, `model_type` among it; without it, that of a BERT of the sizes below.
        hidden_size: width of the encoder.
        num_hidden_layers: layers.
        num_attention_heads: heads of each layer.
        max_position_embeddings: tokens that can be read.
        pooling: `last`, `mean`, `max` or `attention`.
        **kwargs: see StudentConfig.
    """

    model_type = "stillhouse-transformer"
    families = ("transformer",)

    def __init__(
        self,
        family: str = "transformer",
        encoder: Mapping[str, Any] | None = None,
        hidden_size: int = 128,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 4,
        max_position_embeddings: int = 128,
        pooling: str = "mean",
        **kwargs: Any,  # noqa: ANN401 - what any configuration takes
    ) -> None:
        """Raises ValueError for an unknown family, and where the heads do not share out the width."""
        if encoder is None and hidden_size % num_attention_heads:
            raise ValueError(f"hidden_size {hidden_size} is no multiple of the {num_attention_heads} heads")
        self.pooling = pooling
        super().__init__(family=family, **kwargs)
        self.encoder = dict(encoder or {})
        if encoder is None:
            self.encoder = BertConfig(
                hidden_size=hidden_size,
                num_hidden_layers=num_hidden_layers,
                num_attention_heads=num_attention_heads,
                intermediate_size=4 * hidden_size,
                max_position_embeddings=max_position_embeddings,
                hidden_dropout_prob=self.dropout,
                attention_probs_dropout_prob=self.dropout,
            ).to_diff_dict()
        # RoBERTa and kin count positions from their padding token's id, which has to be one of the table's.
        self.encoder["vocab_size"] = 1 + int(self.encoder.get("pad_token_id") or 0)


class TransformerForSequenceClassification(Student):  # type: ignore[no-untyped-call]
    """Embeddings, an encoder, pooling over the text's own tokens, a linear head."""

    config_class = TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        """Fresh weights from torch's random state."""
        super().__init__(config)
        self.encoder = encoder_of(config.encoder)
        width = int(self.encoder.config.hidden_size)
        # As in ALBERT (Lan et al. 2020), token vectors may be narrower than the encoder.
        taken = cast(nn.Embedding, self.encoder.get_input_embeddings()).embedding_dim
        narrow = config.embedding_size != taken
        self.widen = nn.Linear(config.embedding_size, taken, bias=False) if narrow else nn.Identity()
        self.pool = Pool(config.pooling, width)
        self._finish(width)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """See Student."""
        config = self.encoder.config
        return (*super().state_widths, *[int(config.hidden_size)] * int(config.num_hidden_layers))

    def read(
        self, rows: Tensor, vectors: Tensor, mask: Tensor, types: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """See Student."""
        segments = {} if types is None or not self._reads_segments else {"token_type_ids": types}
        found = self.encoder(
            inputs_embeds=self.widen(vectors),
            attention_mask=mask.to(torch.int64),
            output_hidden_states=True,
            **segments,
        )
        return tuple(found.hidden_states[1:]), self.pool(found.last_hidden_state, mask)

    @property
    def _reads_segments(self) -> bool:
        return int(getattr(self.encoder.config, "type_vocab_size", 0) or 0) > 1


def encoder_of(config: Mapping[str, Any]) -> PreTrainedModel:
    """A new encoder without what this student would never ask: a pooler, and the table of tokens but for a row.

    Raises:
        ValueError: the configuration is of no model that is known, or of none that reads vectors.
    """
    settings = {name: value for name, value in config.items() if name not in ("model_type", "transformers_version")}
    encoder: Any = AutoModel.from_config(AutoConfig.for_model(config["model_type"], **settings))  # type: ignore[no-untyped-call]
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    encoder.set_input_embeddings(nn.Embedding(1, encoder.get_input_embeddings().embedding_dim))
    return cast(PreTrainedModel, encoder)


def copy_layers(model: PreTrainedModel, layers: Sequence[int]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of an encoder with some of a teacher's layers, as DistilBERT starts (Sanh et al. 2019).

    Args:
        model: a teacher, or the model it began as.
        layers: which, numbered from 0, in their order in the student.

    Returns:
        The configuration, and the weights by their names in `TransformerForSequenceClassification`.

    Raises:
        ValueError: the model has no such layers.
    """
    body = cast(PreTrainedModel, model.base_model)
    path, stack = _stack(body)
    if not all(0 <= layer < len(stack) for layer in layers):
        raise ValueError(f"layers {[*layers]}: it has {len(stack)}, numbered from 0")
    config = {
        name: [value[layer] for layer in layers] if isinstance(value, list) and len(value) == len(stack) else value
        for name, value in body.config.to_dict().items()
    }
    config["num_hidden_layers"] = len(layers)
    places = {f"{path}.{layer}.": f"{path}.{place}." for place, layer in enumerate(layers)}
    table = body.get_input_embeddings().get_parameter("weight")
    weights = {}
    for name, tensor in body.state_dict(keep_vars=True).items():
        if tensor is table or name.startswith("pooler."):
            continue
        old = next((old for old in places if name.startswith(old)), None)
        if old:
            name = places[old] + name.removeprefix(old)
        elif name.startswith(f"{path}."):
            continue  # a layer that is not copied
        weights[f"encoder.{name}"] = tensor.detach().clone()
    return _plain(config), weights


def _stack(body: nn.Module) -> tuple[str, nn.ModuleList]:
    """The list of a model's layers, and its name in it."""
    wanted = getattr(body.config, "num_hidden_layers", None)
    for name, module in body.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return name, module
    raise ValueError(f"{type(body).__name__} has no list of layers to copy from")


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what belongs to the classifier or the folder it came from."""
    gone = ("id2label", "label2id", "architectures", "problem_type", "_name_or_path", "dtype", "transformers_version")
    return {name: value for name, value in config.items() if name not in gone}


CONFIG, MODEL = TransformerConfig, TransformerForSequenceClassification
