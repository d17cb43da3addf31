"""A tokenizer of one's own, for a model that has no teacher to take one from."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

_SPECIAL = _PADDING, _UNKNOWN, _START, _END = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SMALLEST = len(_SPECIAL) + 256
"""Tokens without which it could not read every text."""


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_length: int) -> PreTrainedTokenizerFast:
    """Byte-pair encoding of bytes (Sennrich et al. 2016, Radford et al. 2019), in lower case.

    The same texts give the same tokenizer; WordPiece, as the library trains it, numbers its tokens at random.

    Args:
        texts: to learn from.
        vocabulary: tokens at most, but `SMALLEST` at least.
        max_length: tokens read of a text.
    """
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(vocabulary, SMALLEST),
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        pair=f"{_START} $A {_END} $B {_END}",
        special_tokens=[(token, backend.token_to_id(token)) for token in (_START, _END)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token=_PADDING,
        unk_token=_UNKNOWN,
        cls_token=_START,
        sep_token=_END,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=max_length,
    )
