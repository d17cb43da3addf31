"""A tokenizer of one's own, for a model that has no teacher to take one from."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

_SPECIAL = _PADDING, _UNKNOWN, _START, _END = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_length: int) -> PreTrainedTokenizerFast:
    """WordPiece (Schuster and Nakajima 2012) in lower case, with Chinese characters on their own, as BERT's is.

    The same texts in the same order give the same tokenizer.

    Args:
        texts: to learn from.
        vocabulary: tokens at most.
        max_length: tokens read of a text.
    """
    backend = Tokenizer(models.WordPiece(unk_token=_UNKNOWN))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=_SPECIAL, show_progress=False)
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
