"""Files of word vectors as GloVe, word2vec and fastText have them: a word and its numbers on each line."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import takewhile
from pathlib import Path
from statistics import mode
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.held import opened
from tasks.shared.outputs import hash_file

_LOOKED_AT = 10


def check_vectors(file: str, size: int) -> None:
    """Reads the first lines of a file of vectors.

    Raises:
        StillhouseError: it cannot be read, holds none, or its vectors are not of this size.
    """
    found = 0
    with _opened(file) as stream:
        for found, _ in enumerate(_lines(file, stream, size), start=1):
            if found > _LOOKED_AT:
                return
    if not found:
        raise StillhouseError(f"{brief_path(file)} holds no word with its numbers")


def read_vectors(
    file: str, size: int | None, wanted: Collection[str], held_to: str | None = None
) -> dict[str, NDArray[np.float32]]:
    """The vectors [size] of those of the wanted words that are there; the first where there are several.

    Args:
        file: with the vectors.
        size: how many numbers a word has; None for as many as it has by `size_of`.
        wanted: the words.
        held_to: what `hash_vectors` has to give of what is read; None where anything will do.

    Raises:
        StillhouseError: the file cannot be read, a line is no word and its vector, no wanted word is there, or the file
            is not what it is held to.
    """
    found: dict[str, NDArray[np.float32]] = {}
    with _opened(file, held_to) as stream:
        width = _size_in(file, stream) if size is None else size
        for word, vector in _lines(file, stream, width, wanted):
            if vector is not None and word in wanted and word not in found:
                found[word] = vector
    if not found:
        raise StillhouseError(f"{brief_path(file)} has none of the {len(wanted):,} words of these texts")
    return found


def size_of(file: str) -> int:
    """How many numbers a word has, by most of the first lines: a word may hold blanks and numbers itself.

    Raises:
        StillhouseError: the file cannot be read, or has no such lines.
    """
    with _opened(file) as stream:
        return _size_in(file, stream)


def _size_in(file: str, stream: BinaryIO) -> int:
    with _decoded(stream) as lines:
        first = [line.rstrip().split(" ") for _, line in zip(range(_LOOKED_AT), lines, strict=False)]
    words = [fields[1:] for number, fields in enumerate(first, start=1) if not _says_nothing(number, fields)]
    sizes = [len(list(takewhile(_is_number, reversed(fields)))) for fields in words]
    if not sizes or not mode(sizes):
        raise StillhouseError(f"{brief_path(file)} has no words with their numbers in its first lines")
    return mode(sizes)


def _says_nothing(number: int, fields: list[str]) -> bool:
    """Whether a line is blank, or the head of word2vec and fastText: how many words there are, of how many numbers."""
    return fields == [""] or (number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields))


def hash_vectors(file: str) -> str:
    """SHA-256 of the file.

    Raises:
        StillhouseError: it cannot be read.
    """
    try:
        return hash_file(Path(file).expanduser())
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(file, error) from None


@contextmanager
def _opened(file: str, held_to: str | None = None) -> Iterator[BinaryIO]:
    try:
        with opened(Path(file).expanduser(), held_to, brief_path(file)) as stream:
            yield stream
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(file, error) from None


@contextmanager
def _decoded(stream: BinaryIO) -> Iterator[TextIOWrapper]:
    """The lines from the beginning."""
    stream.seek(0)
    lines = TextIOWrapper(stream, encoding="utf-8-sig")
    try:
        yield lines
    finally:
        if not stream.closed:
            lines.detach()  # it is the caller's to close


def _lines(
    file: str, stream: BinaryIO, size: int, wanted: Collection[str] | None = None
) -> Iterator[tuple[str, NDArray[np.float32] | None]]:
    """Each line's word, and its vector if it is wanted."""
    with _decoded(stream) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip().split(" ")
            if _says_nothing(number, fields):
                continue
            word = " ".join(fields[:-size])
            # The first lines are looked at in any case: a word that nobody wants tells of the size too.
            if word and (number <= _LOOKED_AT or wanted is None or word in wanted):
                yield word, _vector(fields, size, f"{brief_path(file)}, line {number}")
            elif not word:
                raise _other_size(len(fields) - 1, size, f"{brief_path(file)}, line {number}")
            else:
                yield word, None


def _vector(fields: list[str], size: int, where: str) -> NDArray[np.float32]:
    extra = fields[1:-size]
    if extra and all(_is_number(field) for field in extra):
        raise _other_size(len(fields) - 1, size, where)
    try:
        vector = np.array(fields[-size:], np.float32)
    except ValueError:
        raise StillhouseError(f"{where}: {brief(' '.join(fields))} is not a word and its numbers") from None
    if not np.isfinite(vector).all():
        raise StillhouseError(f"{where} holds a number that is not finite")
    return vector


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _other_size(found: int, size: int, where: str) -> StillhouseError:
    return StillhouseError(f"{where} has {max(found, 0)} numbers, not {size}")


def _unreadable(file: str, error: Exception) -> StillhouseError:
    reason = getattr(error, "strerror", None) or ("not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error))
    return StillhouseError(f"{brief_path(file)} cannot be read: {reason}")
