import csv
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shared import lines, readers
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.rows import LONGEST_TEXT
from tasks.shared.sources import Row, open_sources

TRICKY = [
    "你好，世界",
    "a 👩‍👩‍👧 family",
    'she said "hi", twice',
    "two\nlines",
    "e\u0301 and é",
    "",
    " ",
    "\u2028\x85\x0b",
    "'",
    ";",
]


def sources(spec, *, split="train", labelled=True, where="data.train", **data):
    return open_sources(str(spec), Data(train="x", test="y", **data), split=split, labelled=labelled, where=where)


def read(spec, **options):
    return [row for source in sources(spec, **options) for row in source.rows()]


def pairs_of(rows):
    return [(row.text, row.label) for row in rows]


def complaint(spec, **options):
    """The one line that reading this says; anything but our own exception fails the test."""
    with pytest.raises(StillhouseError) as caught:
        read(spec, **options)
    message = str(caught.value)
    assert message.startswith(f"{options.get('where', 'data.train')}: ")
    assert message.isprintable()
    assert len(message) < 1000
    return message


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_csv(path, rows, **options):
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, **options).writerows(rows)


def write_jsonl(path, records, **options):
    Path(path).write_text("".join(json.dumps(record, **options) + "\n" for record in records), encoding="utf-8")


def write_parquet(path, **columns):
    pq.write_table(pa.table(columns), path)


# What goes in comes out, in each format.

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
            assert [row[:3] for row in found] == rows, path.suffix


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(texts, names), min_size=1, max_size=8))
def test_tsv_takes_any_text_without_tabs_and_line_ends_as_it_is(rows):
    clean = str.maketrans(dict.fromkeys("\t\r\n", " "))
    rows = [(text.translate(clean), label and (label.translate(clean).strip() or None)) for text, label in rows]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.tsv"
        lines = [f"{text}\t{label or ''}\n" for text, label in rows]
        path.write_text("text\tlabel\n" + "".join(lines), encoding="utf-8", newline="")
        assert pairs_of(read(path)) == [(text, label if label and label.strip() else None) for text, label in rows]


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


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]),
    st.sampled_from(["utf-8", "utf-16", "gbk"]),
    st.binary(max_size=60) | st.text(alphabet='text,label\t"\n\r{}[]:0123\\u\0', max_size=60).map(str.encode),
)
def test_any_bytes_are_rows_or_one_line_of_complaint(extension, encoding, content):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"any{extension}"
        path.write_bytes(content)
        try:
            said = "".join(row.text for row in read(path, encoding=encoding)) and ""
        except StillhouseError as error:
            said = str(error)
        assert said.isprintable()


# What is wrong is said in one line: what, where, what to do.


def test_missing_file(folder):
    write_csv("train.csv", [("text", "label")])
    message = complaint("trian.csv")
    assert message == f"data.train: no file trian.csv; looked for {folder / 'trian.csv'}; did you mean train.csv?"
    assert "there is no folder nowhere" in complaint("nowhere/train.csv")
    assert "check the name" in complaint("quite-different.parquet")
    assert "is a URL; download the file" in complaint("https://example.org/train.csv")


def test_a_folder_and_a_pattern_without_files(folder):
    (folder / "data").mkdir()
    assert complaint("data") == "data.train: data is a folder; name a file, or a pattern such as *.csv in it"
    assert complaint("data/*.csv") == f"data.train: no file matches data/*.csv; looked for {folder / 'data/*.csv'}"


def test_odd_file_names_stay_on_one_line():
    assert r"'a\nb.csv'" in complaint("a\nb.csv")
    assert r"'\x1b[31m.csv'" in complaint("\x1b[31m.csv")
    assert "no file" in complaint("nul\0byte.csv")
    assert "name too long" in complaint("x" * 300 + ".csv").lower()
    assert "name too long" in complaint("x/" * 5000 + "x.csv").lower()


