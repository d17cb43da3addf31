"""Files of soft labels: what `predict` writes, rows that say nothing, other spellings, and how the file is written."""

import bz2
import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.predict_output import Answer, best, write_answers
from models.calibration import log_softmax
from tasks.shared.errors import StillhouseError
from tasks.shared.labels_file import LabelsFile
from tasks.shared.recipe_data import Data
from tasks.shared.texts import text_key
from tests.sources import write_csv, write_jsonl, write_parquet

pytestmark = pytest.mark.usefixtures("folder")

CLASSES = ["food", "money", "sport"]
SAID = {"soup": [0.7, 0.2, 0.1], "bank": [0.05, 0.9, 0.05], "goal": [0.0, 0.25, 0.75]}


def file(path, names=CLASSES, **data):
    return LabelsFile(Path(path), Data(train="-", test="-", **data), names, "teachers.0.labels")


def said(path, texts=SAID, **options):
    """What a file says of each text, and what is told."""
    opened = file(path, **options)
    rows = dict(opened.rows())
    return {
        text: np.exp(log_softmax(rows[text_key(text)][None]))[0] for text in texts if text_key(text) in rows
    }, opened.told


def agrees(found, expected=SAID):
    assert found.keys() == expected.keys()
    for text, probabilities in expected.items():
        np.testing.assert_allclose(found[text], probabilities, atol=1e-5)


def refused(path, **options):
    with pytest.raises(StillhouseError) as caught:
        list(file(path, **options).rows())
    assert str(caught.value).isprintable()
    return str(caught.value)


def predicted(path, top=None, column="text"):
    answers = []
    for text, scores in SAID.items():
        named = dict(zip(CLASSES, scores, strict=True))
        answers.append(Answer(text, {column: text, "label": "sport"}, best(named, top) if top else named))
    write_answers(Path(path), [*answers, Answer("", {column: "", "label": None}, {})], top or 1, {})
    return path


def test_json_lines_of_predict_keep_their_probabilities_whatever_the_column_of_texts_is_called():
    for data in ({}, {"text": "review", "label": "stars"}):
        found, told = said(predicted("p.jsonl"), **data)
        agrees(found)
        assert told == []
    write_parquet(
        "p.parquet", text=[*SAID], label=["food"] * 3, probabilities=[{"food": 1.0, "money": 0.0, "sport": 0.0}] * 3
    )
    agrees(said("p.parquet")[0], {text: [1.0, 0.0, 0.0] for text in SAID})


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.parquet"])
def test_of_the_best_classes_of_predict_the_others_share_what_is_left(name):
    agrees(
        said(predicted(name, top=1))[0],
        {"soup": [0.7, 0.15, 0.15], "bank": [0.05, 0.9, 0.05], "goal": [0.125, 0.125, 0.75]},
    )
    agrees(said(predicted(name, top=2))[0])


@pytest.mark.parametrize("first", [{"label": None, "probabilities": None}, {}, {"label": "food"}])
def test_a_first_row_that_says_little_does_not_decide_how_the_others_are_read(first):
    named = [{"text": text, "probabilities": dict(zip(CLASSES, scores, strict=True))} for text, scores in SAID.items()]
    write_jsonl("h.jsonl", [{"text": "declined", **first}, *named])
    agrees({text: scores for text, scores in said("h.jsonl", [*SAID, "declined"])[0].items() if text != "declined"})
    columns = [
        {"text": text, **{f"probability_{name}": score for name, score in zip(CLASSES, scores, strict=True)}}
        for text, scores in SAID.items()
    ]
    write_jsonl("c.jsonl", [{"text": "declined"}, *columns])
    agrees(said("c.jsonl", [*SAID, "declined"])[0])


def test_classes_that_are_numbers_stay_such_in_a_table_of_predict():
    write_parquet("p.parquet", text=["soup", "bank"], predicted=[1, 0], probability=[0.9, 0.6])
    agrees(said("p.parquet", ["soup", "bank"], names=["0", "1"])[0], {"soup": [0.1, 0.9], "bank": [0.6, 0.4]})


def test_columns_that_are_not_needed_may_have_no_name_and_odd_values_are_one_line():
    Path("l.csv").write_text("text,label,,\nsoup,food,,\n", encoding="utf-8")
    assert list(said("l.csv")[0]) == ["soup"]
    when = pa.array([2**52], pa.timestamp("ms"))
    pq.write_table(pa.table({"text": ["soup"], "label": ["food"], "when": when}), "l.parquet")
    assert "l.parquet: holds a value that cannot be read (" in refused("l.parquet")


def test_the_second_probability_of_predict_is_not_that_of_a_class_called_2():
    columns = ("text", "predicted", "probability", "predicted_2", "probability_2")
    write_csv("p.csv", [columns, ("soup", "2", 0.7, "1", 0.2), ("bank", "3", 0.5, "2", 0.5)])
    agrees(said("p.csv", names=["1", "2", "3"])[0], {"soup": [0.2, 0.7, 0.1], "bank": [0.0, 0.5, 0.5]})


