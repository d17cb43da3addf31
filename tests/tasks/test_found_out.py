"""How a file is written is found out where the recipe does not say, and told; what reads well today means the same."""

import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.load_data import LoadData
from tasks.shared.files import quoting
from tasks.shared.recipe_data import Data
from tasks.shared.sources import found_out
from tests.sources import complaint, pairs_of, read, sources, write_csv

pytestmark = pytest.mark.usefixtures("folder")

QUOTED = 'a.tsv: its cells are quoted, so the quotation marks around them are left out, and "" is one'
pandas_texts = st.text(alphabet='ab"\t\n, ', min_size=1, max_size=12).filter(str.strip)


def told(spec, **options):
    return [line.removeprefix("data.train: ") for line in found_out(sources(spec, **options))]


@settings(max_examples=25, deadline=None)
@given(st.lists(pandas_texts, min_size=1, max_size=5))
def test_tsv_comes_back_as_pandas_wrote_it(texts):
    texts = ['she said "hi", twice', *texts]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.tsv"
        pd.DataFrame({"text": texts, "label": "x"}).to_csv(path, sep="\t", index=False)
        assert [row.text for row in read(path)] == texts


@pytest.mark.parametrize(
    "rows",
    [
        '"open\tx\nan "inner" one\ty\n',
        '"a quotation"\tx\n"another, longer"\ty\n',
        '""\tx\n"5 inches""\ty\n',
        '"a ""b"" c"\tx\n6" long\ty\n',
        '"from here\tx\nto there"\ty\n',
    ],
)
def test_a_tsv_that_reads_well_with_its_quotation_marks_keeps_them(rows):
    Path("a.tsv").write_text(f"text\tlabel\nplain\tx\n{rows}")
    lines = rows.splitlines()
    assert pairs_of(read("a.tsv"))[1:] == [tuple(line.split("\t")) for line in lines]
    assert told("a.tsv") == []


def test_cells_in_quotation_marks_are_read_where_the_file_would_be_refused_without():
    Path("a.tsv").write_text('"text"\t"label"\n"one"\t"x"\n')
    assert pairs_of(read("a.tsv")) == [("one", "x")]
    Path("a.tsv").write_text('text\tlabel\n\n"two\nlines and\ta tab"\tx\n')
    assert [(row.text, row.line) for row in read("a.tsv")] == [("two\nlines and\ta tab", 3)]
    assert told("a.tsv") == [QUOTED]


def test_quoted_cells_are_found_however_late_they_come(monkeypatch):
    monkeypatch.setattr(quoting, "_WINDOW", 100)
    rows = [("plain", "x")] * 50 + [('a "b" c', "y")] * 50
    write_csv("a.tsv", [("text", "label"), *rows], delimiter="\t")
    assert pairs_of(read("a.tsv")) == rows
    assert told("a.tsv") == [QUOTED]
    with Path("a.tsv").open("a") as file:
        file.write('"d "e" f"\tx\n')
    assert complaint("a.tsv").startswith("data.train: a.tsv line 102: broken quoting (")


def test_quoted_tsv_is_another_key_than_before_and_other_files_are_not():
    write_csv("test.csv", [("text", "label"), ("t", "x"), ("u", "y")])
    write_csv("a.tsv", [("text", "label"), ("t", "x"), ("u", "y")], delimiter="\t")
    assert "quoted" not in LoadData(Data(train="a.tsv", test="test.csv")).decided_by
    write_csv("a.tsv", [("text", "label"), ('a "b" c', "x"), ("u", "y")], delimiter="\t")
    assert LoadData(Data(train="a.tsv", test="test.csv")).decided_by["quoted"]["train"] == [0]


