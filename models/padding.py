"""Seeing to it that what a model says of a text does not depend on the texts that it is read beside."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Relative: registered models carry copies of these modules.
from .encoding import Encoded, concatenate, encode
from .positions import readable_tokens

TOLERANCE = 1e-4
"""Of a text's logits alone, relative to the largest if that is above 1: as far as soft labels are promised to be the
same. Rounding is a hundredth of it, a model that looks at padding is off by a hundred times as much and more."""

_SHORTER, _LONGER = 2, 8
_UNREADABLE = (RuntimeError, IndexError, ValueError, TypeError, AttributeError, AssertionError)


@dataclass(frozen=True)
class _Way:
    """A way to fill a batch up.

    Attributes:
        filling: id of the token that fills it up.
        known: id that the model's configuration takes for padding.
        left: whether on the left.
    """

    filling: int
    known: int
    left: bool = False


def give_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Gives a decoder without a padding token (GPT-2) one, as batches need it: its end-of-text token.

    Raises:
        ValueError: it has neither.
    """
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise ValueError("its tokenizer has neither a padding nor an end-of-text token")
        tokenizer.pad_token = tokenizer.eos_token
    if _known(model) is None:
        _reading(model).pad_token_id = tokenizer.pad_token_id
    tokenizer.padding_side = "right"


def settle_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Settles how batches are filled up so that they change nothing: a made-up text is read alone, and beside another.

    What changes nothing is kept, of these in order: the tokenizer's padding token; the model's own, where decoders look
    for the last token that is another; the tokenizer's, made the model's own; padding on the left, which is where
    XLNet, that classifies by the last place of all, has it.

    BigBird, which reads long texts by blocks and for ever in full once it has met a short one, has met one hereafter.

    Args:
        model: a sequence classifier in evaluation mode; where it pads on the left, it moves what it is given there.
        tokenizer: the model's; its padding token becomes the one that batches are to be filled up with.

    Raises:
        ValueError: the model reads no text, or a text's logits depend on its batch whatever it is filled up with; or
            there is no token for that.
    """
    give_padding(model, tokenizer)
    texts = _made_up(model, tokenizer)
    if texts is None:
        return
    try:
        alone = _first(model, texts.first(1))
    except _UNREADABLE as error:
        raise ValueError(f"it cannot read a made-up text ({error})") from None
    if not alone.isfinite().all():
        return  # weights that are no numbers are told of where its logits are looked at
    before, apart = _known(model), [0.0]
    for way in _ways(model, tokenizer):
        _reading(model).pad_token_id = way.known
        moving = model.register_forward_pre_hook(_to_the_left, with_kwargs=True) if way.left else None
        with suppress(*_UNREADABLE):
            apart.append(_apart(alone, _first(model, texts.filled_with(way.filling))))
            if apart[-1] <= TOLERANCE:
                _take(tokenizer, way)
                return
        if moving:
            moving.remove()
    _reading(model).pad_token_id = before
    raise ValueError(
        f"what it says of a text depends on the texts beside it in a batch (logits differ by up to {max(apart):.2g}), "
        "which soft labels must not; take another model"
    )


def most_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens of a text are read, by the tokenizer's maximum and the model's positions."""
    return min(int(tokenizer.model_max_length), readable_tokens(model) or 10**6)


def _ways(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[_Way]:
    own, tokens = int(_known(model)), int(tokenizer.pad_token_id)
    yield _Way(tokens, own)
    if own != tokens:
        # Of the special ones alone: another's text would be cut out of texts from now on.
        if own in tokenizer.all_special_ids:
            yield _Way(own, own)
        yield _Way(tokens, tokens)
    yield _Way(tokens, own, left=True)


def _take(tokenizer: PreTrainedTokenizerBase, way: _Way) -> None:
    if way.filling != tokenizer.pad_token_id:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(way.filling)
    if way.left:  # for others who read the folder; here the model itself moves what it is given
        tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"


def _to_the_left(_: nn.Module, inputs: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """Moves texts [rows, tokens] that are padded on the right to the end of their rows."""
    mask = named.get("attention_mask")
    if mask is None:
        return inputs, named
    tokens = mask.shape[1]
    places = (torch.arange(tokens, device=mask.device) + mask.sum(1, keepdim=True)) % tokens
    moved = ("input_ids", "attention_mask", "token_type_ids")
    return inputs, {name: value.gather(1, places) if name in moved else value for name, value in named.items()}


def _made_up(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Encoded | None:
    """Two texts of ordinary tokens, the first shorter; None where there are no such tokens, or hardly any are read."""
    special = {*tokenizer.all_special_ids, _known(model)}
    ordinary = [id_ for id_ in range(len(tokenizer)) if id_ not in special]
    most = most_tokens(model, tokenizer)
    frame = encode(tokenizer, ["a"], None, most)  # with what goes around a text
    longer = min(_LONGER, most - len(frame.ids))
    shorter = min(_SHORTER, longer - 1)
    if not ordinary or shorter < 0:
        return None
    drawn = [ordinary[len(ordinary) * place // (_LONGER + 1)] for place in range(1, _LONGER + 1)]
    return concatenate([_stretched(frame, drawn[:count]) for count in (shorter, longer)])


def _stretched(frame: Encoded, inside: Sequence[int]) -> Encoded:
    """A text with more tokens in its middle, of the segment that is there."""
    middle = (len(frame.ids) + 1) // 2
    ids = np.insert(frame.ids, middle, inside)
    types = np.insert(frame.types, middle, [frame.types[middle - 1]] * len(inside)) if len(frame.types) else frame.types
    return Encoded(ids, types, np.array([0, len(ids)]), frame.pad_id)


def _first(model: PreTrainedModel, texts: Encoded) -> Tensor:
    """Logits [classes] of the first of some texts, read as one batch."""
    batch = {name: tensor.to(model.device) for name, tensor in texts.batch(np.arange(len(texts))).items()}
    with torch.no_grad():  # what a model makes for later in inference mode could not be trained with
        logits: Tensor = model(**batch).logits[0].float()
    return logits


def _apart(one: Tensor, other: Tensor) -> float:
    """The largest difference of logits, relative to the largest of them if that is above 1."""
    return float((one - other).abs().max() / one.abs().max().clamp(min=1.0))


def _known(model: PreTrainedModel) -> Any:  # noqa: ANN401 - a number or None
    return getattr(_reading(model), "pad_token_id", None)


def _reading(model: PreTrainedModel) -> Any:  # noqa: ANN401 - any configuration
    """The part of the configuration that a model of several kinds of input reads texts by; of others all of it."""
    return model.config.get_text_config()
