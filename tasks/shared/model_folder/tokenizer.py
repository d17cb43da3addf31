"""Whether a tokenizer comes to an end: one with patterns of its own is tried in a process that can be ended."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.shared.errors import StillhouseError, brief_path, one_line, printable
from tasks.shared.model_folder.files import TOKENIZER, read_json
from tasks.shared.model_folder.trial import LONG, REFUSED
from tasks.shared.serving.environment import bare_environment

_SECONDS, _BYTES_A_SECOND = 2, 2_000_000
"""Processor time for the texts, which is that for loading too, and the size that is given a second more to load."""
_MEMORY, _TIMES = 2_000_000_000, 200
"""Memory of a trial, and the times of its size that a file is given beside it: a trie of 250,000 tokens is large."""
_PATIENCE = 60.0
_CHARACTERS, _MOST_CHARACTERS = "a 1.\n'é中", 40
"""What the texts of a trial are made of, beside the characters that patterns name, and how many at most."""
_PLAIN = (
    "BertNormalizer Lowercase NFC NFD NFKC NFKD Nmt Prepend Strip StripAccents Sequence BertPreTokenizer ByteLevel "
    "CharDelimiterSplit Digits Metaspace Punctuation UnicodeScripts Whitespace WhitespaceSplit BertProcessing "
    "RobertaProcessing TemplateProcessing"
)
"""Parts of a tokenizer that take a time that grows with the text, and nothing else."""


def check_tokenizer(folder: Path, where: str) -> None:
    """Raises StillhouseError where a folder's tokenizer takes time or memory without end, fails to load, or panics."""
    file = folder / TOKENIZER
    if not file.is_file():
        return
    content = read_json(file, where)
    parts = [content.get(name) for name in ("normalizer", "pre_tokenizer", "post_processor")]
    if set(_said_of("type", parts)) <= set(_PLAIN.split()):
        return
    named = "".join(_said_of("pattern", parts))
    characters = "".join([*dict.fromkeys(_CHARACTERS + named)][:_MOST_CHARACTERS]).replace("\0", "")
    found = file.stat()
    said = _trial(file, characters, found.st_size, found.st_mtime_ns, found.st_ino)
    if said:
        raise StillhouseError(
            f"{where}the tokenizer {brief_path(file)} cannot be used: {said}; copy it again, or take another model"
        )


def _said_of(name: str, part: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """What parts of a tokenizer, and those that they are made of, hold under a name; special tokens are no parts."""
    if isinstance(part, dict):
        if name in part:
            yield str(part[name])
        part = [value for key, value in part.items() if key != "special_tokens"]
    for value in part if isinstance(part, list) else ():
        yield from _said_of(name, value)


@lru_cache
def _trial(file: Path, characters: str, size: int, *state: int) -> str:
    """What is wrong with a tokenizer, tried once for each state of its file; empty where nothing is."""
    memory = _MEMORY + _TIMES * size
    limits = (_SECONDS + size // _BYTES_A_SECOND, _SECONDS, memory)
    script = Path(__file__).with_name("trial.py")
    command = [sys.executable, "-I", str(script), str(file.absolute()), *map(str, limits), characters]
    environment = {**bare_environment(), "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {_PATIENCE:.0f} s for a few texts"
    except OSError as error:
        return f"it could not be tried ({one_line(error)})"
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"it takes more than {_SECONDS} s for a few texts of {LONG:,} characters"
    if done.returncode == REFUSED:
        return "it fails: " + printable(done.stdout.decode(errors="replace").strip(), 300)
    if done.returncode:
        return f"it takes more than {memory / 1e9:.0f} GB for a few texts of {LONG:,} characters, or crashes"
    return ""
