"""How many tokens of a text a model has positions for."""

from torch import Tensor
from transformers import PreTrainedModel


def readable_tokens(model: PreTrainedModel) -> int | None:
    """How many tokens a model has positions for; None where it counts without a table.

    RoBERTa and kin count from behind their padding token, so that two rows of 514 are never used.
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limit = limit if isinstance(limit, int) and limit > 0 else None  # XLNet's -1 are as many as you like
    for name, module in model.named_modules():
        table = getattr(module, "weight", None)  # of I-BERT's quantised embeddings too
        if isinstance(table, Tensor) and name.rpartition(".")[2] in ("position_embeddings", "wpe"):
            padding = getattr(module, "padding_idx", None)
            rows = len(table) - (0 if padding is None else padding + 1)
            return rows if limit is None else min(rows, limit)
    return limit
