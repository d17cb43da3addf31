"""Packed files are read as a stream, and what is damaged is told."""

import bz2
import gzip
import hashlib
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.shared import lines
from tests.sources import complaint, pairs_of, read, sources

pytestmark = pytest.mark.usefixtures("folder")

ROWS = [(f"text {number}", "xy"[number % 2]) for number in range(20_000)]
CSV = ("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)).encode()
PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_are_read_as_what_is_in_them(suffix):
    pack = PACKERS[suffix]
    Path(f"a.csv{suffix}").write_bytes(pack(CSV[:100]) + pack(CSV[100:]))
    Path(f"b.tsv{suffix}").write_bytes(pack("text;label\nun café;x\n".encode("utf-16")))
    Path(f"c.txt{suffix}").write_bytes(pack(b"one\ntwo"))
    Path("plain.jsonl").write_bytes(pack(b'{"text": "t", "label": "x"}'))
    assert pairs_of(read(f"a.csv{suffix}")) == ROWS
    assert pairs_of(read(f"b.tsv{suffix}")) == [("un café", "x")]
    assert [row.text for row in read(f"c.txt{suffix}", labelled=False)] == ["one", "two"]
    assert pairs_of(read("plain.jsonl")) == [("t", "x")]
    Path(f"d.csv{suffix}").write_bytes(b"text,label\nunpacked on its way,x\n")
    assert pairs_of(read(f"d.csv{suffix}")) == [("unpacked on its way", "x")]
    [source] = sources(f"a.csv{suffix}")
    held = source.held()
    assert held.held_to == hashlib.sha256(Path(f"a.csv{suffix}").read_bytes()).hexdigest()
    assert len(list(held.rows())) == len(ROWS)


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_packed_file_that_is_damaged_or_cut_off_or_empty(suffix):
    packed = PACKERS[suffix](CSV)
    for content in (packed[:-1], packed[: len(packed) // 2], packed[:12], packed + b"more"):
        Path(f"a.csv{suffix}").write_bytes(content)
        assert complaint(f"a.csv{suffix}").startswith(f"data.train: a.csv{suffix}: broken or cut off, or not ")
    Path(f"a.csv{suffix}").write_bytes(PACKERS[suffix](b""))
    assert complaint(f"a.csv{suffix}").startswith(f"data.train: a.csv{suffix}: has no rows;")
    Path(f"a.csv{suffix}").write_bytes(PACKERS[suffix](b"text,label\nfine,x\ncaf\xe9,x\n"))
    assert f"a.csv{suffix} line 3: not utf-8 text" in complaint(f"a.csv{suffix}")


def test_a_packed_line_that_never_ends_is_refused_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 100_000)
    Path("a.csv.gz").write_bytes(gzip.compress(b"text,label\n" + b"word " * 10_000_000))
    pool, peak_before = pa.default_memory_pool(), pa.total_allocated_bytes()
    tracemalloc.start()
    assert "a.csv.gz line 2: longer than 100,000 characters" in complaint("a.csv.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
    assert pool.bytes_allocated() - peak_before < 5_000_000


def test_parquet_is_not_unpacked():
    Path("a.parquet.gz").write_bytes(gzip.compress(b"PAR1"))
    assert "a.parquet.gz is of an unknown kind '.gz'; it is packed inside; unpack the file" in complaint("a.parquet.gz")