def test_devices_and_pipes_are_not_waited_for(folder):
    os.mkfifo("pipe.csv")
    Path("link.csv").symlink_to("/dev/zero")
    for spec in ("/dev/zero", "pipe.csv", "link.csv"):
        assert complaint(spec) == f"data.train: {spec} is a device or a pipe; write the rows to a file first"
    Path("loop.csv").symlink_to("loop.csv")
    assert "no file loop.csv" in complaint("loop.csv")
    write_csv("real.csv", [("text", "label"), ("t", "x")])
    Path("good.csv").symlink_to("real.csv")
    assert pairs_of(read("good.csv")) == [("t", "x")]


def test_unknown_extension_lists_the_known_ones():
    Path("a.json").write_text("[]")
    Path("a.csv.gz").write_text("")
    message = complaint("a.json", where="data.test")
    assert message.startswith("data.test: a.json is of an unknown kind '.json'; known are .csv, .tsv, .tab, .jsonl")
    assert "unknown kind '.gz'" in complaint("a.csv.gz")


def test_extensions_in_capitals():
    write_csv("A.CSV", [("text", "label"), ("t", "x")])
    assert pairs_of(read("A.CSV")) == [("t", "x")]


@pytest.mark.parametrize("path", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_empty_files(path):
    Path(path).write_text("")
    assert complaint(path).startswith(f"data.train: {path}: has no rows;")


def test_files_with_a_header_but_no_rows():
    Path("a.csv").write_text("text,label\n\n")
    Path("a.jsonl").write_text("\n\n")
    Path("a.txt").write_text("")
    write_parquet("a.parquet", text=pa.array([], pa.string()), label=pa.array([], pa.string()))
    assert "a.csv: has no rows" in complaint("a.csv")
    assert "a.jsonl: has no rows" in complaint("a.jsonl")
    assert "a.parquet: has no rows" in complaint("a.parquet")
    assert "a.txt: has no rows" in complaint("a.txt", labelled=False)


def test_missing_columns_are_listed_and_the_nearest_suggested():
    write_csv("a.csv", [("Text", "lable"), ("t", "x")])
    write_jsonl("a.jsonl", [{"Text": "t", "lable": "x"}])
    write_parquet("a.parquet", Text=["t"], lable=["x"])
    for path in ("a.csv", "a.parquet", "a.jsonl"):
        message = complaint(path)
        assert f"data.train: {path}" in message
        assert "no column 'text' (data.text); there is 'Text', 'lable'; did you mean 'Text'?" in message
        message = complaint(path, text="Text")
        assert "no column 'label' (data.label); there is 'Text', 'lable'; did you mean 'lable'?" in message
        message = complaint(path, text="Text", label="lable", text_pair="zzz")
        assert "no column 'zzz' (data.text_pair); there is 'Text', 'lable'; set data.text_pair to one" in message


def test_column_names_in_messages_are_escaped_and_cut():
    write_csv("a.csv", [("\u202ebad\n" + "y" * 200, *map(str, range(50))), range(51)])
    message = complaint("a.csv")
    assert r"'\u202ebad\ny" in message
    assert "and 31 more" in message


def test_a_column_that_is_there_twice():
    write_csv("a.csv", [("text", "label", "text"), ("a", "x", "b")])
    assert "more than one column 'text'; rename one" in complaint("a.csv")


def test_without_header_the_message_says_that_columns_are_numbers():
    write_csv("a.csv", [("a", "x")])
    assert "there is '0', '1'" in complaint("a.csv", header=False)
    assert "data.header is false" in complaint("a.csv", header=False)


def test_a_label_may_be_absent_on_some_json_lines():
    write_jsonl("a.jsonl", [{"text": "a"}, {"text": "b", "label": "x"}])
    assert pairs_of(read("a.jsonl")) == [("a", None), ("b", "x")]


def test_text_in_another_encoding_names_the_line():
    rows = b"".join(b"row%d,x\n" % number for number in range(20_000)).replace(b"row15000", b"caf\xe9")
    for path, separator in (("a.csv", b","), ("a.tsv", b"\t")):
        Path(path).write_bytes((b"text,label\n" + rows).replace(b",", separator))
        message = complaint(path)
        assert message.startswith(f"data.train: {path} line 15002: not utf-8 text (byte 0xe9); set data.encoding")
    Path("a.jsonl").write_bytes(b'{"text": "caf\xe9"}\n')
    assert "a.jsonl line 1: not utf-8 text" in complaint("a.jsonl")
    Path("cut.csv").write_bytes("text,label\nhé".encode()[:-1])
    assert "cut.csv line 2: not utf-8 text" in complaint("cut.csv")
    Path("plain.csv").write_bytes(b"text,label\na,x\n")
    assert "plain.csv line 1: not utf-16 text" in complaint("plain.csv", encoding="utf-16")


@pytest.mark.parametrize("encoding", ["utf-9", "", "rot13", "base64", "unicode_escape", "idna", "a\0b", "é"])
def test_unknown_encodings(encoding):
    Path("a.csv").write_text("text,label\na,x\n")
    with pytest.raises(StillhouseError, match=r"^data.encoding: .* is not a known encoding; write for example utf-8"):
        sources("a.csv", encoding=encoding)


@pytest.mark.parametrize("separator", ["\n", '"'])
def test_impossible_separators(separator):
    Path("a.csv").write_text("text,label\na,x\n")
    with pytest.raises(StillhouseError, match=r"^data.separator: .* cannot separate columns"):
        sources("a.csv", separator=separator)


def test_ragged_rows():
    Path("a.csv").write_text('text,label\n"two\nlines",x\na, b,x\n')
    assert "a.csv line 4: 3 columns where the first line has 2; put a text" in complaint("a.csv")
    Path("a.tsv").write_text("text\tlabel\nalone\n")
    assert "a.tsv line 2: 1 column where the first line has 2" in complaint("a.tsv")


def test_broken_quoting():
    Path("open.csv").write_text('text,label\nfine,x\n"never closed,x\nnext,y\n')
    assert complaint("open.csv").startswith(
        "data.train: open.csv line 3: broken quoting (unexpected end of data); close"
    )
    Path("stray.csv").write_text('text,label\n"a" b,x\n')
    assert "stray.csv line 2: broken quoting" in complaint("stray.csv")


@pytest.mark.parametrize("path", ["a.csv", "a.tsv", "a.jsonl"])
def test_nul_bytes(path):
    Path(path).write_bytes(b"text,label\na\0b,x\n" if path == "a.csv" else b"\0")
    line = 2 if path == "a.csv" else 1
    assert f"{path} line {line}: holds a NUL byte" in complaint(path)
    assert "set data.encoding, for example utf-16" in complaint(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            '{"text": "cut',
            "not valid JSON (Unterminated string starting at column 10); each line must hold one whole",
        ),
        ('["text"]', "a list, not an object"),
        ("3", "3, not an object"),
        ('{"text": 3, "label": "x"}', "'text' is 3, not text; put it in quotation marks"),
        ('{"text": ["a"], "label": "x"}', "'text' is a list, not text"),
        ('{"label": "x"}', "no column 'text' (data.text); there is 'label'"),
        ('{"text": "a", "label": 1.5}', "the label is 1.5; a label is a name or a whole number"),
        ('{"text": "a", "label": ["x"]}', "the label is a list;"),
        ('{"text": "a", "label": Infinity}', "the label is inf;"),
        ('{"text": "a\\ud800", "label": "x"}', "half of a surrogate pair"),
        ('{"text": "a", "label": "\\udc00"}', "half of a surrogate pair"),
        ('{"text": ' + "[" * 100_000, "brackets too deep"),
        ('{"text": "a", "label": ' + "9" * 5000 + "}", "a number too long"),
    ],
)
def test_broken_json_lines(line, said):
    Path("a.jsonl").write_text('{"text": "fine \\ud83d\\ude00", "label": "x"}\n\n' + line + "\n")
    message = complaint("a.jsonl")
    assert message.startswith("data.train: a.jsonl line 3: ")
    assert said in message


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": [1, 2], "label": ["x", "y"]}, "column 'text' holds 'int64', not text"),
        ({"text": [["a"], ["b"]], "label": ["x", "y"]}, "column 'text' holds 'list<"),
        ({"text": [b"a", b"b"], "label": ["x", "y"]}, "column 'text' holds 'binary', not text"),
        ({"text": ["a", "b"], "label": [0.0, 0.5]}, "row 2: the label is 0.5;"),
        ({"text": ["a", "b"], "label": [["x"], ["y"]]}, "row 1: the label is a list;"),
    ],
)
def test_parquet_columns_of_other_kinds(columns, said):
    write_parquet("a.parquet", **columns)
    assert said in complaint("a.parquet")


