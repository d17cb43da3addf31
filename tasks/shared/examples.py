"""From a part on disk to the flat arrays that models read."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from models.encoding import Encoded, concatenate, encode
from models.training import Examples
from tasks.shared.dataset import read_chunks, read_labels
from tasks.shared.errors import StillhouseError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_part(
    file: Path,
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    advance: Callable[[int], None] = lambda texts: None,
) -> Encoded:
    """Token ids of all texts of a part, in order; `advance` is called with the number of texts now and then.

    Raises:
        StillhouseError: the part has no row.
    """
    chunks = []
    for chunk in read_chunks(file):
        chunks.append(encode(tokenizer, chunk.texts, chunk.pairs, max_length))
        advance(len(chunk.texts))
    if not chunks:
        raise StillhouseError(f"{file.stem} has no rows; give more data")
    return concatenate(chunks)


def read_examples(file: Path, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Examples:
    """A part's texts and gold labels, without soft labels."""
    return Examples(encode_part(file, tokenizer, max_length), read_labels(file))
