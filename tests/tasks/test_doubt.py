"""Gold labels that a teacher contradicts which did not learn them: real fine-tuned teachers of toy texts."""

import csv

import pytest

from tasks.disturb import Disturb
from tasks.doubt import Doubt
from tasks.evaluate import Evaluate
from tasks.fold_gold import FoldGold
from tasks.load_data import LoadData
from tasks.shared.dataset import read_keys, read_labels
from tasks.shared.recipe_data import Data
from tasks.train_teacher import TrainTeacher
from tests.bench import Bench
from tests.settled import Robustness, Teacher
from tests.toy import toy_rows, write_csv

WRONG = 6


@pytest.fixture(scope="module")
def found(toy, tmp_path_factory):
    """The doubts of data in which some labels are wrong, by part and text, and those labels."""
    from tasks.shared.workspace import Workspace

    folder = tmp_path_factory.mktemp("doubts")
    rows = toy_rows(180, seed=0)
    names = sorted({label for _, label in rows})
    planted = {text: names[(names.index(label) + 1) % 3] for text, label in rows[:WRONG]}
    train = [(text, planted.get(text, label)) for text, label in rows]
    test = toy_rows(60, seed=1)
    files = {"train": write_csv(folder / "train.csv", train), "test": write_csv(folder / "test.csv", test)}
    bench = Bench(Workspace(folder / "home"))
    data = bench(LoadData(Data(**files)))
    options = Teacher(model=str(toy.base), epochs=8, learning_rate=3e-3, batch_size=8, max_length=16)
    teacher = bench(TrainTeacher(data, options, 0))
    how = Robustness(texts=0)
    score = bench(Evaluate(data, teacher, bench(Disturb(data, how)), how))
    folded = bench(FoldGold(data, 3))
    teachers = tuple(bench(TrainTeacher(fold, options, 0)) for fold in folded.folds)
    record = bench(Doubt(data, teacher, folded, teachers, score))
    with record.file.open(encoding="utf-8", newline="") as file:
        return data, record, list(csv.DictReader(file)), planted


def test_wrong_labels_are_found_with_what_they_should_be(found):
    _, _, rows, planted = found
    true = dict(toy_rows(180, seed=0))
    hits = [row for row in rows if row["text"] in planted]
    assert len(hits) >= WRONG - 2, "one of them may be in dev, and one may be hard"
    assert all(row["label"] == planted[row["text"]] for row in hits)
    assert sum(row["suggested"] == true[row["text"]] for row in hits) >= len(hits) - 1, "a tiny teacher may err once"
    assert len(rows) <= 24, "few that are right are doubted, of 240"
    surest = [float(row["probability"]) - float(row["label_probability"]) for row in rows]
    assert surest == sorted(surest, reverse=True), "the surest first"


def test_the_counts_are_those_of_the_table_and_of_all_rows(found):
    data, record, rows, _ = found
    assert {part: count for part, (count, _) in record.counts.items()} == {
        part: sum(row["part"] == part for row in rows) for part in ("train", "dev", "test")
    }
    assert [total for _, total in record.counts.values()] == [data.rows[part] for part in ("gold", "dev", "test")]


def test_every_gold_row_is_in_one_fold_and_no_teacher_learns_what_it_judges(toy):
    folded = toy.bench(FoldGold(toy.data, 4))
    held = [read_keys(fold.file("dev")).tolist() for fold in folded.folds]
    gold = read_keys(toy.data.file("gold")).tolist()
    assert sorted(key for keys in held for key in keys) == sorted(gold)
    for fold, keys in zip(folded.folds, held, strict=True):
        learnt = read_keys(fold.file("gold")).tolist()
        assert not set(learnt) & set(keys)
        assert sorted(learnt + keys) == sorted(gold)
        assert fold.rows["gold"] == len(learnt) == len(read_labels(fold.file("gold")))
    assert len({fold.digests["gold"] for fold in folded.folds}) == 4