def test_broken_parquet():
    write_parquet("whole.parquet", text=["some text"] * 500, label=["x"] * 500)
    whole = Path("whole.parquet").read_bytes()
    for length in (1, 4, 100, len(whole) // 2, len(whole) - 1):
        Path("cut.parquet").write_bytes(whole[:length])
        assert complaint("cut.parquet").startswith("data.train: cut.parquet: broken or cut off, or not Parquet (")
    Path("text.parquet").write_text("text,label\na,x\n")
    assert "not Parquet" in complaint("text.parquet")
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    write_parquet("bytes.parquet", text=bad, label=["x"])
    assert "bytes.parquet: holds text that is not UTF-8" in complaint("bytes.parquet")


def test_txt_is_for_single_unlabelled_texts():
    Path("a.txt").write_text("one\n")
    assert "a.txt is .txt, which has no labels; it fits data.unlabelled" in complaint("a.txt")
    assert "data.text_pair asks for pairs" in complaint("a.txt", labelled=False, text_pair="other")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission():
    for path in ("a.csv", "a.parquet"):
        Path(path).write_text("text,label\na,x\n")
        Path(path).chmod(0)
        assert f"{path}: cannot be read: Permission denied" in complaint(path)


def test_a_file_that_vanishes():
    for path in ("a.csv", "a.parquet"):
        Path(path).write_text("text,label\na,x\n")
        [source] = sources(path)
        Path(path).unlink()
        for use in (source.digest, lambda: list(source.rows())):  # noqa: B023
            with pytest.raises(StillhouseError, match=f"^data.train: {path}: cannot be read: No such file"):
                use()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"text,label\na,x\n"), "it looks like compressed (gzip); unpack it first"),
        (b"PK\3\4\xff", "it looks like a zip archive or a spreadsheet; unpack it, or save it as .csv"),
        ("text,label\na,x\n".encode("utf-16"), "it looks like UTF-16; set data.encoding to utf-16"),
        ("text,label\na,x\n".encode("utf-16-le"), "holds a NUL byte; set data.encoding, for example utf-16"),
        (b"PAR1\0\0", "it looks like Parquet; name it .parquet"),
    ],
    ids=["gzip", "zip", "UTF-16", "UTF-16 without a mark", "Parquet"],
)
def test_bytes_that_are_no_text_are_recognised(content, said):
    Path("a.csv").write_bytes(content)
    assert complaint("a.csv").startswith("data.train: a.csv line 1: ")
    assert said in complaint("a.csv")


