"""Running a classifier over many texts as fast as the machine can: a teacher that labels, a model on its test rows."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from models.encoding import Batch, Encoded, Ints, budgeted_batches
from models.first_token import first_token_only
from models.int8 import to_int8
from models.vectors import mean_states

CPU_TOKENS, GPU_TOKENS = 1024, 32768
"""Tokens of a batch, unless somebody says otherwise: enough to keep the arithmetic busy, not more."""

Advance = Callable[[int], None]
Ask = Callable[[Batch], torch.Tensor]
"""From a batch on the model's device to numbers, [rows, width]."""


class Engine:
    """PyTorch: on a CPU each core takes whole batches, on a GPU one batch follows the other.

    A forward pass that is spread over cores waits for the slowest of them after every operation; passes side by side do
    not. And as each runs on one thread, logits do not depend on how many there are.
    """

    def __init__(
        self, ask: Ask, device: torch.device, width: int, tokens: int, pool: ThreadPoolExecutor | None
    ) -> None:
        """Takes what to ask a model of a batch on its device, tokens of a batch, and threads that keep to one core."""
        self._ask = ask
        self._device = device
        self._width = width
        self._tokens = tokens
        self._pool = pool

    def answers(self, encoded: Encoded, advance: Advance = lambda texts: None) -> NDArray[np.float32]:
        """Answers [texts, width] in the order of the texts; `advance` is called with the number of texts done."""
        answers = np.empty((len(encoded), self._width), dtype=np.float32)

        def run(rows: Ints) -> int:
            with torch.inference_mode():  # belongs to the thread
                batch = {name: tensor.to(self._device) for name, tensor in encoded.batch(rows).items()}
                answers[rows] = self._ask(batch).float().cpu().numpy()
            return len(rows)

        batches = budgeted_batches(encoded.lengths, self._tokens)
        for done in (self._pool.map if self._pool else map)(run, batches):
            advance(done)
        return answers


@contextmanager
def open_engine(model: PreTrainedModel, tokens: int | None = None) -> Iterator[Engine]:
    """An engine for a model on its device; the model is left in evaluation mode.

    Args:
        model: a sequence classifier.
        tokens: of a batch, padding counted; None for what suits the device.
    """
    model.eval()  # type: ignore[no-untyped-call]

    def ask(batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = model(**batch).logits
        return logits

    with first_token_only(model), _engine(ask, model.device, cast(int, model.config.num_labels), tokens) as engine:
        yield engine


@contextmanager
def open_vector_engine(model: PreTrainedModel, layers: Sequence[int], tokens: int | None = None) -> Iterator[Engine]:
    """An engine that gives a text's vectors in some layers, numbered from 0, side by side: [texts, layers * width]."""
    model.eval()  # type: ignore[no-untyped-call]
    with _engine(
        mean_states(model, layers), model.device, len(layers) * int(model.config.hidden_size), tokens
    ) as engine:
        yield engine


@contextmanager
def _engine(ask: Ask, device: torch.device, width: int, tokens: int | None) -> Iterator[Engine]:
    if device.type != "cpu":
        yield Engine(ask, device, width, tokens or GPU_TOKENS, None)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "forward", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield Engine(ask, device, width, tokens or CPU_TOKENS, pool)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what the pool's threads set is where new ones begin


@dataclass(frozen=True)
class Deviation:
    """How far a lower precision is from fp32 on some texts: of |difference of logits|, and of the classes named.

    Attributes:
        texts: how many were compared.
        largest: over texts and classes.
        mean: over texts and classes.
        agreement: share of texts for which both name the same class.
    """

    texts: int
    largest: float
    mean: float
    agreement: float


def in_precision(model: PreTrainedModel, precision: str) -> PreTrainedModel:
    """Turns a model in fp32 into one of another precision, in place.

    Args:
        model: on its device.
        precision: `fp32`, `bf16` or `int8`.

    Raises:
        ValueError: the device cannot do it.
    """
    if precision == "fp32":
        return model
    return to_int8(model) if precision == "int8" else model.to(torch.bfloat16)  # type: ignore[arg-type]


def to_precision(
    model: PreTrainedModel, precision: str, sample: Encoded, tokens: int | None = None
) -> tuple[PreTrainedModel, Deviation | None]:
    """Turns a model in fp32 into one of another precision, in place, and measures what that changes.

    Args:
        model: on its device.
        precision: `fp32`, `bf16` or `int8`.
        sample: texts to compare on.
        tokens: of a batch.

    Returns:
        The model, and its deviation from fp32; None for fp32 itself.

    Raises:
        ValueError: the device cannot do it.
    """
    if precision == "fp32":
        return model, None
    with open_engine(model, tokens) as engine:
        exact = engine.answers(sample)
    changed = in_precision(model, precision)
    with open_engine(changed, tokens) as engine:
        found = engine.answers(sample)
    apart = np.abs(found - exact)
    agreement = float((found.argmax(-1) == exact.argmax(-1)).mean())
    return changed, Deviation(len(sample), float(apart.max()), float(apart.mean()), agreement)
