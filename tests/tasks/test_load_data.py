"""Step load_data, from files to the four parts: what is in them, what their digests depend on, what is refused."""

import json
import random
from collections import Counter

import pandas as pd
import pytest

from tasks.load_data import LoadData
from tasks.shared.dataset import NO_LABEL, PARTS, read_chunks, read_keys, read_labels
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.texts import normalise, text_key
from tests.toy import WORDS, toy_rows, write_csv

ROWS = toy_rows(90, seed=0)
TEST = toy_rows(30, seed=1)


@pytest.fixture
def load(bench, tmp_path):
    """Loads rows given as lists; other settings are the recipe's."""

    def from_rows(train=ROWS, test=TEST, unlabelled=(), dev=None, gate=None, header=("text", "label"), **options):
        files = {"train": train, "test": test} | ({"dev": dev} if dev else {}) | ({"gate": gate} if gate else {})
        paths = {name: write_csv(tmp_path / f"{name}.csv", rows, header) for name, rows in files.items()}
        if unlabelled:
            paths["unlabelled"] = [write_csv(tmp_path / "more.csv", [[text] for text in unlabelled], ["text"])]
        return bench(LoadData(Data(**paths, **options)))

    return from_rows


@pytest.fixture
def complaint(load):
    def about(*arguments, **options):
        with pytest.raises(StillhouseError) as caught:
            load(*arguments, **options)
        assert str(caught.value).isprintable()
        return str(caught.value)

    return about


def rows_of(data, part):
    """(text, class) pairs of a part; the class of a row without a label is None."""
    names = {**dict(enumerate(data.classes)), NO_LABEL: None}
    return [
        (text, names[label])
        for chunk in read_chunks(data.file(part))
        for text, label in zip(chunk.texts, chunk.labels.tolist(), strict=True)
    ]


def test_four_parts(load, bench):
    data = load(labels_per_class=10)
    assert data.classes == tuple(WORDS)
    assert data.rows == {"gold": 24, "dev": 6, "test": 30, "transfer": 84}
    truth = dict(ROWS)
    for part in ("gold", "dev"):
        found = rows_of(data, part)
        assert all(truth[text] == label for text, label in found)
        assert {label for _, label in found} == set(WORDS)
    assert rows_of(data, "test") == TEST
    gold, dev, transfer = ({text for text, _ in rows_of(data, part)} for part in ("gold", "dev", "transfer"))
    assert gold < transfer
    assert transfer | dev == set(truth)
    assert not transfer & dev
    assert {label for _, label in rows_of(data, "transfer")} == {None}
    assert data.warnings == ()
    assert bench.warnings == []


def test_the_files_are_plain_parquet(load):
    data = load()
    for part in PARTS:
        frame = pd.read_parquet(data.file(part))
        assert list(frame.columns) == ["key", "text", "text_pair", "label"]
        assert [bytes(key) for key in frame["key"]] == [text_key(text) for text in frame["text"]]
        assert [key.ljust(32, b"\0") for key in read_keys(data.file(part)).tolist()] == list(frame["key"])
    assert pd.read_parquet(data.file("transfer"))["label"].isna().all()


def test_unlabelled_rows_of_train_become_transfer_text(load):
    train = [*ROWS, ("no label", ""), ("blank label", " ")]
    transfer = {text for text, _ in rows_of(load(train), "transfer")}
    assert {"no label", "blank label"} < transfer


def test_texts_of_dev_and_test_are_never_learned_from(load, bench):
    held = [TEST[0][0], f"  {TEST[1][0]} ".replace(" ", "\t"), TEST[2][0]]
    dev = [*toy_rows(9, seed=3), TEST[2]]
    data = load([*ROWS, *[(text, "food") for text in held]], unlabelled=held, dev=dev)
    outside = {text for part in ("dev", "test") for text, _ in rows_of(data, part)}
    for part in ("gold", "transfer"):
        assert not outside & {text for text, _ in rows_of(data, part)}
    assert len(data.warnings) == 4
    assert bench.warnings == list(data.warnings)


def test_the_rows_of_gate_are_a_part_of_their_own_and_nowhere_else(load, bench):
    without = load(labels_per_class=20)
    gate = [*toy_rows(9, seed=4), ROWS[0], ROWS[1]]
    data = load(gate=gate, labels_per_class=20)
    assert rows_of(data, "gate") == gate
    assert (data.gate, without.gate) == ("gate", "dev")
    for part in ("gold", "dev", "transfer"):
        assert not {text for text, _ in gate} & {text for text, _ in rows_of(data, part)}
    assert "2 texts of train or unlabelled are in gate too; learning leaves them out" in data.warnings
    assert data.digests["test"] == without.digests["test"]
    assert set(data.digests) - set(without.digests) == {"gate"}
    overlapping = load(gate=[*gate, TEST[0]], dev=[*toy_rows(9, seed=3), gate[0]]).warnings
    assert "1 texts of dev are in gate too, so what is chosen on dev has seen a part of gate" in overlapping
    assert "1 texts of gate are in test too, so what is chosen on gate has seen a part of test" in overlapping


