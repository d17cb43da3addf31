"""Texts that are of documents, authors or templates: a group is never in two parts, and is one example."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.judge import Judge
from tasks.load_data import LoadData
from tasks.shared.allotment import LEFT, TO_DEV, TO_GOLD, allot
from tasks.shared.dataset import SCHEMA, read_chunks, read_keys
from tasks.shared.errors import StillhouseError
from tasks.shared.predictions import read_predictions
from tasks.shared.recipe_data import Data
from tasks.shared.texts import group_key
from tasks.train_student import TrainStudent
from tasks.train_twin import TrainTwin
from tests.sources import complaint as reading_says
from tests.sources import read, sources, write_jsonl, write_parquet
from tests.toy import toy_rows, write_csv

HEADER = ("text", "label", "doc")
MORE = {"dev", "gate"}


def in_documents(count, seed, size=5, prefix="d"):
    """Rows of documents of so many, each of several classes."""
    return [(text, label, f"{prefix}{number // size}") for number, (text, label) in enumerate(toy_rows(count, seed))]


TRAIN, TEST = in_documents(300, 0), in_documents(60, 1, prefix="t")


@pytest.fixture
def load(bench, tmp_path):
    """Loads rows given as lists, of documents unless said otherwise."""

    def from_rows(train=TRAIN, test=TEST, header=HEADER, unlabelled=(), group="doc", **options):
        paths = {"train": write_csv(tmp_path / "train.csv", train, header)}
        paths["test"] = write_csv(tmp_path / "test.csv", test, HEADER[: len(test[0])])
        paths |= {part: write_csv(tmp_path / f"{part}.csv", options.pop(part), HEADER) for part in MORE & set(options)}
        if "tests" in options:
            options["tests"] = {"far": write_csv(tmp_path / "far.csv", options["tests"], HEADER)}
        if unlabelled:
            options["unlabelled"] = [
                write_csv(tmp_path / "more.csv", unlabelled, ("text", "doc")[: len(unlabelled[0])])
            ]
        return bench(LoadData(Data(**paths, group=group, **options)))

    return from_rows


def documents(data, rows):
    """The documents in each part."""
    of = {text: (doc[0] if doc else text) for text, *doc in ((row[0], *row[2:]) for row in rows)}
    return {
        part: {of[text] for chunk in read_chunks(data.file(part)) for text in chunk.texts if text in of}
        for part in data.rows
    }


@pytest.mark.parametrize("kept", [None, 20])
def test_a_group_is_never_in_two_parts(load, bench, kept):
    rows = [*TRAIN, *((f"{text} more", "", doc) for text, _, doc in TRAIN[::3])]
    data = load(rows, labels_per_class=kept)
    found = documents(data, rows)
    assert found["dev"]
    assert found["dev"].isdisjoint(found["transfer"]), "gold is a part of transfer"
    assert found["gold"] <= found["transfer"]
    [told] = [warning for warning in bench.warnings if "went to dev" in warning]
    assert told.endswith("texts of train or unlabelled are of groups that went to dev; learning leaves them out")
    labelled = {text for text, label, _ in rows if label}
    in_gold = {text for chunk in read_chunks(data.file("gold")) for text in chunk.texts}
    whole = {text for text, _, doc in rows if doc in found["gold"]} & labelled
    assert in_gold == whole


def test_the_draw_by_groups_is_close_to_what_is_asked_for_and_says_what_came_out(load, bench):
    data = load(labels_per_class=30)
    assert 0.7 * 18 <= data.rows["dev"] <= 1.3 * 18
    assert 0.85 * 72 <= data.rows["gold"] <= 1.15 * 72
    told = [warning for warning in bench.warnings if warning.startswith("groups stay whole: ")]
    assert 1 <= len(told) <= 2
    assert "instead of" in told[0]
    exact = load([(text, label, "") for text, label, _ in TRAIN], labels_per_class=30)
    assert (exact.rows["dev"], exact.rows["gold"]) == (18, 72), "rows that are of nothing are dealt out exactly"


def test_rows_without_a_group_are_drawn_as_if_there_were_none(load):
    rows = [(text, label, "") for text, label, _ in TRAIN]
    grouped, plain = load(rows, labels_per_class=20), load(rows, labels_per_class=20, group=None)
    for part in ("gold", "dev", "transfer"):
        assert grouped.digests[part] == plain.digests[part]
        assert grouped.file(part).read_bytes() == plain.file(part).read_bytes()


@pytest.mark.parametrize("part", ["test", "dev", "gate", "tests"])
def test_rows_of_groups_that_other_parts_have_are_left_out_counted_and_warned_of(load, bench, part):
    held = [("an odd text", "food", "d3"), ("another", "food", "e"), ("third", "food", "")]
    data = load(**{part: held}, unlabelled=[("free", "f"), ("of three", "d3")])
    name = {"tests": "test-far"}.get(part, part)
    assert (
        f"6 texts of train or unlabelled are of groups that {name} has too; learning leaves them out" in bench.warnings
    )
    learnt = {
        text for one in ("gold", "dev", "transfer") for chunk in read_chunks(data.file(one)) for text in chunk.texts
    }
    assert learnt.isdisjoint({text for text, _, doc in TRAIN if doc == "d3"} | {"of three"})
    assert "free" in learnt


def test_what_is_chosen_on_rows_of_groups_of_test_is_warned_of(load, bench):
    load(dev=[(f"text {number}", "food", "t1") for number in range(4)])
    told = "4 rows of dev are of groups that test has too, so what is chosen on dev has seen a part of test"
    assert told in bench.warnings


def test_unlabelled_files_may_lack_the_column_and_labelled_ones_not(load, tmp_path):
    assert load(unlabelled=[("alone",)]).rows["transfer"] > 0
    for train, test, where in ((TRAIN, [row[:2] for row in TEST], "test"), ([row[:2] for row in TRAIN], TEST, "train")):
        with pytest.raises(StillhouseError) as caught:
            load(train, test, header=HEADER[: len(train[0])])
        file = tmp_path / f"{where}.csv"
        assert str(caught.value) == (
            f"data.{where}: {file}: no column 'doc' (data.group); there is 'text', 'label'; "
            "set data.group to one of them"
        )


def test_parts_that_are_reported_on_carry_the_group_and_others_do_not(load):
    data = load(tests=[("far away", "food", ""), ("farther", "food", "f")])
    [chunk] = read_chunks(data.file("test"))
    assert set(chunk.groups.tolist()) == {group_key(doc).rstrip(b"\0") for *_, doc in TEST}
    [far] = read_chunks(data.file("test-far"))
    assert far.groups[0] == far.keys[0] != far.groups[1]
    for part in ("gold", "dev", "transfer"):
        assert pq.read_schema(data.file(part)).names == SCHEMA.names


def test_without_groups_keys_digests_and_files_are_those_from_before_there_were_any(bench, tmp_path):
    """Outputs of older runs stay good."""
    paths = {
        part: write_csv(tmp_path / f"{part}.csv", toy_rows(count, seed))
        for part, count, seed in (("train", 240, 0), ("test", 60, 1))
    }
    step = LoadData(Data(**paths, labels_per_class=40))
    assert step.key == KEY_BEFORE
    data = bench(step)
    assert data.digests == DIGESTS_BEFORE
    assert pq.read_schema(data.file("test")).names == SCHEMA.names
    assert (
        replace(step, data=Data(**paths, labels_per_class=40, group="label2")).inputs()["options"]["group"] == "label2"
    )


KEY_BEFORE = "72b3379878c2d716320f7f626066b4ed5e76c4019943b792f90721518d744c73"
DIGESTS_BEFORE = {
    "gold": "ec11395227acfbc82c75613771d8e5563431ae78eb7a5b5c790ff27a1534df80",
    "dev": "8ccc2480139b5a5743e99045acaee3da5e4b59fa846e74f528c3c0ee4200cd39",
    "test": "a65da70ecdc2dcba06566dffaf7be4454aec5cdab933208f1c87300b1cd93868",
    "transfer": "7f91e9b230ed6ca131dde5a11b27c162262db5b8660293cafad48500ecdc76ac",
}


def test_texts_in_several_groups_are_told(load, bench):
    load(test=[("one text", "food", "a"), ("one text", "food", "b"), ("other", "food", "c")])
    assert "1 texts of test are in several groups, which count as one group" in bench.warnings


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=4, max_size=30),
    classes=st.integers(2, 4),
    kept=st.none() | st.integers(3, 30),
    seed=st.integers(0, 3),
)
def test_groups_go_whole_and_gold_has_something_of_each_class(sizes, classes, kept, seed):
    groups = np.array([group_key(str(number)) for number in np.repeat(np.arange(len(sizes)), sizes)])
    labels = np.random.default_rng(seed).integers(0, classes, len(groups)).astype(np.int32)
    there = Counter(labels.tolist())
    wanted = {number: min(count, kept or count) for number, count in there.items()}
    dev = {number: round(count / 5) for number, count in wanted.items()}
    places = allot(groups, labels, dev, wanted, seed)
    for group in set(groups.tolist()):
        assert len(set(places[groups == group].tolist())) == 1
    assert {number for number in there if (labels[places == TO_GOLD] == number).any()} == set(there)
    if kept is None:
        assert not (places == LEFT).any()
    order = np.random.default_rng(seed).permutation(len(groups))
    assert (allot(groups[order], labels[order], dev, wanted, seed) == places[order]).all()


def test_a_group_too_large_for_dev_or_gold_goes_there_rather_than_none():
    groups = np.array([group_key(str(number // 50)) for number in range(150)])
    labels = np.tile(np.arange(2, dtype=np.int32), 75)
    places = allot(groups, labels, {0: 2, 1: 2}, {0: 10, 1: 10}, seed=0)
    assert [int((places == place).sum()) for place in (LEFT, TO_DEV, TO_GOLD)] == [50, 50, 50]
    alone = allot(groups[:50], labels[:50], {0: 2, 1: 2}, {0: 10, 1: 10}, seed=0)
    assert not (alone == TO_DEV).any(), "gold would have nothing"


@pytest.mark.usefixtures("folder")
def test_groups_are_read_from_every_kind_of_file():
    rows = [("a", "x", "7"), ("b", "y", None)]
    write_csv(Path("a.csv"), rows, HEADER)
    write_jsonl("a.jsonl", [{"text": "a", "label": "x", "doc": 7}, {"text": "b", "label": "y"}])
    write_parquet("a.parquet", text=["a", "b"], label=["x", "y"], doc=[7.0, None])
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert [(row.text, row.label, row.group) for row in read(name, group="doc")] == rows
        assert [row.group for row in read(name, group="doc", labelled=False)] == ["7", None]
        assert [row.group for row in read(name, group="other", labelled=False)] == [None, None]
        assert [row.group for row in read(name)] == [None, None]
        assert "no column 'dok' (data.group)" in reading_says(name, group="dok")
    Path("a.txt").write_text("a\n")
    assert [row.group for row in read("a.txt", group="doc", labelled=False)] == [None]
    write_jsonl("b.jsonl", [{"text": "a", "label": "x", "doc": ["odd", "even"]}])
    assert (
        "the group is a list; a text has one group: choose one of the 2, or name another column (data.group)"
        in reading_says("b.jsonl", group="doc")
    )


@pytest.mark.usefixtures("folder")
def test_groups_of_a_hub_data_set():
    pytest.importorskip("datasets")
    Path("acme/news").mkdir(parents=True)
    write_csv(Path("acme/news/train.csv"), [("a", "x", "7"), ("b", "y", "8")], HEADER)
    assert [row.group for row in read("hub:acme/news", group="doc")] == ["7", "8"]
    assert [row.group for row in read("hub:acme/news", group="dok", labelled=False)] == [None, None]
    [grouped], [plain] = sources("hub:acme/news", group="doc"), sources("hub:acme/news")
    assert plain.digest() == HUB_BEFORE, "as before there were groups"
    assert grouped.digest() != plain.digest()


HUB_BEFORE = "8ca19f551db241e1a1092b6f86fa75a1de9640965861588bc3bb05aa59164112"


def test_a_sample_has_no_groups():
    assert reading_says("sample:r8/train", group="doc").endswith(
        "does not say what its texts are of; remove data.group"
    )


def test_groups_are_the_examples_of_a_whole_run(toy, tmp_path):
    """From the column to the verdict, the noise and the further tests."""
    rows = {
        part: [(*row, f"{part}{number // 6}") for number, row in enumerate(toy_rows(count, seed=seed))]
        for part, count, seed in (("train", 240, 0), ("test", 60, 1), ("far", 30, 7))
    }
    paths = {part: write_csv(tmp_path / f"{part}.csv", found, HEADER) for part, found in rows.items()}
    grouped = Data(train=paths["train"], test=paths["test"], tests={"far": paths["far"]}, group="doc")
    data = toy.bench(LoadData(grouped))
    scores = [toy.bench(toy.evaluate(toy.teacher, data))]
    for step in (TrainStudent, TrainTwin):
        scores += [toy.bench(toy.evaluate(toy.bench(toy.small(step, seed)), data)) for seed in (0, 1)]
    said = read_predictions(scores[1].path / "predictions-test.parquet")
    assert said.clusters().sizes.tolist() == [6] * 10
    assert len(said.keys) == len(read_keys(data.file("test")))
    result = toy.bench(Judge((tuple(scores),), (toy.labels,), 0.005)).result
    verdict = result["verdict"]
    assert (verdict["examples"], verdict["rows"], verdict["example"]) == (10, 60, "group")
    assert verdict["sentence"].endswith("10 groups in 60 rows)")
    assert verdict["difference"] == pytest.approx(
        (scores[1].accuracy + scores[2].accuracy - scores[3].accuracy - scores[4].accuracy) / 2
    )
    assert {one["drop"]["student"]["examples"] for one in result["robustness"]} <= set(range(1, 11))
    [far] = result["tests"]
    assert (far["verdict"]["examples"], far["verdict"]["rows"]) == (5, 30)
    assert far["drop"]["student"]["examples"] == 5
