"""What a teacher holds inside while it reads a text: the mean state of the text's tokens in some of its layers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from models.encoding import Batch


def depth_and_width(config: object) -> tuple[int, int]:
    """Layers of a model and the width of their states, by its configuration.

    Raises:
        ValueError: the configuration does not say, or is of two stacks of layers.
    """
    depth, width = getattr(config, "num_hidden_layers", None), getattr(config, "hidden_size", None)
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError("it is an encoder with a decoder, which have no states in common")
    if not isinstance(depth, int) or not isinstance(width, int):
        raise ValueError("its configuration says nothing of layers or of their width")
    return depth, width


def numbered(layers: Sequence[int], depth: int) -> list[int]:
    """Layers numbered from 0, where some were from -1 backwards.

    Raises:
        ValueError: there is no such layer.
    """
    missing = [layer for layer in layers if not -depth <= layer < depth]
    if missing:
        raise ValueError(f"it has {depth} layers, numbered from 0, and no {', '.join(map(str, missing))}")
    return [layer % depth for layer in layers]


def mean_states(model: PreTrainedModel, layers: Sequence[int]) -> Callable[[Batch], Tensor]:
    """What gives a text's vectors: [rows, layers * width] of a batch, from layers numbered from 0."""

    def ask(batch: Batch) -> Tensor:
        states = model.base_model(**batch, output_hidden_states=True).hidden_states
        mask = batch["attention_mask"][..., None].to(states[0].dtype)
        return torch.cat([(states[layer + 1] * mask).sum(1) / mask.sum(1) for layer in layers], dim=-1)

    return ask
