"""The one exception that people are meant to read, and how text from outside gets into a line for them."""

import difflib
import errno
import re
from collections.abc import Iterator, Sequence

_LONGEST_MESSAGE = 1200
_NO_MEMORY = ("out of memory", "can't allocate memory", "Cannot allocate memory")
_FULL = ("No space left on device", "disk is full")
_LOGIN_IN_URL = re.compile(r"(?<=://)[^\s/?#]*@")


class StillhouseError(Exception):
    """Something a person can mend; the message is one line: what is wrong, where, what to do.

    The command line prints the message without a traceback and exits with code 2. Whatever names, paths and texts it
    is put together from, it is one printable line without passwords: it also goes to logs, records and servers.
    """

    def __init__(self, message: str) -> None:
        """Takes the message."""
        super().__init__(printable(without_logins(message), _LONGEST_MESSAGE))


class DivergedError(StillhouseError):
    """A training's loss is no number any more: what it is to learn with does not do."""


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    behind: BaseException | None = error
    while behind is not None:
        yield behind
        behind = behind.__cause__ or behind.__context__


def one_line(error: BaseException) -> str:
    """An error's message as part of one line: ours as it is; a library's folded, escaped and cut to 300 characters."""
    if isinstance(error, StillhouseError):
        return str(error)
    text = " ".join(str(error).split()) or type(error).__name__
    return printable(without_logins(text), 300)


def says_disk_is_full(error: BaseException) -> bool:
    """Whether an error is that of a full disk, by its number or, where a library wrapped it, by its words."""
    number = error.errno if isinstance(error, OSError) else None
    return number in (errno.ENOSPC, errno.EDQUOT) or any(words in str(error) for words in _FULL)


def says_out_of_memory(error: BaseException) -> bool:
    """Whether an error is that of memory that ran out, of the machine or of its GPU; torch's is told by its words."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def says_tokenizer_fails(error: BaseException) -> bool:
    """Whether an error is that of a tokenizer that fails at a text."""
    # By its name: `models` takes seconds to import.
    return type(error).__name__ == "TokenizerError"


def printable(text: str, longest: int) -> str:
    """A text that cannot break a line or steer a terminal, cut to so many characters; what is not printable is escaped.

    Escapes of colours, of the cursor or of the writing direction, halves of characters and the like become `\\x1b`.
    """
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def brief(value: object) -> str:
    """A value from outside as it may stand in a one-line message: in quotation marks if it is text, escaped, short."""
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def brief_path(path: object) -> str:
    """A file's name for a message: as it is, unless it would not fit one printable line; of a very long one, the ends.

    A person wants to copy the name, so it is not cut where names can still be real.
    """
    text = str(path)
    text = text if len(text) <= 400 else f"{text[:100]}...{text[-100:]}"
    return text if text.isprintable() else ascii(text)


def without_logins(text: str) -> str:
    """A text in which addresses have lost user and password: `http://user:password@host/` is `http://host/`."""
    return _LOGIN_IN_URL.sub("", text)


def closest(word: str, known: Sequence[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"
