"""Teachers: any Hugging Face sequence classifier, fine-tuned or taken as it is."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase


def load_base(
    folder: Path, classes: Sequence[str], seed: int, device: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained model with a head for `classes`, ready to be fine-tuned; a new head depends on `seed` alone.

    Raises:
        OSError, ValueError: the folder holds no such model, or no safetensors weights.
    """
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder,
        num_labels=len(classes),
        id2label=dict(enumerate(classes)),
        label2id={name: index for index, name in enumerate(classes)},
        problem_type="single_label_classification",
        ignore_mismatched_sizes=True,
        use_safetensors=True,
        dtype=torch.float32,
    )
    return _with_padding(model.to(device), AutoTokenizer.from_pretrained(folder))


def load_classifier(folder: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fine-tuned classifier, teacher or student, with its own classes.

    Raises:
        OSError, ValueError: the folder holds no such model, or no safetensors weights.
    """
    model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
    return _with_padding(model.to(device).eval(), AutoTokenizer.from_pretrained(folder))


def class_columns(model: PreTrainedModel, classes: Sequence[str]) -> list[int]:
    """Which of the model's logits belongs to each of `classes`, matched by name whatever the order and case.

    A model that names its classes LABEL_0, LABEL_1 ... fits classes that are themselves numbers.

    Raises:
        ValueError: the model's classes are not the same ones.
    """
    own = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
    for names in (own, [name.removeprefix("LABEL_") for name in own]):
        places = {name.casefold(): index for index, name in enumerate(names)}
        if len(places) == len(classes) and all(name.casefold() in places for name in classes):
            return [places[name.casefold()] for name in classes]
    raise ValueError(f"its classes are {_some(own)}, the data's are {_some(classes)}")


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
