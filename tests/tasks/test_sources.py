"""What goes in comes out, in each format."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shared.sources import Row, found_out
from tasks.shared.texts import normalise
from tests.sources import TRICKY, complaint, pairs_of, read, sources, write_csv, write_jsonl, write_parquet

pytestmark = pytest.mark.usefixtures("folder")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
names = texts.filter(lambda label: label.strip()) | st.none()
tables = st.lists(st.tuples(texts, texts, names), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_rows_come_back_as_they_were_written(rows):
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        columns = dict(zip(("text", "other", "label"), map(list, zip(*rows, strict=True)), strict=True))
        write_csv(place / "rows.csv", [columns, *[(text, pair, label or "") for text, pair, label in rows]])
        write_jsonl(place / "rows.jsonl", [dict(zip(columns, row, strict=True)) for row in rows])
        write_jsonl(place / "raw.ndjson", [dict(zip(columns, row, strict=True)) for row in rows], ensure_ascii=False)
        pq.write_table(
            pa.table(columns, schema=pa.schema([(column, pa.string()) for column in columns])), place / "rows.parquet"
        )
        for path in place.iterdir():
            found = read(path, text_pair="other")
            said = [(text, pair, label and (normalise(label) or None)) for text, pair, label in rows]
            assert [row[:3] for row in found] == said, path.suffix


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(texts, names), min_size=1, max_size=8))
def test_tsv_takes_any_text_without_tabs_and_line_ends_as_it_is(rows):
    clean = str.maketrans(dict.fromkeys("\t\r\n", " "))
    rows = [(text.translate(clean), label and (label.translate(clean).strip() or None)) for text, label in rows]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.tsv"
        lines = [f"{text}\t{label or ''}\n" for text, label in rows]
        path.write_text("text\tlabel\n" + "".join(lines), encoding="utf-8", newline="")
        assert pairs_of(read(path)) == [(text, label and normalise(label)) for text, label in rows]


def test_a_row_knows_its_line():
    Path("a.csv").write_text('text,label\none,x\n\n"two\nlines",y\nthree,\n')
    assert read("a.csv") == [Row("one", None, "x", 2), Row("two\nlines", None, "y", 4), Row("three", None, None, 6)]
    [source] = sources("a.csv")
    assert source.name == "a.csv"
    assert source.place(4) == "a.csv line 4"
    write_parquet("a.parquet", text=["one", "two"], label=["x", "y"])
    [source] = sources("a.parquet")
    assert [source.place(row.line) for row in source.rows()] == ["a.parquet row 1", "a.parquet row 2"]


def test_long_texts_are_no_trouble():
    long = "word " * 100_000
    write_csv("a.csv", [("text", "label"), (long, "x")])
    Path("a.tsv").write_text(f"text\tlabel\n{long}\tx\n")
    assert [row.text for row in read("a.csv") + read("a.tsv")] == [long, long]


def test_windows_line_ends_and_a_last_line_without_one():
    Path("a.csv").write_bytes(b"text,label\r\none,x\r\ntwo,y")
    Path("a.tsv").write_bytes(b"text\tlabel\r\none\tx\r\ntwo\ty")
    Path("a.jsonl").write_bytes(b'{"text": "one", "label": "x"}\r\n\r\n{"text": "two", "label": "y"}')
    for path in ("a.csv", "a.tsv", "a.jsonl"):
        assert pairs_of(read(path)) == [("one", "x"), ("two", "y")]


def test_quotation_marks_mean_nothing_in_tsv():
    Path("a.tsv").write_text('text\tlabel\n"open\tx\nan "inner" one\ty\n')
    assert pairs_of(read("a.tsv")) == [('"open', "x"), ('an "inner" one', "y")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_encodings_and_byte_order_marks(encoding):
    start = "\ufeff" if encoding == "utf-16-le" else ""
    Path("a.csv").write_bytes(f"{start}text,label\n你好 👋,问候\n".encode(encoding))
    assert pairs_of(read("a.csv", encoding=encoding.removesuffix("-sig"))) == [("你好 👋", "问候")]


@pytest.mark.parametrize(("encoding", "text"), [("gbk", "你好"), ("latin-1", "déjà vu"), ("cp1252", "“quoted” €")])
def test_older_encodings(encoding, text):
    Path("a.jsonl").write_bytes(json.dumps({"text": text, "label": "x"}, ensure_ascii=False).encode(encoding))
    Path("a.txt").write_bytes(text.encode(encoding))
    assert read("a.jsonl", encoding=encoding)[0].text == text
    assert read("a.txt", encoding=encoding, labelled=False)[0].text == text


def test_separator_and_missing_header():
    Path("a.csv").write_text('"a;b, c";x\nd;y\n')
    assert pairs_of(read("a.csv", separator=";", header=False, text="0", label="1")) == [("a;b, c", "x"), ("d", "y")]
    Path("a.tsv").write_text("a|x\n")
    assert read("a.tsv", separator="|", header=False, text="0", label="1") == [Row("a", None, "x", 1)]


def test_chinese_column_names():
    Path("数据.csv").write_text("文本,标签\n你好,问候\n", encoding="utf-8")
    assert pairs_of(read("数据.csv", text="文本", label="标签")) == [("你好", "问候")]
    assert "no column 'text' (data.text); there is '文本', '标签'" in complaint("数据.csv")


def test_labels_become_text():
    values = ["name", 3, 1.0, True, False, None, "", " \t", -1, float("nan")]
    expected = ["name", "3", "1", "true", "false", None, None, None, "-1", None]
    write_jsonl("a.jsonl", [{"text": "t", "label": value} for value in values])
    assert [row.label for row in read("a.jsonl")] == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([0, None, 7], pa.int8()), ["0", None, "7"]),
        (pa.array([0.0, None, float("nan")]), ["0", None, None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array(["x", "", None], pa.large_string()), ["x", None, None]),
        (pa.array(["x", "y", None]).dictionary_encode(), ["x", "y", None]),
    ],
)
def test_labels_of_parquet_types(column, expected):
    write_parquet("a.parquet", text=["a", None, "c"], label=column)
    assert pairs_of(read("a.parquet")) == list(zip(["a", "", "c"], expected, strict=True))


def test_other_parquet_columns_do_not_matter():
    write_parquet("a.parquet", **{"text.x": ["a"], "text": [["no"]], "label": ["x"], "blob": [{"k": b"\xff"}]})
    assert pairs_of(read("a.parquet", text="text.x")) == [("a", "x")]


def test_unlabelled_sources_need_no_label_column_and_ignore_one():
    write_csv("a.csv", [("text",), *[(text,) for text in TRICKY]])
    write_csv("b.csv", [("text", "label"), ("t", "x")])
    write_jsonl("a.jsonl", [{"text": "t"}, {"text": "u", "label": {"of": "no concern"}}])
    write_parquet("a.parquet", text=["t"])
    Path("a.txt").write_text("one\n\ntwo", encoding="utf-8")
    assert [row.text for row in read("a.csv", labelled=False)] == TRICKY
    assert [row.text for row in read("a.txt", labelled=False)] == ["one", "", "two"]
    for path in ("a.csv", "b.csv", "a.jsonl", "a.parquet", "a.txt"):
        assert {row.label for row in read(path, labelled=False)} == {None}


def test_globs_give_files_in_order():
    for name in ("b", "a", "c"):
        write_csv(f"part-{name}.csv", [("text", "label"), (name, "x")])
    Path("part-d.csv").mkdir()
    write_csv("part-[a].csv", [("text", "label"), ("brackets", "x")])
    assert [source.name for source in sources("part-?.csv")] == ["part-a.csv", "part-b.csv", "part-c.csv"]
    assert [row.text for row in read(Path("part-*.csv").absolute())] == ["brackets", "a", "b", "c"]
    assert [row.text for row in read("part-[a].csv")] == ["brackets"]
    Path("deep/er").mkdir(parents=True)
    write_csv("deep/er/x.csv", [("text", "label"), ("deep", "x")])
    assert [row.text for row in read("deep/**/*.csv")] == ["deep"]


def test_digest_is_of_the_bytes():
    Path("a.csv").write_bytes(b"text,label\na,x\n")
    [source] = sources("a.csv")
    assert source.digest() == hashlib.sha256(b"text,label\na,x\n").hexdigest()
    Path("a.csv").write_bytes(b"text,label\na,y\n")
    assert source.digest() == hashlib.sha256(b"text,label\na,y\n").hexdigest()


def test_a_large_row_group_is_not_read_whole():
    rows, size = 8192, 2048
    write_parquet("a.parquet", text=[os.urandom(size // 2).hex() for _ in range(rows)], label=["x"] * rows)
    [source] = sources("a.parquet")
    before, peak = pa.total_allocated_bytes(), 0
    for row in source.rows():
        if row.line % 256 == 0:
            peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < rows * size / 2


def test_importing_is_light():
    code = "import sys, tasks.shared.sources; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not {"pyarrow", "datasets", "torch", "transformers", "pydantic", "pandas"} & set(done.stdout.split())


def test_of_several_files_those_without_rows_and_those_that_are_no_data_are_skipped_and_counted():
    Path("parts").mkdir()
    write_csv("parts/a.csv", [("text", "label"), ("one", "x")])
    write_csv("parts/b.csv", [("text", "label")])
    Path("parts/c.csv").write_text("")
    Path("parts/d.jsonl").write_text("\n")
    write_parquet("parts/e.parquet", text=pa.array([], pa.string()), label=pa.array([], pa.string()))
    write_csv("parts/_f.csv", [("text", "label"), ("two", "y")])
    for name in ("_SUCCESS", "_metadata", "a.csv.crc", ".b.csv.crc"):
        Path("parts", name).write_text("")
    found = sources("parts/*")
    assert [row.text for source in found for row in source.rows()] == ["two", "one"]
    assert found_out(found) == [
        "data.train: of 9 files that match parts/*, skipped 4 without rows (parts/b.csv, parts/c.csv, parts/d.jsonl, "
        "...) and 3 that are no data (parts/_SUCCESS, parts/_metadata, parts/a.csv.crc)"
    ]
    assert found_out(sources("parts/[_a]*.csv")) == []


def test_a_folder_that_is_there_is_no_pattern(folder):
    place = Path("data [1]", "x*", "[y]")
    place.mkdir(parents=True)
    Path("data 1/xx/y").mkdir(parents=True)
    for where in (place, Path("data 1/xx/y")):
        write_csv(where / "a.csv", [("text", "label"), (str(where), "x")])
    for spec in (place / "*.csv", folder / place / "?.csv", place / ".." / "**" / "*.csv"):
        assert [row.text for row in read(spec)] == [str(place)]
    assert [row.text for row in read("data ?/x*/[y]/a.csv")] == ["data 1/xx/y"]


def repeated(value, rows):
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


@pytest.mark.parametrize("encoding", ["dictionary", "DELTA_BYTE_ARRAY"])
def test_a_value_that_is_stored_once_and_repeated_in_every_row_is_read_in_bounded_memory(encoding):
    rows, text = 300, "word " * 100_000
    table = pa.table({"text": repeated(text, rows), "label": ["x"] * rows})
    if encoding == "dictionary":
        pq.write_table(table, "a.parquet", compression="zstd", store_schema=False)
    else:
        table = table.cast(pa.schema([("text", pa.string()), ("label", pa.string())]))
        options = {"text": encoding, "label": "PLAIN"}
        pq.write_table(table, "a.parquet", compression="zstd", use_dictionary=False, column_encoding=options)
        del table
    assert Path("a.parquet").stat().st_size < 2000
    [source] = sources("a.parquet")
    before, peak = pa.total_allocated_bytes(), 0
    for row in islice(source.rows(), 40):
        assert row.text == text
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 160 * len(text)
