"""Files of the user's whose digest is in a key: what is read must be what was hashed, whatever was done to it between.

Every look is at the bytes. Dates and sizes can be set back, and a file system's clock may not have ticked yet.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.outputs import MANIFEST, hash_file, hash_files, hash_of


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


@dataclass(frozen=True)
class HeldModel:
    """A model's folder, held to what it was when it was hashed.

    Attributes:
        path: its Hugging Face folder.
        digest: what `hash_folder` gave of it.
        files: SHA-256 in hex of its own files by name: what is in its folders is not read with it, and one of these may
            be our workspace.
        ignore: names of files that do not matter.
    """

    path: Path
    digest: str
    files: Mapping[str, str]
    ignore: frozenset[str]

    def check(self, where: str) -> None:
        """Finds out whether all is still as it was.

        To be called when the model has been read, and again when it is not used any more: its weights are mapped into
        memory, so that what is written to the file meanwhile may show in them.

        Args:
            where: the recipe's path of the setting, for messages.

        Raises:
            StillhouseError: it was changed.
        """
        try:
            now = {path.name for path in self.path.iterdir() if path.is_file()} - self.ignore - {MANIFEST}
            same = now == self.files.keys() and all(hash_file(self.path / name) == self.files[name] for name in now)
        except OSError:  # taken away
            same = False
        if not same:
            raise changed(f"{where}: {brief_path(self.path)}")


def hold_model(folder: Path, ignore: frozenset[str] = frozenset()) -> HeldModel:
    """Hashes a model's folder, but for the files of those names."""
    every = {name: sha for name, sha in hash_files(folder).items() if name not in ignore}
    own = {name: sha for name, sha in every.items() if "/" not in name}
    return HeldModel(folder, hash_of(every), own, ignore)
