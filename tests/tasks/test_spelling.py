"""Labels as files spell them: CSV, TSV, JSON lines and Parquet agree, and what is read otherwise is told."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.load_data import LoadData
from tasks.shared.dataset import read_chunks
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import Output
from tasks.shared.recipe_data import Data
from tasks.shared.workspace import Workspace
from tests.bench import Bench
from tests.sources import pairs_of, read, write_csv, write_jsonl, write_parquet

pytestmark = pytest.mark.usefixtures("folder")


def rows(labels, times=6, word="text"):
    return [(f"{word} {number} {label}", label) for label in labels for number in range(times)]


def csv_of(path, labels, **options):
    write_csv(path, [("text", "label"), *rows(labels, **options)])
    return path


def step(train="train.csv", test="test.csv", **options):
    return LoadData(Data(train=train, test=test, **options))


def found(*arguments, **options):
    """Classes and what is told."""
    checked = step(*arguments, **options).check_sources()
    return list(checked.classes), [said for said in checked.found if "test_share" not in said]


def complaint(*arguments, **options):
    with pytest.raises(StillhouseError) as caught:
        found(*arguments, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_numbers_that_pandas_wrote_as_floats_are_the_classes_that_parquet_and_json_have():
    numbers = [0, 1, 2, 10, 11]
    csv_of("train.csv", [f"{number}.0" for number in numbers])
    write_jsonl("test.jsonl", [{"text": text, "label": float(label)} for text, label in rows(numbers, word="other")])
    texts, labels = zip(*rows(numbers, word="third"), strict=True)
    write_parquet("far.parquet", text=texts, label=pa.array(labels, pa.float64()))
    names, told = found(test="test.jsonl", tests={"far": "far.parquet"})
    assert names == ["0", "1", "2", "10", "11"]
    assert told == [
        "data.train: train.csv: read label '0.0' as '0', '1.0' as '1', '2.0' as '2', '10.0' as '10', '11.0' as '11'"
    ]
    assert found("test.jsonl", "train.csv")[0] == names
    csv_of("both.csv", ["0", "0.0", "1.0"])
    csv_of("small.csv", ["0", "1"], word="other")
    assert found("both.csv", "small.csv")[0] == ["0", "1"]


@pytest.mark.parametrize("spelt", [("True", "False"), ("TRUE", "FALSE"), ("true", "False")])
def test_booleans_are_the_classes_that_parquet_and_json_have(spelt):
    csv_of("train.csv", spelt)
    texts, labels = zip(*rows([True, False], word="other"), strict=True)
    write_parquet("test.parquet", text=texts, label=labels)
    assert found(test="test.parquet")[0] == ["false", "true"]
    assert found("test.parquet", "train.csv")[0] == ["false", "true"]


@pytest.mark.parametrize("labels", [["1.0", "2.5"], ["1.0", "v2"], ["True", "maybe"], ["01", "1"], ["1", "1.5"]])
def test_beside_names_numbers_and_booleans_are_names(labels):
    csv_of("train.csv", labels)
    csv_of("test.csv", labels, word="other")
    names, told = found()
    assert sorted(names) == sorted(labels)
    assert told == []


def test_classes_of_parquet_that_the_datasets_library_wrote_have_their_names():
    feature = {"label": {"names": ["ham", "spam "], "_type": "ClassLabel"}, "text": {"dtype": "string"}}
    table = pa.table({"text": ["a", "b", "c", "d"], "label": pa.array([1, 0, -1, None])})
    head = {"huggingface": json.dumps({"info": {"features": feature}})}
    pq.write_table(table.replace_schema_metadata(head), "a.parquet")
    assert pairs_of(read("a.parquet")) == [("a", "spam"), ("b", "ham"), ("c", None), ("d", None)]
    for odd in ("", "[", '{"info": []}', '{"info": {"features": {"label": {"names": [1, 2]}}}}'):
        pq.write_table(table.replace_schema_metadata({"huggingface": odd}), "b.parquet")
        assert [row.label for row in read("b.parquet")] == ["1", "0", "-1", None]


def test_a_class_that_a_parquet_file_names_like_a_missing_value_stays_a_class():
    texts, labels = zip(*rows([0, 1]), strict=True)
    head = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["None", "toxic"]}}}})}
    pq.write_table(pa.table({"text": texts, "label": labels}).replace_schema_metadata(head), "train.parquet")
    csv_of("test.csv", ["None", "toxic"], word="other")
    assert found("train.parquet") == (["None", "toxic"], [])
    bench = Bench(Workspace(Path("home")))
    assert bench(step("train.parquet")).classes == ("None", "toxic")
    assert bench(step("train.parquet")).classes == ("None", "toxic")
    assert len(bench.made) == 1


def test_the_recipes_names_go_before_those_of_a_parquet_file():
    def write(path, word):
        texts, labels = zip(*rows([0, 1], word=word), strict=True)
        head = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["neg", "pos"]}}}})}
        pq.write_table(pa.table({"text": texts, "label": labels}).replace_schema_metadata(head), path)

    write("train.parquet", "text")
    write("test.parquet", "other")
    files = ("train.parquet", "test.parquet")
    assert found(*files)[0] == ["neg", "pos"]
    for names in (["negative", "positive"], ["pos", "neg"]):
        data = Bench(Workspace(Path("home", names[0])))(step(*files, classes=names))
        [chunk] = read_chunks(data.file("test"))
        meant = {text: names[number] for text, number in zip(chunk.texts, chunk.labels.tolist(), strict=True)}
        assert meant["other 0 0"][:3] == "neg"
        assert meant["other 0 1"][:3] == "pos"
    assert "class_names" in step(*files).inputs()


def test_column_names_that_come_again_are_left_out_and_told():
    csv_of("train.csv", ["x", "y"])
    with Path("train.csv").open("a", encoding="utf-8") as file:
        file.write("text,label\nanother,x\ntext, label\nthe text,label x\n" + "more,label x\n" * 2)
    csv_of("test.csv", ["x", "y"], word="other")
    names, told = found()
    assert names == ["label x", "x", "y"]
    assert told == ["train.csv line 14: the column names again, in 2 rows; left out"]
    bench = Bench(Workspace(Path("home")))
    assert bench(step()).rows["transfer"] + bench(step()).rows["dev"] == 12 + 3
    assert told[0] in bench.warnings


def test_labels_that_differ_in_blanks_and_unicode_form_are_one_class():
    csv_of("train.csv", ["caf\u00e9 au lait", "cafe\u0301 au lait", " caf\u00e9  au\u00a0lait ", "tea"])
    write_jsonl("test.jsonl", [{"text": "other", "label": "tea\n"}])
    assert found(test="test.jsonl") == (["caf\u00e9 au lait", "tea"], [])


def test_classes_that_differ_in_case_are_told_with_both_spellings():
    csv_of("train.csv", ["Food", "food", "food", "sport"])
    csv_of("test.csv", ["sport", "food"], word="other")
    names, told = found()
    assert names == ["Food", "food", "sport"]
    assert told == [
        "data.train: train.csv: classes 'Food' (6 rows) and 'food' (12 rows) are nearly the same name; spell them "
        "alike if they are one"
    ]
    assert complaint(classes=["food", "sport"]) == (
        "train.csv line 2 has label 'Food', not in data.classes ('food', 'sport'), where class 'food' differs in case "
        "alone; spell both alike"
    )


def test_a_label_in_a_list_of_one_is_that_label():
    labels = [["x"], [], ["y "], "x", [2], None]
    write_jsonl("a.jsonl", [{"text": "t", "label": label} for label in labels])
    assert [row.label for row in read("a.jsonl")] == ["x", None, "y", "x", "2", None]
    write_parquet("a.parquet", text=["t"] * 4, label=[["x"], [], ["y "], None])
    assert [row.label for row in read("a.parquet")] == ["x", None, "y", None]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_words_for_a_missing_value_are_no_label_in_any_file_and_stay_texts(kind):
    labels = ["x", "y", "nan", "None", "NA", "<NA>", "null"]
    table = [("None", "x"), ("NA", "y"), *rows(labels, times=2)]
    file = f"train.{kind}"
    if kind == "parquet":
        write_parquet(file, text=[text for text, _ in table], label=[label for _, label in table])
    elif kind == "jsonl":
        write_jsonl(file, [{"text": text, "label": label} for text, label in table])
    else:
        write_csv(file, [("text", "label"), *table], delimiter="\t" if kind == "tsv" else ",")
    csv_of("test.csv", ["x", "y"], word="other")
    place = {"jsonl": "line 7", "parquet": "row 7"}.get(kind, "line 8")
    names, told = found(file, labels_per_class=3)
    assert names == ["x", "y"]
    assert told == [
        f"{file} {place}: words for a missing value ('nan', 'None', 'NA', '<NA>', 'null') count as no label, in 10 "
        "rows; list such a word in data.classes if it is a class"
    ]
    names, told = found(file, classes=["x", "y", "None"], labels_per_class=3)
    assert names == ["x", "y", "None"]
    assert "in 8 rows;" in told[0]
    assert {"None", "NA"} <= {row.text for row in read(file)}


def test_a_class_called_like_a_missing_value_is_told_where_no_other_is_left():
    csv_of("train.csv", ["toxic", "None"])
    csv_of("test.csv", ["toxic"], word="other")
    assert complaint() == (
        "data.train: train.csv has one class only, 'toxic', besides 'None', read as no label; a classifier needs two "
        "classes or more; name it in data.classes if that is a class"
    )
    csv_of("train.csv", ["toxic", "fine"])
    csv_of("test.csv", ["toxic", "nan"], word="other")
    assert "test.csv line 8 has no label ('nan' is a word for a missing value); give it" in complaint()


def test_a_number_is_no_position_among_classes_that_are_numbers():
    csv_of("train.csv", ["1", "2", "0", "3"])
    csv_of("test.csv", ["1", "2"], word="other")
    assert complaint(classes=["1", "2", "3"]) == (
        "train.csv line 14 has label '0', not in data.classes ('1', '2', '3'); classes that are numbers are names, not "
        "positions: give it one of them or leave it out"
    )
    csv_of("train.csv", ["1.0", "2", "3.0"])
    assert found(classes=["1", "2", "3"])[0] == ["1", "2", "3"]


def test_positions_and_names_do_not_mix_in_a_file():
    csv_of("names.csv", ["neg", "pos"], word="other")
    csv_of("train.csv", ["0.0", "1"])
    assert found(test="names.csv", classes=["neg", "pos"])[0] == ["neg", "pos"]
    csv_of("train.csv", ["neg", "pos", "1"])
    assert complaint(test="names.csv", classes=["neg", "pos"]) == (
        "train.csv line 2 has label 'neg', a name, but train.csv line 14 has label '1', a position in data.classes; "
        "write names or positions throughout the file"
    )


@pytest.mark.parametrize(
    ("names", "stands"),
    [
        (["0", "1"], True),
        (["0.0", "1.0"], False),
        (["False", "True"], False),
        (["None", "x"], False),
        (["1.0", "x"], True),
    ],
)
def test_data_whose_labels_an_older_version_read_otherwise_is_loaded_again(names, stands):
    csv_of("train.csv", ["x", "y"])
    csv_of("test.csv", ["x", "y"], word="other")
    workspace = Workspace(Path("home"))
    older = Output(Path("data"), "key", "digest", {"classes": names, "transfer_bytes": 1}, "", {})
    assert step().stands(older, workspace) is stands
    assert step(classes=names).stands(older, workspace)
