"""Steps disturb and augment: the same texts with mistakes in them, to test with and to learn from."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.augmentation import words_in
from models.noise import Noise, perturb
from tasks.augment import Augment
from tasks.disturb import Disturb
from tasks.label import Label
from tasks.load_data import LoadData
from tasks.prepare_student import PrepareStudent
from tasks.shared.dataset import read_chunks, read_keys, read_labels
from tasks.shared.errors import StillhouseError
from tasks.shared.misspellings import read_misspellings
from tasks.shared.recipe_data import Data
from tasks.shared.texts import normalise
from tests.settled import Augment as AugmentOptions
from tests.settled import Labelling, Robustness
from tests.toy import toy_rows, write_csv


def texts_of(data, part):
    return [text for chunk in read_chunks(data.file(part)) for text in chunk.texts]


def disturb(toy, **options):
    return Disturb(toy.data, Robustness(**{"texts": 20, "noises": ["keyboard", "word-drop"], **options}))


# Disturb


def test_every_text_of_the_sample_has_every_noise(toy):
    record = toy.bench(disturb(toy, strengths=[0.2, 0.5]))
    frame = pd.read_parquet(record.file)
    assert record.rows == 20
    conditions = frame.groupby(["noise", "strength"], sort=False)["row"].apply(list)
    assert list(conditions.index) == [("none", 0.0), *((n, s) for n in ("keyboard", "word-drop") for s in (0.2, 0.5))]
    assert all(rows == conditions.iloc[0] for rows in conditions)
    texts, labels = texts_of(toy.data, "test"), read_labels(toy.data.file("test"))
    for noise, strength, row, text, _, label in frame.itertuples(index=False):
        wanted = texts[row] if noise == "none" else normalise(perturb(texts[row], Noise(noise), strength, 0))
        assert (text, label) == (wanted, labels[row])


def test_the_sample_is_of_texts_not_of_rows(toy, bench, tmp_path):
    def drawn(rows):
        files = {"train": str(toy.folder / "train.csv"), "test": write_csv(tmp_path / "test.csv", rows)}
        frame = pd.read_parquet(bench(disturb(replace(toy, data=bench(LoadData(Data(**files)))))).file)
        return frame[frame["noise"] == "none"]["text"].tolist()

    rows = toy_rows(60, seed=1)
    some = drawn(rows)
    assert drawn(rows[::-1]) == some
    fewer = drawn(rows[:40])
    assert [text for text in some if text in fewer] == [text for text in fewer if text in some]
    assert len(set(some) & set(fewer)) > 8


def test_rows_without_gold_labels_and_no_texts_at_all(toy, bench, tmp_path):
    test = write_csv(tmp_path / "test.csv", [(text, "") for text, _ in toy_rows(30, seed=1)])
    blank = bench(LoadData(Data(train=str(toy.folder / "train.csv"), test=test)))
    for step in (disturb(replace(toy, data=blank)), disturb(toy, texts=0)):
        record = bench(step)
        assert record.rows == 0
        assert len(pd.read_parquet(record.file)) == 0
        assert "nothing" in step.summary(record)


def test_a_noise_that_changes_nothing_is_left_out(toy, bench, tmp_path):
    rows = [("银行的股票上升", "money"), ("球赛在今天举行", "sport"), ("面包和汤都很好吃", "food")]
    files = {"train": str(toy.folder / "train.csv"), "test": write_csv(tmp_path / "test.csv", rows)}
    data = bench(LoadData(Data(**files)))
    frame = pd.read_parquet(bench(disturb(replace(toy, data=data), noises=["case", "keyboard", "drop"])).file)
    assert set(frame["noise"]) == {"none", "drop"}


def test_misspellings_of_ones_own(toy, tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("# mine\nsoup soop, supe\n\nBREAD bred\nsoup soop zoup\n", encoding="utf-8")
    assert read_misspellings(str(file)) == {"soup": ["soop", "supe", "zoup"], "bread": ["bred"]}
    step = disturb(toy, noises=["misspelling"], strengths=[1.0], misspellings=str(file))
    frame = pd.read_parquet(toy.bench(step).file)
    words = set(" ".join(frame[frame["noise"] == "misspelling"]["text"]).split())
    assert not words & {"soup", "bread"}
    assert words & {"soop", "supe", "zoup", "bred"}
    before = step.key
    file.write_text("soup soep\n", encoding="utf-8")
    assert replace(step).key != before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"soup soop\n\xff\n", "cannot be read: not UTF-8"),
        (b"soup soop\nbread\n", "line 2: 'bread' is not a word and its wrong forms"),
        (b"soup soup\n", "line 1: 'soup soup' is not a word"),
        (b"# nothing\n", "holds no word"),
    ],
)
def test_a_bad_file_of_misspellings_is_one_line(toy, tmp_path, content, told):
    file = tmp_path / "words.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StillhouseError, match=r"^robustness\.misspellings: ") as raised:
        read_misspellings(str(file))
    assert told in str(raised.value)
    with pytest.raises(StillhouseError, match=r"^robustness\.misspellings: "):
        _ = disturb(toy, misspellings=str(file)).key


# Augment


def augmented(toy, **options):
    return toy.bench(Augment(toy.data, options_of(**{"copies": 2, **options}), str(toy.base)))


def options_of(**options):
    """Noise alone, unless something else is asked for."""
    return AugmentOptions(**{"mask": 0, "same_class": 0, "n_gram": 0, "noise": 0.15, **options})


def test_copies_stand_behind_the_transfer_texts_and_are_new_everywhere(toy):
    data = augmented(toy)
    given = toy.data.rows["transfer"]
    texts = texts_of(data, "transfer")
    assert texts[:given] == texts_of(toy.data, "transfer")
    assert data.given == given < data.rows["transfer"] == len(texts) <= 3 * given
    assert len(set(texts)) == len(texts)
    assert not set(texts[given:]) & {text for part in ("dev", "test") for text in texts_of(data, part)}
    assert all(text == normalise(text) != "" for text in texts)
    keys = read_keys(data.file("transfer"))
    assert len(np.unique(keys)) == len(keys)
    assert data.file("gold") == toy.data.file("gold")
    assert data.digests["transfer"] != toy.data.digests["transfer"]


def test_copies_are_of_the_kinds_and_the_strength_that_are_wanted(toy):
    texts = texts_of(augmented(toy, copies=1, noises=["case"], noise=1.0), "transfer")
    given = texts_of(toy.data, "transfer")
    lower = {text.lower() for text in given}
    assert texts[len(given) :]
    assert all(text.lower() in lower for text in texts[len(given) :])


def test_a_text_of_test_is_never_made(toy, bench, tmp_path):
    """A copy that happens to be a test text would be labelled, and learnt from."""
    words = [(f"WORD{number}", "ab"[number % 2]) for number in range(20)]
    test = [(form(text), label) for text, label in words for form in (str.lower, str.capitalize)]
    data = bench(LoadData(Data(train=write_csv(tmp_path / "a.csv", words), test=write_csv(tmp_path / "b.csv", test))))
    options = options_of(copies=3, noises=["case"], noise=1.0)
    assert bench(Augment(data, options, str(toy.base))).rows["transfer"] == data.rows["transfer"]
    other = options.model_copy(update={"noises": ["drop"]})
    assert bench(Augment(data, other, str(toy.base))).rows["transfer"] > data.rows["transfer"]


def test_words_are_masked_replaced_and_cut_out(toy, tmp_path):
    given = texts_of(toy.data, "transfer")
    words = {word for text in given for word in words_in(text)}

    def made(**options):
        return texts_of(augmented(toy, copies=1, noise=0, **options), "transfer")[len(given) :]

    masked = made(mask=0.5)
    assert sum(text.count("[MASK]") for text in masked) == pytest.approx(0.5 * sum(map(_length, masked)), rel=0.1)
    assert {word for text in made(same_class=1.0) for word in words_in(text)} <= words
    assert all(any(text in whole for whole in given) for text in made(n_gram=1.0))
    assert max(map(_length, made(n_gram=1.0))) <= 5
    close = made(neighbours=1.0)
    assert close
    assert {word for text in close for word in words_in(text)} <= words
    file = tmp_path / "vectors.txt"
    file.write_text("the 1 0\nnew 1 0.1\nunseen 1 0.05\n", encoding="utf-8")
    assert made(neighbours=1.0, vectors=str(file)) != close


def _length(text):
    return len(text.split())


def test_noise_leaves_the_mask_token_whole(toy):
    data = augmented(toy, copies=1, mask=0.5, noise=1.0, noises=["drop", "swap", "case"])
    made = texts_of(data, "transfer")[data.given :]
    assert sum(text.count("[MASK]") for text in made) > len(made)
    assert not [text for text in made if "[" in text.replace("[MASK]", "")]


def test_a_tokenizer_without_a_mask_token_is_told_of(toy, bench, tmp_path):
    folder = shutil.copytree(toy.base, tmp_path / "base")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).exists():
            said = json.loads((folder / name).read_text(encoding="utf-8"))
            said.pop("mask_token", None)
            (folder / name).write_text(json.dumps(said), encoding="utf-8")
    bench(Augment(toy.data, options_of(copies=1, mask=0.3), str(folder)))
    assert any("no mask token" in warning for warning in bench.warnings)


def test_the_teacher_labels_the_noised_texts_themselves(toy):
    data = augmented(toy, copies=1)
    view = toy.bench(Label(data, toy.teacher, Labelling(), 0))
    assert view.view["rows"] == data.rows["transfer"]
    assert view.new == data.rows["transfer"] - data.given, "those that were there keep their labels"


def test_no_copies_more_copies_and_what_decides(toy):
    step = Augment(toy.data, options_of(copies=1), str(toy.base))
    data = toy.bench(step)
    assert step.summary(data).startswith(f"{data.rows['transfer'] - data.given:,} texts more")
    assert toy.bench.make(step).digest == toy.bench.output(step).digest
    others = [{"copies": 2}, {"seed": 1}, {"noise": 0.3}, {"noises": ["ocr"]}, {"mask": 0.1}, {"same_class": 0.1}]
    others += [{"n_gram": 0.1}, {"neighbours": 0.1}]
    keys = {Augment(toy.data, options_of(**{"copies": 1, **other}), str(toy.base)).key for other in others}
    assert len({step.key, *keys}) == 1 + len(others)
    twice = texts_of(augmented(toy, copies=2), "transfer")
    assert set(texts_of(data, "transfer")) <= set(twice), "the first copy stays what it was"


def test_a_student_of_noised_texts_and_one_without(toy, bench):
    from tasks.fuse import Fuse
    from tasks.shared.recipe_teaching import Fuse as FuseOptions
    from tasks.train_student import TrainStudent
    from tasks.train_unaugmented import TrainUnaugmented

    data = augmented(toy, copies=1)
    view = toy.bench(Label(data, toy.teacher, Labelling(), 0))
    labels = toy.bench(Fuse(data, (toy.teacher,), (view,), FuseOptions()))
    more = replace(toy, data=data, labels=labels, prepared=toy.bench(PrepareStudent(data, toy.teacher, toy.student)))
    student, without = more.small(TrainStudent), more.small(TrainUnaugmented)
    ours = student.learn_from(bench.context)
    theirs = without.learn_from(bench.context)
    assert len(ours.encoded) == data.rows["transfer"]
    assert len(theirs.encoded) == len(theirs.labels) == len(theirs.teacher_logits) == data.given
    assert theirs.encoded.ids.tolist() == ours.encoded.ids[: len(theirs.encoded.ids)].tolist()
    assert theirs.teacher_logits.tolist() == ours.teacher_logits[: data.given].tolist()
    assert without.steps == student.steps, "the same work for both"
    made = toy.bench(without)
    assert (made.role, made.title) == ("unaugmented", "unaugmented seed 0")
    assert made.digest != toy.bench(student).digest


# Scratch


def test_a_twin_that_owes_the_teacher_nothing(toy):
    from transformers import AutoTokenizer

    from tasks.prepare_scratch import PrepareScratch
    from tasks.train_scratch import TrainScratch

    own = toy.bench(PrepareScratch(toy.data, toy.prepared))
    scratch = toy.small(TrainScratch, prepared=own)
    made = toy.bench(scratch)
    assert (made.role, made.title) == ("scratch", "scratch seed 0")
    tokenizer = AutoTokenizer.from_pretrained(made.path)
    assert len(tokenizer) == own.vocabulary
    assert tokenizer.get_vocab().keys() != AutoTokenizer.from_pretrained(toy.teacher.path).get_vocab().keys()
    assert toy.bench.make(scratch).digest == toy.bench.output(scratch).digest
    assert 0 < toy.bench(toy.evaluate(made)).accuracy <= 1
