"""Teachers: any Hugging Face sequence classifier, fine-tuned or taken as it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)


def load_base(
    folder: Path, classes: Sequence[str], seed: int, device: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained model with a head for `classes`, ready to be fine-tuned; a new head depends on `seed` alone.

    Raises:
        OSError, ValueError: the folder holds no such model, or no safetensors weights, or not all but the head's.
    """
    torch.manual_seed(seed)
    model, fresh = _load(
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
    return _with_padding(model.to(device), AutoTokenizer.from_pretrained(folder, trust_remote_code=False))


def load_classifier(folder: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fine-tuned classifier, teacher or student, with its own classes.

    Raises:
        OSError, ValueError: the folder holds no such model, or no safetensors weights, or not all of them.
    """
    model, fresh = _load(folder)
    if fresh:
        raise ValueError(f"it is no fine-tuned classifier, its weights lack {_some(fresh)}")
    return _with_padding(model.to(device).eval(), AutoTokenizer.from_pretrained(folder, trust_remote_code=False))


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a classifier's folder: the same bytes whatever was encoded before, so that a copy of it is no other model.

    A tokenizer remembers the truncation and padding of its last call, and would write them down.
    """
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _load(folder: Path, **settings: object) -> tuple[Any, list[str]]:
    """The model, and the names of those of its weights that are not in the folder and so were drawn at random."""
    try:
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
    return model, sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} ... ({len(names)})"


def _with_padding(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Gives a decoder without a pad token (GPT-2) one, as batches need it: its end-of-text token."""
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise ValueError("its tokenizer has neither a padding nor an end-of-text token")
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.padding_side = "right"
    return model, tokenizer
