"""Teachers: any Hugging Face sequence classifier, fine-tuned or taken as it is."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from models.classifier import check_kind
from models.encoding import tokenizing
from models.padding import give_padding, settle_padding

_OF_A_LAYER = re.compile(r"\.(layers?|h|blocks?)\.[0-9]+\.")


def load_base(
    folder: Path, classes: Sequence[str], seed: int, device: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained model with a head for `classes`, ready to be fine-tuned; a new head depends on `seed` alone.

    Raises:
        OSError, ValueError: the folder holds no such model, or no safetensors weights, or not all but the head's, or
            what it says of a text depends on the texts beside it.
    """
    model = _with_new_head(folder, classes, seed)
    tokenizer = _tokenizer(folder)
    settle_padding(model, tokenizer)  # on the CPU, where nothing is rounded to fewer digits
    return model.to(device), tokenizer


def load_parts(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained model whose token vectors, layers and tokenizer are looked at; that reads nothing.

    Raises:
        OSError, ValueError: the folder holds no such model, or no safetensors weights, or not all but the head's.
    """
    model, tokenizer = _with_new_head(folder, ["one", "other"], 0), _tokenizer(folder)
    give_padding(model, tokenizer)
    return model, tokenizer


def _with_new_head(folder: Path, classes: Sequence[str], seed: int) -> Any:  # noqa: ANN401 - any model
    torch.manual_seed(seed)
    model, fresh, _ = _load(
        folder,
        num_labels=len(classes),
        id2label=dict(enumerate(classes)),
        label2id={name: index for index, name in enumerate(classes)},
        problem_type="single_label_classification",
    )
    # A pooler belongs to the head, though BERT and kin keep it in their body.
    body = [name for name in fresh if name.startswith(f"{model.base_model_prefix}.") and "pooler" not in name]
    if body:
        raise ValueError(f"its weights do not fit its config.json, or lack {_some(body)}")
    return model


def load_classifier(folder: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fine-tuned classifier, teacher or student, with its own classes.

    Raises:
        OSError, ValueError: the folder holds no such model, or no safetensors weights, or not all of them, or one for
            another kind of task, or what it says of a text depends on the texts beside it.
    """
    with _readable():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    check_kind(config.problem_type, config.num_labels)
    model, fresh, left_out = _load(folder)
    if fresh:
        raise ValueError(f"it is no fine-tuned classifier, its weights lack {_some(fresh)}")
    if left_out:
        raise ValueError(f"its config.json names fewer layers than its weights have, it lacks that of {left_out[0]}")
    tokenizer = _tokenizer(folder)
    with _readable():
        settle_padding(model.eval(), tokenizer)
    return model.to(device), tokenizer


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a classifier's folder: the same bytes whatever was encoded before, so that a copy of it is no other model.

    A tokenizer remembers the truncation and padding of its last call, and would write them down.
    """
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _readable() -> Iterator[None]:
    """Says of a configuration that transformers stumbles over that it is that: each kind does so in its own way."""
    try:
        yield
    except (AttributeError, TypeError, LookupError, ArithmeticError, AssertionError, StrictDataclassError) as error:
        raise ValueError(f"its config.json is not that of a model which transformers knows: {error}") from None
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
            raise
        raise ValueError(f"its config.json is not that of a model which transformers knows: {error}") from None


def _load(folder: Path, **settings: object) -> tuple[Any, list[str], list[str]]:
    """The model, its weights that are not in the folder and so were drawn at random, and those of layers it lacks."""
    try:
        with _readable():
            model, found = AutoModelForSequenceClassification.from_pretrained(
                folder,
                **settings,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except SafetensorError as error:
        raise ValueError(f"its weights are cut off or damaged: {error}") from None
    fresh = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    return model, fresh, sorted(filter(_OF_A_LAYER.search, found["unexpected_keys"]))


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    with tokenizing():
        try:
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (AttributeError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise ValueError(f"its tokenizer's files are not those of a tokenizer: {error}") from None
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} ... ({len(names)})"
