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


@settings(max_examples=60, deadline=None)
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