def test_further_tests_are_parts_of_their_own_and_nowhere_else(load, tmp_path):
    without = load(labels_per_class=20)
    mails = [*toy_rows(9, seed=4), ROWS[0], ROWS[1]]
    blank = [(text, "") for text, _ in toy_rows(6, seed=5)]
    files = {"mails": write_csv(tmp_path / "m.csv", mails), "blank": write_csv(tmp_path / "b.csv", blank)}
    data = load(tests=files, labels_per_class=20)
    assert rows_of(data, "test-mails") == mails
    assert [text for text, _ in rows_of(data, "test-blank")] == [text for text, _ in blank]
    for part in ("gold", "dev", "transfer"):
        assert not {text for text, _ in [*mails, *blank]} & {text for text, _ in rows_of(data, part)}
    assert "2 texts of train or unlabelled are in test-mails too; learning leaves them out" in data.warnings
    [told] = [warning for warning in data.warnings if "no gold labels" in warning]
    assert told.startswith("data.tests.blank")
    assert data.digests["test"] == without.digests["test"]
    assert set(data.digests) - set(without.digests) == {"test-mails", "test-blank"}


@pytest.mark.parametrize("part", ["test", "tests"])
def test_a_test_is_labelled_wholly_or_not_at_all(complaint, tmp_path, part):
    rows = [*TEST[:5], ("a text without a label", "")]
    found = complaint(**({"test": rows} if part == "test" else {"tests": {"x": write_csv(tmp_path / "x.csv", rows)}}))
    assert "line 7 has no label" in found


def test_a_gate_of_no_use_is_refused(complaint):
    assert "data.gate" in complaint(gate=[("", "food")])
    assert "not in train" in complaint(gate=[("a text", "weather")])


def test_empty_texts_are_dropped_and_counted(load):
    data = load([("", "food"), *ROWS, (" \u3000", "")], unlabelled=["\t", "new"])
    assert data.warnings == ("3 rows without a text were left out",)
    assert data.rows["transfer"] + data.rows["dev"] == 91


def test_several_labels_and_repeated_texts(load):
    data = load([*ROWS, (ROWS[0][0], "other"), ("rare", "other"), ("rarer", "other"), ("rarest", "other")])
    assert data.warnings == ("1 texts have several gold labels; the first one counts", "1 repeated texts count once")
    everything = rows_of(data, "gold") + rows_of(data, "dev")
    assert [label for text, label in everything if text == ROWS[0][0]] == [ROWS[0][1]]


def test_labels_that_are_numbers_are_sorted_as_numbers(load):
    numbers = dict(zip(WORDS, ("10", "9", "-1"), strict=True))
    renamed = [[(text, numbers[label]) for text, label in rows] for rows in (ROWS, TEST)]
    assert load(*renamed).classes == ("-1", "9", "10")


def test_names_for_labels_that_are_numbers(load):
    numbers = {name: str(number) for number, name in enumerate(WORDS)}
    renamed = [[(text, numbers[label]) for text, label in rows] for rows in (ROWS, TEST)]
    data = load(*renamed, classes=list(WORDS))
    assert data.classes == tuple(WORDS)
    assert rows_of(data, "test") == TEST


def test_a_dev_file(load):
    dev = toy_rows(12, seed=3)
    data = load(dev=dev, labels_per_class=10)
    assert rows_of(data, "dev") == dev
    assert (data.rows["gold"], data.rows["transfer"]) == (30, 90)


def test_pairs(load):
    rows = [[f"{text}?", f" {label} \n or  not", label] for text, label in ROWS]
    data = load(rows, rows[:9], header=("text", "other", "label"), text_pair="other")
    [chunk] = read_chunks(data.file("gold"))
    assert set(chunk.pairs) == {normalise(f"{label} or not") for label in WORDS}
    keys = [key.ljust(32, b"\0") for key in chunk.keys.tolist()]
    assert keys == [text_key(text, pair) for text, pair in zip(chunk.texts, chunk.pairs, strict=True)]
    [alone] = read_chunks(load().file("gold"))
    assert alone.pairs is None


@pytest.mark.parametrize("kept", [None, 10])
def test_the_order_of_the_rows_decides_nothing(load, kept):
    before = load(labels_per_class=kept)
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    after = load(shuffled, labels_per_class=kept)
    assert after.digest != before.digest
    for part in PARTS:
        assert sorted(rows_of(after, part), key=str) == sorted(rows_of(before, part), key=str)


