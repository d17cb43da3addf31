"""Batched inference: logits of encoded texts, in their order."""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .encoding import Encoded, sorted_batches  # relative: registered models carry copies of these modules


def predict_logits(
    model: PreTrainedModel, encoded: Encoded, batch_size: int, advance: Callable[[int], None] = lambda rows: None
) -> NDArray[np.float32]:
    """Runs the model over all texts in batches of similar length.

    Args:
        model: a sequence classifier; it is put into evaluation mode and stays on its device.
        encoded: the texts.
        batch_size: texts in a forward pass.
        advance: called with the number of texts done after each batch.

    Returns:
        Logits [texts, classes], in the order of the texts.
    """
    logits = np.empty((len(encoded), cast(int, model.config.num_labels)), dtype=np.float32)
    model.eval()  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        for rows in sorted_batches(encoded.lengths, batch_size):
            batch = {name: tensor.to(model.device) for name, tensor in encoded.batch(rows).items()}
            logits[rows] = model(**batch).logits.float().cpu().numpy()
            advance(len(rows))
    return logits
