"""The student's vocabulary: the teacher's tokenizer, cut down to what the transfer texts use and what is common.

A WordPiece tokenizer is really pruned: its greedy longest match splits the transfer texts as before, and the single
characters that stay let new words split. (As before even where it gives up on a word, if each character inside a token
is a token too: so it is in trained vocabularies and in BERT's.) Other kinds cannot lose tokens without splitting texts
differently, so the tokenizer stays whole and a map from token ids to embedding rows does the cutting.
"""

import copy
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import models
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

NO_TEACHER_ROW = -1  # in Vocabulary.kept: a row to which none of the teacher's corresponds
_NEVER_USED = re.compile(r"\W*unused_?\d+\W*")  # BERT's tokenizers reserve a thousand of these, Gemma's some
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")  # SentencePiece's byte fallback spells a byte so
_SAVED_SETTINGS = ("padding_side", "truncation_side", "model_max_length", "model_input_names")
_SWITCHED_OFF = ("max_length", "stride", "truncation_strategy", "pad_to_multiple_of")
_DECISIVE = ("normalizer", "pre_tokenizer", "model", "post_processor")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A tokenizer and the embedding rows that its ids stand for.

    Attributes:
        tokenizer: what the student ships with. Has a pad token, and no padding or truncation switched on.
        kept: int64 [rows]; for each row of the student's embedding table the teacher's token id, or NO_TEACHER_ROW.
        token_map: int64 [id_space(tokenizer)]; the row of every id that the tokenizer can emit. None where the
            tokenizer itself was renumbered, so that an id is its row.
    """

    tokenizer: PreTrainedTokenizerBase
    kept: npt.NDArray[np.int64]
    token_map: npt.NDArray[np.int64] | None

    @property
    def pad_row(self) -> int:
        """The embedding row of the pad token."""
        pad = self.tokenizer.pad_token_id
        return int(pad if self.token_map is None else self.token_map[pad])


def id_space(tokenizer: PreTrainedTokenizerBase) -> int:
    """One more than the highest id the tokenizer can emit: its length, or more if its ids have gaps."""
    return max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=-1))


def with_commonest(
    tokenizer: PreTrainedTokenizerBase, used: npt.NDArray[np.integer], size: int
) -> npt.NDArray[np.int64]:
    """The ids in use, and as many others as make so many: the lowest, which tokenizers give to what is commonest.

    Args:
        tokenizer: the teacher's.
        used: ids, each once.
        size: of the vocabulary, what `prune` keeps in any case counted; where more are in use, none are added.
    """
    used = np.union1d(used, np.array([*_always_kept(tokenizer)], np.int64))
    vocab = tokenizer.get_vocab()
    never = [id_ for token, id_ in vocab.items() if _NEVER_USED.fullmatch(token)]
    others = np.setdiff1d(np.array(sorted(vocab.values()), np.int64), np.concatenate([used, never]))
    return np.union1d(used, others[: max(0, size - len(used))]).astype(np.int64)


def prune(tokenizer: PreTrainedTokenizerBase, used: npt.ArrayLike) -> Vocabulary:
    """Cut a teacher's tokenizer down to some of its tokens.

    Special and added tokens, single characters and single bytes stay in any case. A tokenizer without a pad token gets
    one: its end-of-sequence token, or else a new [PAD], a row without a teacher's.

    Args:
        tokenizer: the teacher's; left as it is.
        used: the ids of tokens to keep, with those met while encoding the transfer texts, as integers (any order,
            repeats allowed) or as a boolean mask [len(tokenizer)] or [id_space(tokenizer)].

    Returns:
        For WordPiece a renumbered tokenizer without token map. For other kinds the whole tokenizer; ids that were not
        kept map to the unknown token's row if that token has no other role, else (GPT-2's <|endoftext|> is also what
        pads) to one shared last row with NO_TEACHER_ROW.

    Raises:
        ValueError: `used` is neither a mask of that length nor ids of this tokenizer.
        RuntimeError: the tokenizer's class does not reload the pruned tokenizer as it was written.
    """
    ids = _checked_ids(used, tokenizer)
    shipped = _ready_to_ship(tokenizer)
    ids |= _always_kept(shipped)
    if isinstance(shipped, PreTrainedTokenizerFast) and isinstance(shipped.backend_tokenizer.model, models.WordPiece):
        return _pruned(shipped, ids, id_space(tokenizer))
    return _mapped(shipped, ids, id_space(tokenizer))


def _checked_ids(used: npt.ArrayLike, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    values, size = np.asarray(used), id_space(tokenizer)
    if values.ndim != 1 or (values.size > 0 and values.dtype.kind not in "biu"):
        raise ValueError(f"used: expected one row of booleans or ids, got {values.dtype} of shape {values.shape}")
    if values.dtype.kind == "b":
        if len(values) not in (len(tokenizer), size):
            raise ValueError(f"used: a mask of {len(values)} for a tokenizer of {len(tokenizer)} tokens")
        values = np.flatnonzero(values)
    if values.size > 0 and (values.min() < 0 or values.max() >= size):
        raise ValueError(f"used: ids {values.min()} to {values.max()} for a tokenizer whose ids are below {size}")
    return set(np.unique(values).tolist())


def _ready_to_ship(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A copy with a pad token and without the padding and truncation that its file or last call left switched on."""
    shipped = copy.deepcopy(tokenizer)
    if shipped.pad_token is None and shipped.eos_token is not None:
        shipped.pad_token = shipped.eos_token
    elif shipped.pad_token is None:
        shipped.add_special_tokens({"pad_token": "[PAD]"})
    if isinstance(shipped, PreTrainedTokenizerFast):
        shipped.backend_tokenizer.no_padding()
        shipped.backend_tokenizer.no_truncation()
    # Only what is in init_kwargs gets saved, and what is set on a tokenizer after it was made is not in there.
    shipped.init_kwargs |= {name: getattr(shipped, name) for name in _SAVED_SETTINGS}
    for name in _SWITCHED_OFF:
        shipped.init_kwargs.pop(name, None)
    return shipped


