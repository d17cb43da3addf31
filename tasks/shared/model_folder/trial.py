"""Reads texts with a tokenizer, in a process of its own with so much processor time and memory; see `tokenizer.py`.

`python -I trial.py TOKENIZER.json LOADING READING BYTES CHARACTERS`, with seconds for both, exits with 0, or with
`REFUSED` and what is wrong on its output, or is ended by the system. It imports nothing of ours: that takes longer.
"""

import contextlib
import math
import os
import resource
import sys
import time
from collections.abc import Iterator

REFUSED = 3
LONG = 3000
"""Characters of the texts that it reads."""


def _probes(characters: str) -> Iterator[str]:
    """Long runs of the same character, which send patterns back and forth."""
    for character in characters:
        yield character * LONG + "!"
    yield "aA1 _-.,\t" * (LONG // 9)


def _limit(kind: int, most: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system keeps every limit
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _give(seconds: int) -> None:
    """Ends this process once it has used so much processor time from now on."""
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + seconds)


def _try(file: str, loading: int, reading: int, characters: str) -> None:
    from tokenizers import Tokenizer

    _give(loading)
    tokenizer = Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _give(reading)
    for text in _probes(characters):
        with contextlib.suppress(Exception):  # a character that it does not know is none of its faults
            tokenizer.encode(text)


def _main(file: str, loading: str, reading: str, size: str, characters: str) -> int:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, int(size))
    try:
        _try(file, int(loading), int(reading), characters)
    except BaseException as error:  # a panic of Rust is no Exception
        print(" ".join(str(error).split())[:300] or type(error).__name__)
        return REFUSED
    return 0


if __name__ == "__main__":
    code = _main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # taking a large vocabulary apart takes as long as loading it
