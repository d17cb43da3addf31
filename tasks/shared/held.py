"""Files of the user's whose digest is in a key: what is read must be what was hashed, whatever was done to it between.

Every look is at the bytes. Dates and sizes can be set back, and a file system's clock may not have ticked yet.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import hash_folder


def changed(at: str) -> StillhouseError:
    """The error for what is not any more what its key says; `at` says where it is named, and its name."""
    return StillhouseError(f"{at}: changed while it was being read; run again")


@contextmanager
def opened(path: Path, digest: str | None, at: str) -> Iterator[BufferedReader]:
    """Opens a file once, and once it is read finds out whether it had the bytes that its digest is of.

    It is hashed through the same descriptor, after the reading: what has its path by then is no matter. A reading that
    is given up by its caller proves nothing and is not looked at; one that fails may have failed for that reason.

    Args:
        path: of the file.
        digest: SHA-256 in hex of what is to be read; None where no key rests on it.
        at: what stands before a message: where the recipe names the file, and its name.

    Raises:
        OSError: it cannot be opened.
        StillhouseError: it was changed, or cannot be read to its end.
    """
    with path.open("rb") as stream:
        try:
            yield stream
        except Exception:
            _check(stream, digest, at)
            raise
        _check(stream, digest, at)


def _check(stream: BufferedReader, digest: str | None, at: str) -> None:
    if digest is None:
        return
    try:
        stream.seek(0)
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StillhouseError(f"{at}: cannot be read: {error.strerror}") from None
    if found != digest:
        raise changed(at) from None


def check_folder(folder: Path, digest: str, at: str, ignore: frozenset[str] = frozenset()) -> None:
    """Finds out whether a model's folder still has the digest that `hash_folder` gave.

    To be called when the model has been read, and again when it is not used any more: its weights are mapped into
    memory, so that what is written to the file meanwhile may show in them.

    Raises:
        StillhouseError: it was changed.
    """
    try:
        found = hash_folder(folder, ignore)
    except OSError:  # a file was taken away between listing and reading
        found = ""
    if found != digest:
        raise changed(at)