def test_rows_without_a_label_are_skipped_and_other_spellings_are_read_and_both_are_told():
    rows = [
        ("soup", "Food"),
        ("bank", "money "),
        ("goal", "SPORT"),
        ("a", None),
        ("b", ""),
        ("c", "nan"),
        ("d", "Food"),
    ]
    write_jsonl("h.jsonl", [{"text": text, "label": label} for text, label in rows] + [{"text": "e"}])
    write_csv("h.csv", [("text", "label"), *rows, ("e", "")])
    for path in ("h.jsonl", "h.csv"):
        found, told = said(path, [*SAID, "a", "b", "c", "d", "e"])
        assert {text: CLASSES[scores.argmax()] for text, scores in found.items()} == {
            "soup": "food",
            "bank": "money",
            "goal": "sport",
            "d": "food",
        }
        assert told == [
            f"teachers.0.labels: {path}: 4 rows without a label skipped",
            f"teachers.0.labels: {path}: read 'Food' as class 'food' (2 rows), 'SPORT' as class 'sport' (1 rows)",
        ]
    write_csv(
        "n.csv",
        [
            ("text", "probability_Food", "probability_money", "probability_sport"),
            ("a", "", "", ""),
            ("soup", *SAID["soup"]),
        ],
    )
    found, told = said("n.csv", [*SAID, "a"])
    agrees(found, {"soup": SAID["soup"]})
    assert told == ["teachers.0.labels: n.csv: 1 row without a label skipped"]


def test_a_class_that_the_data_lacks_is_refused_with_how_many_rows_have_one():
    labels = ["food", "fish", "sport", "fowl", "fish"]
    write_jsonl("h.jsonl", [{"text": f"t{number}", "label": label} for number, label in enumerate(labels)])
    assert refused("h.jsonl") == (
        "teachers.0.labels: h.jsonl line 2: 'fish' is no class of the data ('food', 'money', 'sport'); so in 3 rows; "
        "have them labelled with these classes, or leave them out"
    )
    write_csv("h.csv", [("text", "label"), ("t", "Food")])
    assert "'Food' is no class of the data" in refused("h.csv", names=["food", "FOOD"]), "it could be either"
    write_jsonl("p.jsonl", [{"text": "soup", "label": "food", "probabilities": {"sure": 0.9}}])
    agrees(said("p.jsonl")[0], {"soup": [0.9999, 0.00005, 0.00005]})
    write_jsonl("p.jsonl", [{"text": "t", "label": "food", "probabilities": {"food": 0.5, "fish": 0.5}}])
    assert "'fish' is no class of the data" in refused("p.jsonl")


def test_numbers_are_positions_only_where_the_recipe_gives_the_classes():
    write_csv("h.csv", [("text", "label"), ("soup", "0.0"), ("goal", "2")])
    found, told = said("h.csv", classes=CLASSES)
    assert {text: CLASSES[scores.argmax()] for text, scores in found.items()} == {"soup": "food", "goal": "sport"}
    assert told == ["teachers.0.labels: h.csv: read '0.0' as class 'food' (1 rows), '2' as class 'sport' (1 rows)"]
    assert "'0.0' is no class of the data" in refused("h.csv")
    write_csv("h.csv", [("text", "label"), ("soup", "1.0"), ("goal", "3")])
    found, _ = said("h.csv", names=["1", "2", "3"])
    assert [scores.argmax() for scores in found.values()] == [0, 2]


def table(separator=",", header=True, names=("text", "label")):
    rows = [names] * header + [("crème brûlée", "food"), ("écu", "money")]
    return "".join(f"{text}{separator}{label}\n" for text, label in rows)


@pytest.mark.parametrize(
    ("name", "content", "data"),
    [
        ("h.csv", table(";").encode(), {}),
        ("h.csv", table(";").encode("cp1252"), {"separator": ";", "encoding": "cp1252"}),
        ("h.csv", table().encode(), {"separator": ";", "encoding": "cp1252"}),
        ("h.csv", table().encode("utf-16"), {}),
        ("h.csv", table("^").encode("gbk", "ignore"), {"separator": "^", "encoding": "gbk"}),
        ("h.csv", table(header=False).encode(), {"header": False, "text": "0", "label": "1"}),
        ("h.csv", table().encode(), {"header": False, "text": "0", "label": "1"}),
        ("h.csv.gz", gzip.compress(table().encode("cp1252"), mtime=0), {"encoding": "cp1252"}),
        ("h.csv.bz2", bz2.compress(table().encode()), {"encoding": "cp1252"}),
        ("h.tsv", table("\t").encode(), {"text": "body"}),
    ],
)
def test_the_file_is_read_as_those_of_the_data_and_ours_whatever_the_data_is_written_like(name, content, data):
    Path(name).write_bytes(content)
    texts = ["crème brûlée", "écu"]
    if data.get("encoding") == "gbk":
        texts = [text.encode("gbk", "ignore").decode("gbk") for text in texts]
    found, _ = said(name, texts, **data)
    assert [CLASSES[found[text].argmax()] for text in texts] == ["food", "money"]
