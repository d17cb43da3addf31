"""What tests of sources share: files written in each format, and what reading them gives or says."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.sources import open_sources

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


def write_csv(path, rows, **options):
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, **options).writerows(rows)


def write_jsonl(path, records, **options):
    Path(path).write_text("".join(json.dumps(record, **options) + "\n" for record in records), encoding="utf-8")


def write_parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
