"""How a teacher's batches are padded is settled when it is opened: what was made before that, and may be wrong."""

import json
from collections.abc import Mapping
from pathlib import Path

from tasks.shared.outputs import Json

_READING = 1
"""To be raised when batches of these models come to be read in another way."""

_ENCODERS = (
    "albert bart bert big_bird camembert data2vec-text deberta deberta-v2 distilbert electra ernie flaubert funnel "
    "ibert layoutlm longformer luke megatron-bert mobilebert modernbert mpnet rembert roberta roberta-prelayernorm "
    "roformer xlm xlm-roberta xlm-roberta-xl"
)
"""Kinds of model whose answers padding on the right never changed, as was measured of each."""

_DECODERS = (
    "falcon gpt2 gpt_bigcode gpt_neo gpt_neox gptj llama mistral mixtral mpt phi qwen2 qwen3 stablelm starcoder2"
)
"""Kinds of which that holds where only the tokenizer names a padding token: it became the model's own."""


def reading_of(folder: Path) -> Mapping[str, Json]:
    """What a step's key says of how a model is read: nothing of the kinds that have always been read as they are now.

    Of others, teachers and soft labels made before may be wrong, and are made anew.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind, named = str(config.get("model_type")), config.get("pad_token_id") is not None
    except (OSError, ValueError, AttributeError):
        return {}  # what is wrong with it is told where it is loaded
    return {} if kind in _ENCODERS.split() or (kind in _DECODERS.split() and not named) else {"reading": _READING}