def _always_kept(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of special and added tokens, of what is put around texts and pairs, of single characters and bytes."""
    model = tokenizer.backend_tokenizer.model if isinstance(tokenizer, PreTrainedTokenizerFast) else None
    prefix = getattr(model, "continuing_subword_prefix", None) or ""
    suffix = getattr(model, "end_of_word_suffix", None) or ""
    vocab = tokenizer.get_vocab()
    kept = {id_ for token, id_ in vocab.items() if _is_single(token, prefix, suffix)}
    kept.update(tokenizer.all_special_ids, tokenizer.added_tokens_decoder)
    kept.update(tokenizer("").input_ids, tokenizer("", "").input_ids)
    # A WordPiece model stops with an error where its unknown token is missing, declared special or not.
    kept |= {vocab[token] for token in [getattr(model, "unk_token", None)] if token in vocab}
    return kept


def _is_single(token: str, prefix: str, suffix: str) -> bool:
    bare = token.removeprefix(prefix).removesuffix(suffix)
    return len(token) == 1 or len(bare) == 1 or _BYTE_TOKEN.fullmatch(token) is not None


def _mapped(tokenizer: PreTrainedTokenizerBase, ids: set[int], size: int) -> Vocabulary:
    """The whole tokenizer, with a map from its ids to the rows that are kept."""
    kept = sorted(ids)
    token_map = np.full(id_space(tokenizer), len(kept), dtype=np.int64)  # all to the shared row, for now
    token_map[kept] = np.arange(len(kept))
    if (unknown := _unknown_id(tokenizer)) is None:
        kept.append(size)
    else:
        token_map[token_map == len(kept)] = token_map[unknown]
    return Vocabulary(tokenizer, _teacher_ids(kept, size), token_map)


def _unknown_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id of an unknown token that has no other role, so that an unknown word is not taken for padding or an end."""
    roles = dict(tokenizer.special_tokens_map)
    unknown = roles.pop("unk_token", None)
    return None if unknown is None or unknown in roles.values() else tokenizer.unk_token_id


def _teacher_ids(ids: list[int], size: int) -> npt.NDArray[np.int64]:
    """The ids as an array, those that the teacher does not have (its ids are below `size`) as NO_TEACHER_ROW."""
    kept = np.array(ids, dtype=np.int64)
    return np.where(kept < size, kept, NO_TEACHER_ROW)


def _pruned(tokenizer: PreTrainedTokenizerFast, ids: set[int], size: int) -> Vocabulary:
    """The tokenizer without the other tokens, renumbered in the same order."""
    vocab = tokenizer.get_vocab()
    in_model = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    tokens = [token for token, id_ in vocab.items() if id_ in ids]
    # Loading numbers the tokens outside the model after those inside, whatever the file says.
    tokens.sort(key=lambda token: (token not in in_model, vocab[token]))
    shipped = _rebuilt(tokenizer, {token: row for row, token in enumerate(tokens)})
    return Vocabulary(shipped, _teacher_ids([vocab[token] for token in tokens], size), None)


def _rebuilt(tokenizer: PreTrainedTokenizerFast, rows: dict[str, int]) -> PreTrainedTokenizerFast:
    """The tokenizer with another vocabulary, by way of a saved folder, since that is how consumers will get it.

    Classes such as BertTokenizer build themselves anew from vocabulary and settings when they are loaded, and take
    little else from tokenizer.json. What came out of one folder comes out of the next; anything else is refused.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["model"]["vocab"] = {token: rows[token] for token in state["model"]["vocab"] if token in rows}
    for added in state["added_tokens"]:
        added["id"] = rows[added["content"]]
    row_of = {id_: rows[token] for token, id_ in tokenizer.get_vocab().items() if token in rows}
    _renumber(state["post_processor"] or {}, row_of)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        (Path(folder) / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        shipped: PreTrainedTokenizerFast = type(tokenizer).from_pretrained(folder)
    reloaded = json.loads(shipped.backend_tokenizer.to_str())
    changed = [part for part in _DECISIVE if reloaded[part] != state[part]]
    if changed or shipped.get_vocab() != rows:
        raise RuntimeError(f"{type(tokenizer).__name__} does not reload as it was written: {changed or 'added_tokens'}")
    return shipped


def _renumber(processor: dict[str, Any], row_of: dict[int, int]) -> None:
    """Renumber, in place, the ids in a serialised post-processor of any kind."""
    for part in processor.get("processors", []):  # Sequence
        _renumber(part, row_of)
    for special in processor.get("special_tokens", {}).values():  # TemplateProcessing
        special["ids"] = [row_of[id_] for id_ in special["ids"]]
    for pair in (processor[side] for side in ("sep", "cls") if side in processor):  # BertProcessing, RobertaProcessing
        pair[1] = row_of[pair[1]]
