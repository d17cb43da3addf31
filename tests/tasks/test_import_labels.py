"""Step import_labels: a file that says something of each text is a teacher, whatever wrote it and in whatever order."""

import json

import numpy as np
import pandas as pd
import pytest

from models.calibration import log_softmax
from tasks.fuse import Fuse
from tasks.import_labels import ImportLabels, check_labels
from tasks.prepare_student import PrepareStudent, origin_of
from tasks.shared.dataset import read_chunks, read_keys, read_labels
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_teaching import Fuse as FuseOptions
from tasks.shared.recipe_teaching import Teacher
from tasks.shared.soft_labels import read_soft_labels
from tasks.shared.workspace import Workspace
from tasks.train_student import TrainStudent
from tests.bench import Bench
from tests.settled import Labelling, Student, Training
from tests.toy import toy_rows

CLASSES = ("food", "money", "sport")
COLUMNS = Data(train="-", test="-")


def texts_of(toy, *parts):
    return [text for part in parts for chunk in read_chunks(toy.data.file(part)) for text in chunk.texts]


@pytest.fixture
def frame(toy):
    """What somebody says of all texts of the toy data and of dev, in some order, and of some more."""
    random = np.random.default_rng(0)
    texts = [*texts_of(toy, "transfer", "dev"), "something else", "  "]
    said = random.dirichlet(np.ones(3), len(texts))
    found = pd.DataFrame(said, columns=[f"probability_{name}" for name in CLASSES])
    return found.assign(text=texts).sample(frac=1, random_state=1)


def step(toy, path, **options):
    return ImportLabels(toy.data, COLUMNS, Teacher(labels=str(path), **options), Labelling(), 0)


