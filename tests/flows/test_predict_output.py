"""What `predict` writes into files: the input's table with the predicted class beside it, or JSON lines."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.predict import Table, predict_texts
from flows.predict_output import Answer, write_answers
from tasks.shared.errors import StillhouseError
from tests.tiny import tiny_bert, word_tokenizer

CLASSES = ["food", "money", "sport"]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A classifier's folder."""
    folder = tmp_path_factory.mktemp("student")
    return str(tiny_bert(folder, word_tokenizer(["soup bank goal"]), CLASSES))


def predicted(student: str, source: Path, output: Path, top: int | None = None, **how: Any) -> Path:
    """The output of `predict --input SOURCE --output OUTPUT`."""
    options = {"text": "text", "text_pair": None, "encoding": "utf-8", "separator": None, "header": True}
    predict_texts(student, (), Table(source, **(options | how)), output, top)
    return output


def test_a_csv_keeps_the_columns_of_the_input_in_order(student: str, folder: Path) -> None:
    source = folder / "texts.csv"
    source.write_text('id;text;label;note\n007;soup;food;"a, ""b"""\n8;;;\n9;goal;sport;\n', encoding="utf-8")
    output = predicted(student, source, folder / "out.csv", separator=";")
    found = pd.read_csv(output, dtype=str, keep_default_na=False)
    assert list(found) == ["id", "text", "label", "note", "predicted", "probability"]
    assert list(found["id"]) == ["007", "8", "9"]
    assert list(found["note"]) == ['a, "b"', "", ""]
    assert found["predicted"][1] == found["probability"][1] == ""  # an empty text
    assert {found["predicted"][0], found["predicted"][2]} <= set(CLASSES)
    assert 1 / 3 <= float(found["probability"][0]) <= 1


def test_a_parquet_keeps_the_types_of_the_input_where_its_first_rows_are_empty(student: str, folder: Path) -> None:
    rows = 1500
    kinds = pa.schema(
        [("text", pa.string()), ("stars", pa.int32()), ("when", pa.date32()), ("tags", pa.list_(pa.string()))]
    )
    stars = [None] * (rows - 1) + [5]
    columns = {"text": ["soup"] * rows, "stars": stars, "when": [None] * rows, "tags": [["a"]] * rows}
    pq.write_table(pa.table(columns, schema=kinds), folder / "texts.parquet")
    output = predicted(student, folder / "texts.parquet", folder / "out.parquet", top=2)
    table = pq.read_table(output)
    assert table.schema.names[4:] == ["predicted", "probability", "predicted_2", "probability_2"]
    assert table.select(kinds.names).schema.equals(kinds)
    assert table.select(kinds.names).to_pydict() == columns