EXCEL = 'text;label\n"a;b, c";x\nd;y\n'
SEPARATOR = "a.csv: read with separator ';', as its first line shows; data.separator can say otherwise"


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (EXCEL, "utf-8", [SEPARATOR]),
        (EXCEL, "utf-8-sig", [SEPARATOR]),
        (EXCEL, "utf-16", ["utf-16", SEPARATOR]),
        ("\ufeff" + EXCEL, "utf-16-be", ["utf-16", SEPARATOR]),
        (EXCEL, "utf-16-le", ["utf-16-le", SEPARATOR]),
        (EXCEL, "utf-16-be", ["utf-16-be", SEPARATOR]),
        ("sep=;\r\n" + EXCEL, "utf-8-sig", [SEPARATOR]),
        (EXCEL.replace(";", "\t").replace("\n", "\r\n"), "utf-16", ["utf-16", SEPARATOR.replace("';'", r"'\t'")]),
    ],
)
def test_what_excel_saves_is_read_and_told(content, encoding, said):
    Path("a.csv").write_bytes(content.encode(encoding))
    rows = read("a.csv")
    assert pairs_of(rows) == [(content.split('"')[1], "x"), ("d", "y")]
    assert rows[0].line == (3 if content.startswith("sep") else 2)
    lines = [
        line
        if "separator" in line
        else f"a.csv: read with encoding {line}, as its beginning shows; data.encoding can say otherwise"
        for line in said
    ]
    assert told("a.csv") == lines


def test_a_chinese_file_of_utf_16_without_a_mark():
    rows = [("今天的足球比赛非常精彩", "体育"), ("股票市场大涨", "财经")]
    content = "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)
    Path("a.csv").write_bytes(content.encode("utf-16-le"))
    Path("a.jsonl").write_bytes('{"text": "一一一一", "label": "x"}\n'.encode("utf-16-be"))
    assert pairs_of(read("a.csv")) == rows
    assert pairs_of(read("a.jsonl")) == [("一一一一", "x")]


def test_what_the_recipe_says_of_a_file_wins():
    Path("a.csv").write_bytes(EXCEL.encode("utf-16"))
    assert "it looks like UTF-16" in complaint("a.csv", encoding="utf-8")
    Path("a.csv").write_text("sep=;\n" + EXCEL)
    assert "no column 'text' (data.text); there is 'text;label'" in complaint("a.csv", separator=",")
    assert pairs_of(read("a.csv", separator=";")) == [("a;b, c", "x"), ("d", "y")]
    assert told("a.csv", separator=";", encoding="utf-8") == []


def test_the_usual_separator_is_kept_where_it_finds_the_columns():
    Path("a.csv").write_text("text,label,a;b\none;two;three,x,1\n")
    assert pairs_of(read("a.csv")) == [("one;two;three", "x")]
    Path("a.csv").write_text("one;1,x;2\n")
    assert pairs_of(read("a.csv", header=False, text="0", label="1")) == [("one;1", "x;2")]
    Path("a.csv").write_text("text\none\n")
    assert read("a.csv", labelled=False)[0].text == "one"
    assert told("a.csv", labelled=False) == []


def test_a_missing_column_is_looked_for_among_those_of_the_likely_separator():
    Path("a.csv").write_text("id;Text;label\n1;one;x\n")
    assert "there is 'id', 'Text', 'label'; did you mean 'Text'?" in complaint("a.csv")


def test_files_alike_are_told_once():
    for name in ("a", "b", "c"):
        Path(f"{name}.csv").write_text(EXCEL)
    assert told("*.csv") == [SEPARATOR.replace("a.csv", "a.csv and 2 more")]


def test_text_of_another_encoding_is_shown_in_the_likely_ones():
    Path("a.csv").write_bytes("text,label\nfine,x\nun café noir,y\n".encode("cp1252"))
    message = complaint("a.csv")
    assert message.startswith("data.train: a.csv line 3: not utf-8 text (byte 0xe9); set data.encoding to the one that")
    assert "cp1252 reads 'café'" in message
    Path("a.csv").write_bytes("text,label\n足球比赛,体育\n".encode("gbk"))
    assert "gbk reads '足球比赛'" in complaint("a.csv")


def test_a_spreadsheet_is_not_read_but_told_how_to_save():
    Path("a.xlsx").write_bytes(b"PK\3\4")
    assert complaint("a.xlsx").endswith("a.xlsx is of an unknown kind '.xlsx'; save the sheet as CSV UTF-8 (.csv)")