def test_new_unlabelled_text_leaves_the_teacher_alone(load):
    before = load(labels_per_class=10)
    after = load(labels_per_class=10, unlabelled=["new text", "another", ROWS[0][0]])
    assert {part for part in PARTS if after.digests[part] != before.digests[part]} == {"transfer"}
    assert after.rows["transfer"] == before.rows["transfer"] + 2
    assert set(rows_of(before, "transfer")) < set(rows_of(after, "transfer"))
    within = load([("first", ""), *ROWS, ("last", "")], labels_per_class=10)
    assert {part for part in PARTS if within.digests[part] != before.digests[part]} == {"transfer"}


def test_each_digest_is_of_its_own_part(load):
    def changed(**options):
        now = load(**{"train": ROWS, "test": TEST, "dev": dev, "labels_per_class": 10} | options)
        return {part for part in PARTS if now.digests[part] != before.digests[part]}

    dev = toy_rows(12, seed=3)
    before = load(dev=dev, labels_per_class=10)
    swapped = {"food": "money", "money": "food", "sport": "sport"}
    assert changed() == set()
    assert changed(test=TEST[1:]) == {"test"}
    assert changed(test=[(text, swapped[label]) for text, label in TEST]) == {"test"}
    assert changed(dev=dev[1:]) == {"dev"}
    assert changed(seed=1) == {"gold"}
    assert changed(train=[(text, swapped[label]) for text, label in ROWS]) == {"gold"}


def test_the_seed_chooses_and_the_digest_is_the_same_every_time(load, bench):
    first = load(labels_per_class=10)
    bench.made.clear()
    assert load(labels_per_class=10) == first
    assert bench.made == []
    assert load(labels_per_class=10, seed=1).digests["gold"] != first.digests["gold"]
    step = LoadData(Data(train="nowhere.csv", test="nowhere.csv"))
    with pytest.raises(StillhouseError, match=r"no file nowhere\.csv"):
        _ = step.key


def test_where_the_files_are_does_not_matter(bench, tmp_path):
    keys = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        paths = {part: write_csv(tmp_path / name / f"{part}.csv", ROWS) for part in ("train", "test")}
        keys.add(LoadData(Data(**paths)).key)
    assert len(keys) == 1


def test_more_rows_than_are_written_at_once(load):
    train = toy_rows(9000, seed=5)
    data = load(train)
    transfer = rows_of(data, "transfer")
    assert len(transfer) == data.rows["transfer"] > 8192 - 1800
    assert sorted(text for text, _ in transfer + rows_of(data, "dev")) == sorted(text for text, _ in train)
    assert len(read_labels(data.file("gold"))) == len(read_keys(data.file("gold"))) == data.rows["gold"]


def test_what_is_refused(complaint, tmp_path):
    assert "one class only, 'food'" in complaint([(text, "food") for text, _ in ROWS])
    assert complaint(test=[*TEST, ("text", "Food")]) == (
        f"{tmp_path / 'test.csv'} line 32 has label 'Food', not in train, where class 'food' differs in case alone; "
        "spell both alike"
    )
    assert f"{tmp_path / 'test.csv'} line 2 has no label;" in complaint(test=[("text", ""), *TEST])
    assert f"{tmp_path / 'dev.csv'} line 2 has label 'x'" in complaint(dev=[("text", "x")])
    assert "class 'rare' has no usable row left to learn from" in complaint(
        [*ROWS, (TEST[0][0], "rare")], test=[*TEST, ("text", "rare")]
    )
    assert "has label 'sport', not in data.classes" in complaint(classes=["food", "money"])
    assert "test.csv has no row with a text" in complaint(test=[("", "food")])
    assert "no column 'topic' (data.label)" in complaint(label="topic")


def test_a_delivery_that_is_too_small_or_lost_a_class_is_refused(complaint, load):
    """What keeps a run by schedule from training on it: a number of rows and the names of the classes."""
    assert load([*ROWS, ("", "food")], minimum_rows=90).rows["transfer"] > 0
    message = complaint([*ROWS, ("", "food")], minimum_rows=91)
    assert "train.csv has 90 rows with a text, fewer than data.minimum_rows, 91; is the delivery whole?" in message
    lost = [(text, label) for text, label in ROWS if label != "food"]
    assert "class 'food' has no usable row left" in complaint(lost, test=TEST, classes=list(WORDS))
    assert "has label 'food', not in train" in complaint(lost), "test tells of the class too"


def test_a_refusal_leaves_nothing_behind(complaint, bench):
    complaint(test=[("text", "unknown")])
    assert not any(bench.workspace.outputs.glob("*/*"))