@pytest.mark.parametrize("path", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.txt"])
def test_a_text_has_a_stated_limit_in_bytes(path):
    for text, fits in (("é" * (LONGEST_TEXT // 2), True), ("é" * (LONGEST_TEXT // 2) + "a", False)):
        if path == "a.parquet":
            write_parquet(path, text=["fine", text], label=["x", "y"])
        elif path == "a.jsonl":
            write_jsonl(path, [{"text": "fine"}, {"text": text, "label": "y"}])
        else:
            separator = {"a.csv": ",", "a.tsv": "\t", "a.txt": " "}[path]
            start = "fine" if path == "a.txt" else separator.join(("text", "label"))
            end = "" if path == "a.txt" else f"{separator}x"
            Path(path).write_text(f"{start}\n{text}{end}\n", encoding="utf-8")
        if fits:
            assert read(path, labelled=path != "a.txt")[-1].text == text
        else:
            found = f"2: a text of {LONGEST_TEXT + 1:,} bytes, more than 1,048,576; split it"
            assert found in complaint(path, labelled=path != "a.txt")


def test_a_label_that_is_a_text():
    write_csv("a.csv", [("text", "label"), ("t", "x" * 1001)])
    assert "a.csv line 2: the label has 1,001 characters, more than 1,000; is that the text? set" in complaint("a.csv")


@pytest.mark.parametrize("start", [b"", b'"'], ids=["a line without an end", "a quotation mark that is never closed"])
def test_what_never_ends_is_refused_in_bounded_memory(monkeypatch, start):
    limit = 1_000_000
    monkeypatch.setattr(lines, "LONGEST_LINE", limit)
    monkeypatch.setattr(readers, "LONGEST_LINE", limit)
    with Path("a.csv").open("wb") as file:
        file.write(b"text,label\n" + start)
        for _ in range(40):
            file.write(b"word, " * 100_000 + (b"\n" if start else b""))
    tracemalloc.start()
    message = complaint("a.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    said = (
        "broken quoting (field larger than field limit" if start else f"longer than {limit:,} characters; put each row"
    )
    assert message.startswith(f"data.train: a.csv line 2: {said}")
    assert peak < Path("a.csv").stat().st_size / 2


def test_a_flipped_bit_in_parquet_is_refused_or_changes_nothing():
    """Wherever it is, if pages have checksums; without them nobody can tell that a text is another one."""
    table = pa.table({"text": [f"text {number}" for number in range(60)], "label": ["x", "y"] * 30})
    pq.write_table(table, "a.parquet", write_page_checksum=True)
    whole, rows = Path("a.parquet").read_bytes(), read("a.parquet")
    refused = 0
    for bit in range(0, 8 * len(whole), 7):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        Path("a.parquet").write_bytes(flipped)
        try:
            assert read("a.parquet") == rows
        except StillhouseError as error:
            assert str(error).startswith("data.train: a.parquet")  # noqa: PT017
            refused += 1
    assert refused > len(whole) / 2


@pytest.mark.parametrize("path", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_check_reads_the_beginning_only(path):
    rows = [{"text": f"text {number}", "label": "x"} for number in range(5000)]
    if path == "a.parquet":
        write_parquet(path, text=[row["text"] for row in rows], label=["x"] * 4999 + [None])
    elif path == "a.jsonl":
        write_jsonl(path, rows)
    else:
        write_csv(path, [("text", "label"), *[row.values() for row in rows]])
    if path != "a.parquet":
        with Path(path).open("a") as file:
            file.write("{ broken, and too many, columns\n")
        assert "line 500" in complaint(path)
    [source] = sources(path)
    source.check()
    assert source.size == Path(path).stat().st_size


# The hub. A folder acme/news in the current directory is read by the same library in the same way.


@pytest.fixture
def hub(folder, monkeypatch):
    """The `datasets` library, with its cache in the test's folder and no network."""
    datasets = pytest.importorskip("datasets")
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    Path("acme/news").mkdir(parents=True)
    return datasets


def test_hub_splits(hub):
    write_csv("acme/news/train.csv", [("text", "label"), *[(text, "x") for text in TRICKY if text.strip()]])
    write_csv("acme/news/test.csv", [("text", "label"), ("only this", "y"), ("and this", "")])
    assert pairs_of(read("hub:acme/news")) == [(text, "x") for text in TRICKY if text.strip()]
    expected = [Row("only this", None, "y", 1), Row("and this", None, None, 2)]
    assert read("hub:acme/news", split="test") == expected
    assert read("hub:acme/news#test") == expected
    assert read("hub:acme/news:default@main#test") == expected
    assert {row.label for row in read("hub:acme/news#test", labelled=False)} == {None}
    [source] = sources("hub:acme/news#test")
    assert (source.name, source.place(2)) == ("hub:acme/news#test", "hub:acme/news#test row 2")


def test_hub_class_labels_become_names(hub):
    features = hub.Features({"text": hub.Value("string"), "label": hub.ClassLabel(names=["ham", "spam"])})
    rows = {"text": ["a", "b", "c", "d"], "label": [1, 0, -1, None]}
    hub.Dataset.from_dict(rows, features=features).to_parquet("acme/news/train.parquet")
    assert pairs_of(read("hub:acme/news")) == [("a", "spam"), ("b", "ham"), ("c", None), ("d", None)]


def test_hub_digest_follows_the_content(hub):
    def digest(spec):
        [source] = sources(spec)
        return source.digest()

    for name, label in (("one", "x"), ("two", "x"), ("three", "y")):
        Path(f"acme/{name}").mkdir()
        write_csv(f"acme/{name}/train.csv", [("text", "label"), ("a", label)])
    assert digest("hub:acme/one") == digest("hub:acme/two")
    assert digest("hub:acme/one") != digest("hub:acme/three")
    assert len(digest("hub:acme/one")) == 64


def test_hub_errors(hub, monkeypatch):
    write_csv("acme/news/train.csv", [("text", "label"), ("a", "x")])
    assert complaint("hub:acme/news", text="txt").startswith(
        "data.train: hub:acme/news: no column 'txt' (data.text); there is 'text', 'label'; did you mean 'text'?"
    )
    message = complaint("hub:acme/news#dev")
    assert message.startswith("data.train: hub:acme/news#dev: cannot be loaded (")
    assert "#SPLIT" in message
    assert "['train']" in message
    assert ":CONFIG" in complaint("hub:acme/news:other")
    assert "hub:acme/none: the hub cannot be reached (" in complaint("hub:acme/none")
    Path("acme/empty").mkdir()
    assert "hub:acme/empty: holds no data files" in complaint("hub:acme/empty")

    def gone(*_, **__):
        raise hub.exceptions.DatasetNotFoundError("Dataset 'acme/gone' doesn't exist on the Hub\nmore")

    monkeypatch.setattr(hub, "load_dataset", gone)
    message = complaint("hub:acme/gone")
    assert message.startswith("data.train: hub:acme/gone: not on the hub, or not without a login (")
    assert "more" not in message


def test_hub_package_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = complaint("hub:acme/news")
    assert message == "data.train: hub:acme/news: reading the hub needs one more package: pip install 'stillhouse[hub]'"
    with pytest.raises(StillhouseError, match="needs one more package"):
        sources("hub:acme/news")[0].check()


def test_a_check_asks_the_hub_once_and_downloads_nothing(hub, monkeypatch, folder):
    import huggingface_hub

    def check(spec, answer):
        def dataset_info(self, name, *, revision, timeout):
            asked.append((name, revision))
            if isinstance(answer, Exception):
                raise answer
            return answer

        asked = []
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
        [source] = sources(spec)
        source.check()
        return asked

    def refused(spec, answer):
        with pytest.raises(StillhouseError) as caught:
            check(spec, answer)
        return str(caught.value)

    errors, response = huggingface_hub.errors, SimpleNamespace(headers={}, request=None)
    there = SimpleNamespace(siblings=[SimpleNamespace(rfilename="train.csv")])
    assert check("hub:acme/sold:small@v1#dev", there) == [("acme/sold", "v1")]
    assert check("hub:acme/news", there) == [], "a folder of that name is read instead"
    assert "hub:acme/none: acme/none is not on the hub, or not without a login" in refused(
        "hub:acme/none", errors.RepositoryNotFoundError("404", response=response)
    )
    assert "the data set has no revision v9" in refused(
        "hub:acme/none@v9", errors.RevisionNotFoundError("404", response=response)
    )
    assert "the hub cannot be reached (there is no copy here either); check the network" in refused(
        "hub:acme/none", ConnectionError("no route")
    )
    (folder / "cache" / "acme___none").mkdir(parents=True)
    assert check("hub:acme/none", ConnectionError("no route")) == [("acme/none", None)], (
        "what was loaded before will do"
    )


@pytest.mark.parametrize(
    "spec",
    [
        "hub:",
        "hub:news",
        "hub:a/..",
        f"hub:a/{'b' * 97}",
        "hub:a\\\\b/c",
        "hub:../news",
        "hub:a/b/c",
        "hub:/etc/passwd",
        "hub:acme/news#",
    ],
)
def test_hub_specs_that_are_none(spec):
    assert "is not hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT" in complaint(spec)


def test_hub_spec_parts():
    [source] = sources("hub:nyu-mll/glue:sst2@refs/convert/parquet#train[:10%]")
    assert (source.path, source.config, source.revision, source.split) == (
        "nyu-mll/glue",
        "sst2",
        "refs/convert/parquet",
        "train[:10%]",
    )
    [source] = sources("hub:acme/news.v2@main", split="validation")
    assert (source.path, source.config, source.revision, source.split) == ("acme/news.v2", None, "main", "validation")


def test_importing_is_light():
    code = "import sys, tasks.shared.sources; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not {"pyarrow", "datasets", "torch", "transformers", "pydantic", "pandas"} & set(done.stdout.split())
