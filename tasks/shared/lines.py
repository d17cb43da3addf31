"""The decoded lines of a file of text, in bounded memory; of bytes that are no text it says what they look like."""

import codecs
import re
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO

from tasks.shared.errors import StillhouseError, brief
from tasks.shared.rows import Table

LONGEST_LINE = 20_000_000
"""Characters of a line, all columns together. Beyond it a line end is missing, or a quotation mark was left open."""

_BEGINNINGS = {
    b"\x1f\x8b": "compressed (gzip); unpack it first",
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as .csv",
    b"BZh": "compressed (bzip2); unpack it first",
    b"\xfd7zXZ": "compressed (xz); unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed (zstd); unpack it first",
    b"PAR1": "Parquet; name it .parquet",
    b"\xff\xfe": "UTF-16; set data.encoding to utf-16",
    b"\xfe\xff": "UTF-16; set data.encoding to utf-16",
}


_LIKELY = ("cp1252", "gbk", "cp1251", "shift_jis")
"""Encodings that files have which are not UTF-8 or UTF-16: Western Windows, Chinese, Cyrillic Windows, Japanese."""
_SHOWN = 20
_ODD_WORD = re.compile(r"""[^\s,;|"'{}:]*[^\x00-\x7f][^\s,;|"'{}:]*""")


def decoded_lines(table: Table, stream: BinaryIO, newline: str | None) -> Iterator[str]:
    """The decoded lines, ends included; a byte order mark is dropped.

    Args:
        table: the file and its encoding.
        stream: its bytes.
        newline: as `open` takes it.

    Raises:
        StillhouseError: the bytes are no text in that encoding, or a line is too long.
    """
    encoding = table.encoding or "utf-8"
    number, lines = 0, TextIOWrapper(stream, encoding=encoding, newline=newline)
    try:
        # Not `for line in lines`: a large file without line ends would be one line in memory.
        while line := lines.readline(LONGEST_LINE):
            number += 1
            if "\0" in line:
                raise _not_text(table, stream, number, "holds a NUL byte", "set data.encoding, for example utf-16")
            if len(line) == LONGEST_LINE:
                raise StillhouseError(
                    f"{table.at} line {number}: longer than {LONGEST_LINE:,} characters; put each row on its line"
                )
            yield line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeError as error:
        line_number, line_bytes = _undecodable_line(encoding, stream) or (number + 1, b"")
        reason = f"byte 0x{error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else str(error)
        what = f"not {encoding} text ({reason})"
        advice = _advice(line_bytes)
        raise _not_text(table, stream, line_number, what, advice) from None
    except OSError as error:
        raise StillhouseError(f"{table.at}: cannot be read: {error.strerror}") from None
    finally:
        if not stream.closed:
            lines.detach()  # it is the caller's to close


def _not_text(table: Table, stream: BinaryIO, line: int, what: str, advice: str) -> StillhouseError:
    """The error for bytes that are no text; says what they are where their beginning tells."""
    stream.seek(0)
    beginning = stream.read(8)
    for known, said in _BEGINNINGS.items():
        if beginning.startswith(known) and not (table.encoding or "").lower().replace("_", "-").startswith("utf-16"):
            return StillhouseError(f"{table.at} line {line}: {what}; it looks like {said}")
    return StillhouseError(f"{table.at} line {line}: {what}; {advice}")


def _advice(line: bytes) -> str:
    """What to do about a line that does not decode: shows its first word that is not ASCII in likely encodings."""
    readings = []
    for encoding in _LIKELY:
        try:
            word = _ODD_WORD.search(line.decode(encoding))
        except UnicodeError:
            continue
        if word and word[0].isprintable():
            readings.append(f"{encoding} reads {brief(word[0][:_SHOWN])}")
    if readings:
        return f"set data.encoding to the one that reads well: {', '.join(readings)}; or save the file as UTF-8"
    return "set data.encoding to the file's own, for example gbk, cp1252 or utf-16"


def _undecodable_line(encoding: str, stream: BinaryIO) -> tuple[int, bytes] | None:
    """The first line that does not decode, and its number; who decoded the stream has read ahead and cannot tell."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done, raw = 0, b""
    stream.seek(0)
    try:
        while raw := stream.readline(LONGEST_LINE):
            done += decoder.decode(raw).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeError:
        return done + 1, raw
    return None
