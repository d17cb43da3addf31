"""From normalised texts to probabilities, with a fine-tuned classifier and its tokenizer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Relative: registered models carry copies of these modules.
from .encoding import encode
from .inference import predict_logits
from .padding import most_tokens

BATCH_SIZE = 32


class TextClassifier:
    """A classifier that reads texts as its tokenizer's maximum length and its positions allow."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Takes a model that stays on its device."""
        self._model = model
        self._tokenizer = tokenizer
        self._max_length = most_tokens(model, tokenizer)
        self.classes = class_names(model)

    def probabilities(self, texts: Sequence[str], pairs: Sequence[str] | None) -> NDArray[np.float64]:
        """The probability of each class, [texts, classes]; pairs are the texts' second halves, for models of pairs."""
        encoded = encode(self._tokenizer, texts, pairs, self._max_length)
        logits = predict_logits(self._model, encoded, BATCH_SIZE)
        scores: NDArray[np.float64] = torch.from_numpy(logits).double().softmax(-1).numpy()
        return scores


def class_names(model: PreTrainedModel) -> list[str]:
    """The names of the model's classes, in the order of its logits."""
    names: dict[Any, str] = model.config.id2label or {}
    return [str(names[number]) for number in range(len(names))]


def check_kind(problem_type: str | None, outputs: int) -> None:
    """Raises ValueError unless a classifier names one class a text, as its configuration has it."""
    if problem_type not in (None, "single_label_classification"):
        what = f"its config.json says problem_type: {problem_type}"
    elif outputs < 2:
        what = "it has a single output"
    else:
        return
    raise ValueError(f"{what}, and only classifiers that give a text one of several classes can be used")
