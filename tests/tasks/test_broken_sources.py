"""What is wrong is said in one line: what, where, what to do."""

import lzma
import os
import tempfile
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shared import lines, readers
from tasks.shared.errors import StillhouseError
from tasks.shared.files import parquet
from tasks.shared.rows import LONGEST_TEXT
from tests.sources import complaint, pairs_of, read, sources, write_csv, write_jsonl, write_parquet

pytestmark = pytest.mark.usefixtures("folder")


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


def test_missing_file(folder):
    write_csv("train.csv", [("text", "label")])
    message = complaint("trian.csv")
    assert message == f"data.train: no file trian.csv; looked for {folder / 'trian.csv'}; did you mean train.csv?"
    assert "there is no folder nowhere" in complaint("nowhere/train.csv")
    assert "check the name" in complaint("quite-different.parquet")
    assert "is a URL; download the file" in complaint("https://example.org/train.csv")
    assert "s3://bucket/*.csv is a URL; download" in complaint("s3://bucket/*.csv")
    assert "https://example.org/get?file=a.csv is a URL;" in complaint("https://me:secret@example.org/get?file=a.csv")


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
    Path("a.gz").write_text("")
    Path("a.tar.gz").write_text("")
    message = complaint("a.json", where="data.test")
    assert message.startswith("data.test: a.json is of an unknown kind '.json'; known are .csv, .tsv, .tab, .jsonl")
    assert complaint("a.gz").endswith("unknown kind '.gz'; name it after what is in it, such as rows.csv.gz")
    assert "unknown kind '.gz'; unpack it first" in complaint("a.tar.gz")


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


@pytest.mark.parametrize(
    "first", [("a film that I would see again", "positive"), ("great", "1"), ("good", "good"), ("-1", "meh")]
)
def test_a_file_without_column_names_is_told_how_to_be_read(first):
    write_csv("a.csv", [first, ("dull", "0")])
    message = complaint("a.csv")
    assert "no column 'text' (data.text)" in message
    advice = "if the first line is data and not column names, use data.header: false: columns are then numbers from 0"
    assert message.endswith(advice)
    found = read("a.csv", header=False, text="0", label="1")
    assert [(row.text, row.label) for row in found] == [first, ("dull", "0")]


def test_a_misspelt_column_is_no_file_without_column_names():
    write_csv("a.csv", [("Text", "Review label", "id"), ("t", "x", "1")])
    assert "data.header" not in complaint("a.csv")


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
        ('{"text": "a", "label": ["x", "y"]}', "the label is a list; a text has one label: choose one of the 2, or"),
        ('{"text": "a", "label": [["x"]]}', "the label is a list;"),
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
        ({"text": ["a", "b"], "label": [["x", "y"], ["y"]]}, "row 1: the label is a list;"),
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
        (lzma.compress(b"text,label\na,x\n"), "it looks like compressed (xz); unpack it first"),
        (b"PK\3\4\xff", "it looks like a zip archive or a spreadsheet; unpack it, or save it as .csv"),
        ("text,label\na,x\n".encode("utf-16"), "it looks like UTF-16; set data.encoding to utf-16"),
        ("text,label\na,x\n".encode("utf-16-le"), "holds a NUL byte; set data.encoding, for example utf-16"),
        (b"PAR1\0\0", "it looks like Parquet; name it .parquet"),
    ],
    ids=["xz", "zip", "UTF-16", "UTF-16 without a mark", "Parquet"],
)
def test_bytes_that_are_no_text_are_recognised(content, said):
    Path("a.csv").write_bytes(content)
    assert complaint("a.csv", encoding="utf-8").startswith("data.train: a.csv line 1: ")
    assert said in complaint("a.csv", encoding="utf-8")


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


def test_a_flipped_bit_in_parquet_is_refused_or_changes_nothing(monkeypatch):
    """Wherever it is, if pages have checksums; without them nobody can tell that a text is another one."""
    table = pa.table({"text": [f"text {number}" for number in range(60)], "label": ["x", "y"] * 30})
    pq.write_table(table, "a.parquet", write_page_checksum=True)
    whole, rows = Path("a.parquet").read_bytes(), read("a.parquet")
    refused = 0
    for bit in range(0, 8 * len(whole), 7):
        monkeypatch.setattr(parquet, "_BYTES", 1 << (10 if bit % 2 else 25))  # as a large file and as a small one
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


def test_files_of_a_pattern_that_all_have_no_rows():
    write_csv("a.csv", [("text", "label")])
    assert "a.csv: has no rows; name a file with data" in complaint("*.csv")
    Path("b.csv").write_text("")
    assert complaint("*.csv") == "data.train: none of the 2 files that match *.csv has rows"
    Path("_SUCCESS").write_text("")
    assert complaint("_*").startswith("data.train: no file matches _* but _SUCCESS; looked for ")


def test_an_empty_part_without_the_column_is_refused_and_so_is_a_stranger_among_the_files():
    write_csv("a.csv", [("text", "label"), ("t", "x")])
    write_csv("b.csv", [("txt", "label")])
    assert "b.csv: no column 'text'" in complaint("*.csv")
    Path("README.md").write_text("")
    assert "README.md is of an unknown kind '.md'" in complaint("*")


def test_parquet_that_is_denser_than_any_text_is_refused(monkeypatch):
    monkeypatch.setattr(parquet, "_LARGE", 1 << 20)
    monkeypatch.setattr(parquet, "_MANY_ROWS", 100_000)
    table = pa.table({"text": ["word " * 1000] * 1000, "label": ["x"] * 1000})
    pq.write_table(table, "a.parquet", use_dictionary=False, compression="zstd")
    message = complaint("a.parquet")
    assert message.startswith("data.train: a.parquet: row group 1 would unpack to 5,00")
    assert message.endswith(", as no text does; write it again, in smaller row groups")
    values = ["a", *["x" * 4000] * 600]  # whose length no dictionary tells
    pq.write_table(pa.table({"text": values, "label": values}), "c.parquet", use_dictionary=False, compression="zstd")
    monkeypatch.setattr(parquet, "_LARGE", 1 << 30)
    monkeypatch.setattr(parquet, "_BYTES", 1 << 20)
    with pq.ParquetFile("c.parquet") as file, Path("c.parquet").open("rb") as stream:
        batches = list(parquet.bounded_batches(file, stream, ["text", "label"], "c.parquet"))
    assert max(batch.nbytes for batch in batches) < 3 << 20
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x"]))
    pq.write_table(pa.table({"text": same, "label": same}), "b.parquet")
    assert "b.parquet: says that it has 200,000 rows, in " in complaint("b.parquet")
