"""Not computing what nobody reads: BERT and kin classify by the first token alone, of which the last layer has many.

The last layer's attention needs the keys and values of all tokens, but its output and all that follows only matter for
the first one. That is an eighth of the work of a 6-layer BERT, a sixteenth of BERT-base's, and changes no logit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_ROWS, _TOKENS, _SHORT = 2, 8, 5
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Of the logits; what reads other tokens is off by much more."""


@contextmanager
def first_token_only(model: PreTrainedModel) -> Iterator[bool]:
    """Lets the last layer of a BERT-like classifier compute the first token alone, where that changes no logit.

    Whether it does is tried out on made-up tokens: some heads read more than the first.

    Yields:
        Whether it is so now.
    """
    output = _last_attention_output(model)
    if output is None:
        yield False
        return
    before = _try(model)
    hook = output.register_forward_pre_hook(_cut)
    try:
        same = _same(before, _try(model))
        if not same:
            hook.remove()
        yield same
    finally:
        hook.remove()


def _last_attention_output(model: PreTrainedModel) -> nn.Module | None:
    """What follows the attention of the last layer, as BERT, RoBERTa, ELECTRA and kin call it."""
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList) or not len(layers):
        return None
    output = getattr(getattr(layers[-1], "attention", None), "output", None)
    return output if isinstance(output, nn.Module) else None


def _cut(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The first token of each of the layer's states [rows, tokens, width]."""
    return tuple(states[:, :1] if isinstance(states, Tensor) else states for states in inputs)


def _try(model: PreTrainedModel) -> Tensor | None:
    """Logits of two made-up texts, one of them padded; None where the model cannot read them."""
    ids = torch.arange(_ROWS * _TOKENS, device=model.device).view(_ROWS, _TOKENS) + 1
    mask = torch.ones_like(ids)
    mask[1, _SHORT:] = 0
    try:
        with torch.inference_mode():
            logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
        return logits
    except (RuntimeError, IndexError, ValueError, TypeError):
        return None


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one.shape != other.shape:
        return False
    tolerance = _TOLERANCE.get(one.dtype, 0.0)
    return bool(torch.allclose(one, other, rtol=tolerance, atol=tolerance))