def written(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def fused(toy, bench, record):
    soft = bench(Fuse(toy.data, (record,), (record,), FuseOptions()))
    keys = read_keys(toy.data.file("transfer"))
    return dict(zip(texts_of(toy, "transfer"), read_soft_labels(soft.file, keys), strict=True))


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet"])
def test_each_text_gets_what_the_file_says_of_it(toy, bench, frame, tmp_path, name):
    record = bench(step(toy, written(frame, tmp_path / name)))
    said = fused(toy, bench, record)
    truth = frame.set_index("text")
    for text, logits in said.items():
        np.testing.assert_allclose(np.exp(log_softmax(logits[None]))[0], truth.loc[text], atol=1e-5)
    on_dev = truth.loc[texts_of(toy, "dev")].to_numpy().argmax(axis=1)
    assert record.dev_accuracy == (on_dev == read_labels(toy.data.file("dev"))).mean()
    assert np.load(record.dev_logits).shape == (len(on_dev), 3)


@pytest.mark.parametrize("prefix", ["logit_", ""])
def test_logits_and_bare_class_names_will_do(toy, bench, frame, tmp_path, prefix):
    other = frame.rename(columns=lambda name: name.replace("probability_", prefix))
    if prefix:
        other[[f"logit_{name}" for name in CLASSES]] = np.log(other[[f"logit_{name}" for name in CLASSES]]) + 5
    one, two = (
        bench(step(toy, written(each, tmp_path / f"{number}.csv"))) for number, each in enumerate((frame, other))
    )
    assert one.labeller != two.labeller
    first, second = fused(toy, bench, one), fused(toy, bench, two)
    for text in list(first)[::20]:
        np.testing.assert_allclose(log_softmax(first[text][None]), log_softmax(second[text][None]), atol=1e-4)


@pytest.mark.parametrize("name", ["hosted.jsonl", "hosted.parquet"])
def test_only_the_chosen_class_will_do(toy, bench, tmp_path, name):
    rows = dict(toy_rows(240, seed=0))
    frame = pd.DataFrame({"label": rows.values(), "text": rows.keys()})
    frame["label_of_somebody_else"] = "fish"
    record = bench(step(toy, written(frame, tmp_path / name)))
    assert record.dev_accuracy == 1.0
    for text, logits in fused(toy, bench, record).items():
        assert CLASSES[int(logits.argmax())] == rows[text]
        assert np.exp(log_softmax(logits[None])).max() == pytest.approx(0.9999)


def test_the_last_row_of_a_text_counts(toy, bench, frame, tmp_path):
    wrong = frame.assign(probability_food=1.0, probability_money=0.0, probability_sport=0.0)
    twice = pd.concat([wrong, frame])
    one, other = (
        bench(step(toy, written(each, tmp_path / f"{number}.csv"))) for number, each in enumerate((frame, twice))
    )
    first, second = fused(toy, bench, one), fused(toy, bench, other)
    assert all(np.array_equal(first[text], second[text]) for text in first)
    said = [said for said in bench.warnings if "have a text of an earlier row" in said]
    assert [one.split(": ")[2] for one in said] == [
        f"{len(frame) - 1} rows have a text of an earlier row; of each text the last row counts"
    ]


@pytest.mark.parametrize("rows", [100, 300, 450])
def test_an_import_that_is_stopped_goes_on_to_the_same_bytes(toy, frame, tmp_path, monkeypatch, rows):
    """Either reading of the file may be the one that is stopped."""
    monkeypatch.setattr("tasks.shared.label_plan.ROWS_IN_PART", 50)
    file = written(frame, tmp_path / "labels.csv")
    stores = []
    for home, stop_after in (("undisturbed", None), ("stopped", rows)):
        bench = Bench(Workspace(tmp_path / home), stop_after=stop_after)
        if stop_after:
            with pytest.raises(KeyboardInterrupt):
                bench(step(toy, file))
            bench.stop_after = None
        record = bench(step(toy, file))
        parts = bench.workspace.labels / record.store / "parts"
        stores.append({part.name: part.read_bytes() for part in parts.iterdir()})
        assert not list(bench.workspace.plans.glob("*"))
    assert stores[0] == stores[1]
    assert len(stores[0]) > 4


def test_a_file_without_dev_is_not_measured_and_dev_score_cannot_weigh_it(toy, bench, frame, tmp_path):
    transfer = frame[frame["text"].isin(texts_of(toy, "transfer"))]
    record = bench(part := step(toy, written(transfer, tmp_path / "labels.csv"), floor=0.99))
    assert record.dev_accuracy is record.dev_logits is None
    assert "not measured: it does not cover dev" in part.summary(record)
    assert any("lacks 24 of the 24 dev texts, so nothing tells whether" in said for said in bench.warnings)
    with pytest.raises(StillhouseError, match=r"teachers\.0\.floor: .* nothing can be held to a floor"):
        part.check(record)
    both = (toy.teacher, record), (toy.view, record)
    with pytest.raises(
        StillhouseError, match=r"dev-score needs a score, but the labels of teachers\.0 do not cover dev"
    ):
        toy.bench(Fuse(toy.data, *both, FuseOptions(method="dev-score")))


def test_a_text_without_a_label_is_counted(toy, bench, frame, tmp_path):
    lacking = frame[~frame["text"].isin(texts_of(toy, "transfer")[:7])]
    with pytest.raises(StillhouseError, match="says nothing of 7 of the 216 transfer texts"):
        bench(step(toy, written(lacking, tmp_path / "labels.csv")))


def test_texts_without_an_answer_are_told_and_students_leave_them_out(toy, frame, tmp_path):
    """Of a hosted model that declined to answer, each of its numbers null."""
    bench = toy.bench
    silent = [*texts_of(toy, "transfer")[:5], *texts_of(toy, "dev")[:2]]
    columns = [f"probability_{name}" for name in CLASSES]
    truth = frame.set_index("text").loc[texts_of(toy, "dev")[2:], columns].to_numpy().argmax(axis=1)
    frame.loc[frame["text"].isin(silent), columns] = np.nan
    record = bench(part := step(toy, written(frame, tmp_path / "labels.jsonl")))
    gold = read_labels(toy.data.file("dev"))
    assert (record.unanswered, record.dev_accuracy) == (5, (truth == gold[2:]).sum() / len(gold))
    assert "211 texts of the transfer set (5 more have no answer)" in part.summary(record)

    soft = bench(Fuse(toy.data, (record,), (record,), FuseOptions()))
    assert "the teacher has no answer for 5 of the 216 texts; students leave them out" in bench.warnings
    prepared = bench(
        PrepareStudent(toy.data, origin_of(str(toy.base)), Student(embedding_size=8, tokenizer=str(toy.base)))
    )
    student = toy.small(TrainStudent, prepared=prepared, labels=soft)
    learned = student.learn_from(bench.context)
    assert len(learned.labels) == 211
    whole = student.examples("transfer").encoded
    np.testing.assert_array_equal(learned.encoded.ids, whole.ids[whole.offsets[5] :])
    assert bench(student).dev_accuracy > 0

    both = bench(Fuse(toy.data, (toy.teacher, record), (toy.view, record), FuseOptions(calibrate=True)))
    logits = read_soft_labels(both.file, read_keys(toy.data.file("transfer")))
    alone = read_soft_labels(toy.labels.file, read_keys(toy.data.file("transfer")))
    assert np.isfinite(logits).all(), "the other teacher answers"
    assert both.dev_accuracy > record.dev_accuracy
    np.testing.assert_array_equal(logits[:5].argmax(-1), alone[:5].argmax(-1))


def test_labels_without_any_answer_stop_the_run(toy, bench, tmp_path):
    frame = pd.DataFrame({"text": texts_of(toy, "transfer"), "label": None})
    with pytest.raises(StillhouseError, match="has all 216 transfer texts but a label for none"):
        bench(step(toy, written(frame, tmp_path / "labels.jsonl")))


def test_a_score_below_the_floor_stops_the_run(toy, bench, frame, tmp_path):
    part = step(toy, written(frame, tmp_path / "labels.csv"), floor=0.99)
    with pytest.raises(StillhouseError, match=r"of dev right, below its floor of 99\.0%"):
        part.check(bench(part))


def test_labels_no_better_than_the_commonest_class_stop_the_run(toy, bench, tmp_path):
    frame = pd.DataFrame({"text": texts_of(toy, "transfer", "dev"), "label": "food"})
    part = step(toy, written(frame, tmp_path / "labels.csv"))
    with pytest.raises(StillhouseError, match=r"gets 33\.3% of dev right, no more than the commonest class's 33\.3%"):
        part.check(bench(part))


def test_a_student_learns_from_imported_labels_with_a_tokenizer_of_its_own(toy, bench, tmp_path):
    rows = toy_rows(240, seed=0)
    frame = pd.DataFrame([{"text": text, "label": label} for text, label in rows])
    record = bench(step(toy, written(frame, tmp_path / "labels.csv")))
    soft = bench(Fuse(toy.data, (record,), (record,), FuseOptions()))
    shape = Student(embedding_size=8, hidden_size=8, tokenizer=str(toy.base), max_length=12)
    prepared = bench(PrepareStudent(toy.data, origin_of(str(toy.base)), shape))
    assert prepared.max_length == 12
    training = Training(epochs=20, batch_size=16, learning_rate=1e-2, evaluations=2)
    student = bench(toy.small(TrainStudent, prepared=prepared, labels=soft, training=training))
    found = bench(toy.evaluate(student, teachers=(), fused=soft))
    assert found.accuracy > 0.7
    assert found.quality.loyalty is None, "what is not known of the test texts is not told"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.csv", "text,probability_food,probability_money\na,1,0\n", "no 'probability_sport'; each of the 3 classes"),
        ("l.csv", "text,food,money,sport\na,0.5,0.2,0.1\n", "line 2: its probabilities sum to 0.8"),
        ("l.csv", "text,food,money,sport\na,1.5,-0.5,0\n", "the least is -0.5"),
        ("l.csv", "text,logit_food,logit_money,logit_sport\na,1,x,2\n", "'logit_money' is 'x', not a finite number"),
        ("l.csv", "text,logit_food,logit_money,logit_sport\na,1,inf,2\n", "not a finite number"),
        (
            "l.csv",
            "text,label\na,fish\n",
            "line 2: 'fish' is no class of the data ('food', 'money', 'sport'); so in 1 of the first 100",
        ),
        ("l.csv", "text,verdict\na,food\n", "no columns 'probability_food', 'logit_food' or 'food' and so on"),
        ("l.csv", "text,food,food,money,sport\na,1,0,0,0\n", "more than one column 'food'"),
        ("l.csv", "text,label\n" + "a" * (1 << 20) + "b,food\n", "a text of 1,048,577 bytes, more than 1,048,576"),
        ("l.csv", "body,label\na,food\n", "no column 'text'"),
        ("l.csv", "text,label\na\n", "line 2: 1 column where the first line has 2"),
        ("l.csv", "text,label\n", "has no rows"),
        ("l.jsonl", '{"text": "a", "label": "food"}\n{"text": 3, "label": "food"}\n', "line 2: 'text' is 3, not text"),
        ("l.jsonl", '{"text": "a", "label"\n', "line 1: not valid JSON"),
        ("l.jsonl", '{"text": "a", "food": true, "money": 0, "sport": 0}\n', "'food' is True, not a finite number"),
        (
            "l.jsonl",
            '{"text": "a", "food": 1, "money": 0, "sport": 0}\n{"text": "b", "money": 1}\n',
            "'food' is None, not a",
        ),
        ("l.jsonl", '{"text": "\\ud800", "label": "food"}\n', "half of a surrogate pair"),
        ("l.csv", "text,logit_food,logit_money,logit_sport\na,1,1e300,2\n", "a number is too large"),
        ("l.parquet", "PAR1", "broken or cut off, or not Parquet"),
        ("l.xlsx", "", "is of an unknown kind '.xlsx'; save the sheet as CSV"),
    ],
)
def test_a_file_that_says_nothing_clear_is_refused_before_a_run(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(StillhouseError) as caught:
        check_labels(COLUMNS, str(tmp_path / name), CLASSES, "teachers.0.labels")
    assert said in str(caught.value)
    assert str(caught.value).startswith("teachers.0.labels: ")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(StillhouseError, match=r"teachers.0.labels: no file .*gone.csv"):
        check_labels(COLUMNS, str(tmp_path / "gone.csv"), CLASSES, "teachers.0.labels")


@pytest.mark.parametrize("name", ["a" * 300 + ".csv", "~nobody-of-that-name/a.csv"])
def test_a_name_that_can_be_no_file_is_one_line(name):
    with pytest.raises(StillhouseError, match=r"teachers\.0\.labels: .* can be no file"):
        check_labels(COLUMNS, name, CLASSES, "teachers.0.labels")


def test_what_decides(toy, frame, tmp_path):
    one = step(toy, written(frame, tmp_path / "one.csv"))
    assert step(toy, written(frame, tmp_path / "same.csv")).key == one.key
    assert step(toy, written(frame[::-1], tmp_path / "other.csv")).key != one.key
    assert json.dumps(one.decided_by)


def test_another_column_of_the_same_file_is_another_labeller(toy, bench, tmp_path):
    rows = toy_rows(240, seed=0)
    frame = pd.DataFrame([{"text": text, "one": label, "other": "food"} for text, label in rows])
    file = written(frame, tmp_path / "two.csv")
    one, other = (
        bench(ImportLabels(toy.data, Data(train="-", test="-", label=name), Teacher(labels=str(file)), Labelling(), 0))
        for name in ("one", "other")
    )
    assert one.dev_accuracy == 1.0
    assert other.dev_accuracy < 0.5