def test_json_lines_become_a_table_too(student: str, folder: Path) -> None:
    lines = [{"text": "soup", "n": 1, "tags": ["a"]}, {"n": 2, "text": "goal", "ok": True}]
    (folder / "in.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = pd.read_csv(predicted(student, folder / "in.jsonl", folder / "out.csv"), keep_default_na=False)
    assert list(found)[:4] == ["text", "n", "tags", "ok"]
    assert found.iloc[:, :4].values.tolist() == [["soup", 1, '["a"]', ""], ["goal", 2, "", "true"]]


def test_top_gives_the_most_probable_classes_in_order(student: str, folder: Path, capsys: Any) -> None:
    predict_texts(student, ("soup", ""), None, folder / "out.jsonl", 2)
    first, empty = map(json.loads, (folder / "out.jsonl").read_text(encoding="utf-8").splitlines())
    scores = list(first["probabilities"].values())
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert first["label"] == next(iter(first["probabilities"]))
    assert empty == {"text": "", "label": None, "probabilities": {}}
    predict_texts(student, ("soup",), None, None, 1)
    assert capsys.readouterr().out.count("%") == 1
    predict_texts(student, ("soup", "goal"), None, folder / "all.csv", 9)  # there are three classes
    assert list(pd.read_csv(folder / "all.csv"))[-1] == "probability_3"


def test_json_lines_are_as_they_were(student: str, folder: Path) -> None:
    (folder / "in.csv").write_text("id,text\n1,soup\n", encoding="utf-8")
    [line] = predicted(student, folder / "in.csv", folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert list(found) == ["text", "label", "probabilities"]
    assert list(found["probabilities"]) == CLASSES


@pytest.mark.parametrize(
    ("text", "output", "said"),
    [
        ("text,predicted\nsoup,food\n", "out.csv", "has a column 'predicted', which the output adds"),
        ("text,a,a\nsoup,1,2\n", "out.csv", "more than one column 'a'; rename one"),
        ("text\nsoup\n", "out.xlsx", "the name must end in one of .jsonl, .ndjson, .csv, .parquet"),
        ("text\nsoup\n", "in.csv", "is the input file"),
        ("text\nsoup\n", f"{'a' * 300}.csv", "can be no file: File name too long"),
        ("text\nsoup\n", "gone/out.csv", "cannot write .*gone/out.csv: No such file"),
        ("text\nsoup\n", "taken.csv", "cannot write .*taken.csv: Is a directory"),
    ],
)
def test_a_table_that_cannot_be_written_is_one_line_and_leaves_nothing(
    student: str, folder: Path, text: str, output: str, said: str
) -> None:
    (folder / "in.csv").write_text(text, encoding="utf-8")
    (folder / "taken.csv").mkdir()
    before = sorted(folder.rglob("*"))
    with pytest.raises(StillhouseError, match=said):
        predicted(student, folder / "in.csv", folder / output)
    assert sorted(folder.rglob("*")) == before


def test_a_glob_that_holds_the_output_is_refused(student: str, folder: Path) -> None:
    for name in ("a.csv", "out.csv"):
        (folder / name).write_text("text\nsoup\n", encoding="utf-8")
    with pytest.raises(StillhouseError, match=r"out.csv is the input file"):
        predicted(student, folder / "*.csv", folder / "out.csv")


def test_parquet_files_that_differ_in_a_type_lose_nothing_in_the_output(student: str, folder: Path) -> None:
    for name, price in (("p1", [3]), ("p2", [3.75])):
        pq.write_table(pa.table({"text": ["soup"], "price": price}), folder / f"{name}.parquet")
    found = pq.read_table(predicted(student, folder / "p?.parquet", folder / "out.parquet"))
    assert found["price"].to_pylist() == [3.0, 3.75]


def test_devices_and_pipes_are_written_to_themselves(folder: Path) -> None:
    reading, writing = os.pipe()
    write(Path(f"/dev/fd/{writing}"), [{}])
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert json.loads(pipe.read())["label"] == "a"


def write(output: Path, cells: Sequence[dict[str, object]]) -> Path:
    """A table of rows without a model."""
    write_answers(output, (Answer("", row, {"a": 1.0}) for row in cells), 1, {})
    return output


def test_columns_that_a_format_cannot_hold_are_one_line_that_names_another(folder: Path) -> None:
    with pytest.raises(StillhouseError, match=r"values of several kinds \(.*\); write .csv instead"):
        write(folder / "out.parquet", [{"text": "", "n": 1}, {"text": "", "n": "one"}])
    for first, later in (({"n": 3}, {"n": 3.75}), ({"m": {"a": 1}}, {"m": {"a": 1, "b": "x"}}), ({"n": 1}, {"n": "x"})):
        with pytest.raises(StillhouseError, match=r"values of several kinds \(.*\); write .csv instead"):
            write(folder / "out.parquet", [{"text": "", **first}] * 1024 + [{"text": "", **later}])
    with pytest.raises(StillhouseError, match=r"values of several kinds"):
        write(folder / "out.parquet", [{"text": "", "n": 2**64 + 1}])
    with pytest.raises(StillhouseError, match=r"half of a surrogate pair"):
        write(folder / "out.csv", [{"text": "\ud800"}])
    late = [{"text": ""}] * 1024 + [{"text": "", "n": 1}]
    with pytest.raises(StillhouseError, match=r"a column 'n' that the first 1,024 rows lack; write .jsonl"):
        write(folder / "out.csv", late)
    assert list(folder.iterdir()) == []


def test_no_rows_give_a_table_without_rows(folder: Path) -> None:
    assert pd.read_parquet(write(folder / "out.parquet", [])).shape == (0, 3)
    assert write(folder / "out.csv", []).read_text() == "text,predicted,probability\n"


def test_a_pipe_is_written_to_and_not_replaced(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    write(pipe, [{"text": ""}])
    reader.join(10)
    assert json.loads(said[0])["label"] == "a"
    assert pipe.is_fifo()