def test_the_manifest_tells_what_the_data_is(load):
    data = load(labels_per_class=10)
    manifest = json.loads((data.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["facts"]["classes"] == list(data.classes)
    assert manifest["facts"]["rows"] == data.rows
    assert manifest["inputs"]["options"]["labels_per_class"] == 10
    assert "train.csv" not in json.dumps(manifest["inputs"]), "the bytes decide, not the path"


def test_texts_are_written_as_models_read_them(load):
    data = load([*ROWS, ("cafe\u0301\n  au lait", "")])
    assert "café au lait" in [text for text, _ in rows_of(data, "transfer")]


@pytest.fixture
def load_one(bench, tmp_path):
    """Loads one file, of which test is a share; other settings are the recipe's."""

    def from_rows(rows=ROWS, header=("text", "label"), test_share=0.2, **options):
        train = write_csv(tmp_path / "one.csv", rows, header)
        return bench(LoadData(Data(train=train, test_share=test_share, **options)))

    return from_rows


def test_a_test_drawn_from_train_is_a_share_of_each_class_and_nowhere_else(load_one, bench):
    rows = [*ROWS, (ROWS[0][0], ROWS[0][1]), *[("unlabelled", "")]]
    data = load_one(rows)
    test = rows_of(data, "test")
    assert Counter(label for _, label in test) == dict.fromkeys(WORDS, 6)
    assert set(test) < set(ROWS)
    for part in ("gold", "dev", "transfer"):
        assert not {text for text, _ in test} & {text for text, _ in rows_of(data, part)}
    assert data.rows["gold"] + data.rows["dev"] == 72
    assert "data.test_share: 20% of the labelled texts of data.train, in each class, are test" in bench.warnings[0]
    assert bench.warnings == list(data.warnings)


def test_a_test_drawn_from_train_hardly_moves_and_is_the_same_for_any_draw_of_labels(load_one):
    test = {text for text, _ in rows_of(load_one(), "test")}
    assert {text for text, _ in rows_of(load_one(seed=1, labels_per_class=5), "test")} == test
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    assert {text for text, _ in rows_of(load_one(shuffled), "test")} == test
    more = {text for text, _ in rows_of(load_one([*ROWS, *toy_rows(6, seed=7)]), "test")}
    assert len(test & more) >= len(test) - 3


def test_a_test_drawn_from_train_tears_no_group_apart(load_one):
    rows = [(text, label, str(number // 4)) for number, (text, label) in enumerate(ROWS)]
    loose = [(text, "", str(number)) for number, (text, _) in enumerate(toy_rows(20, seed=3))]
    data = load_one([*rows, *loose], header=("text", "label", "of"), group="of")
    group_of = {text: group for text, _, group in [*rows, *loose]}
    groups = {part: {group_of[text] for text, _ in rows_of(data, part)} for part in PARTS}
    assert groups["test"]
    for part in ("gold", "dev", "transfer"):
        assert not groups["test"] & groups[part]
    assert any("of groups that test has too" in warning for warning in data.warnings)
    [chunk] = read_chunks(data.file("test"))
    assert len(set(chunk.groups.tolist())) == len(groups["test"])


def test_a_test_drawn_from_train_leaves_texts_of_other_parts_alone_and_tells_what_it_lacks(load_one, tmp_path):
    dev = write_csv(tmp_path / "dev.csv", ROWS[:30])
    data = load_one([*ROWS, ("rare", "other"), ("rarer", "other")], dev=dev)
    assert not {text for text, _ in ROWS[:30]} & {text for text, _ in rows_of(data, "test")}
    assert "test has no row of class 'other': too few of data.train to spare 20%" in data.warnings
    with pytest.raises(StillhouseError, match=r"too few gold labels to spare 5% for test; name a file in data.test"):
        load_one(ROWS[:9], test_share=0.05)
    with pytest.raises(StillhouseError, match=r"to spare 0\.5% for test"):
        load_one(ROWS[:9], test_share=0.005)


def test_test_rows_are_a_file_or_a_share_and_a_key_knows_of_a_share_only_where_there_is_one(tmp_path):
    train = write_csv(tmp_path / "train.csv", ROWS)
    assert "test_share" not in LoadData(Data(train=train, test=train)).decided_by["options"]
    shares = [LoadData(Data(train=train, test_share=share)) for share in (0.1, 0.2)]
    assert shares[0].key != shares[1].key
    with pytest.raises(ValueError, match=r"test is missing; name a file, or keep out a fifth .* test_share: 0\.2"):
        Data(train="x")
    with pytest.raises(ValueError, match="each say what the test rows are; remove one"):
        Data(train="x", test="y", test_share=0.2)
