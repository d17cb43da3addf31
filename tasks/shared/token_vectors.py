"""A model's own token vectors, by the words that its tokens stand for."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.shared.errors import StillhouseError, one_line


def token_vectors(model: Path, wanted: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """The vectors of those of the wanted words that are a token of the model, in the tokens' order.

    Raises:
        StillhouseError: the folder holds no such model, or no wanted word is a token.
    """
    from models.embeddings import words_of
    from models.teacher import load_parts

    try:
        loaded, tokenizer = load_parts(model)
    except (OSError, ValueError) as error:
        raise StillhouseError(f"augment.neighbours: cannot use {model}: {one_line(error)}") from None
    table = loaded.get_input_embeddings().get_parameter("weight").detach().numpy()
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    words = words_of([token for token, _ in tokens])
    found: dict[str, NDArray[np.float32]] = {}
    for word, (_, id_) in zip(words, tokens, strict=True):
        if word is not None and word.lower() in wanted:
            found.setdefault(word.lower(), table[id_])
    if not found:
        raise StillhouseError("augment.neighbours: none of the texts' common words is a token; set augment.vectors")
    return found
