"""Where the label store keeps its files: a folder, or anything that fsspec reaches (s3://, gs://, file://).

A file is there whole or not at all, and is never changed: on a disk by renaming it into place, in an object store by
putting it in one piece.
"""

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tasks.shared.errors import StillhouseError, brief_path, one_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Answer = TypeVar("Answer")

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class Files(Protocol):
    """Files by name: names are relative, with `/` between folders."""

    place: str
    """Where that is, for people."""

    def names(self, folder: str) -> list[str]:
        """Names of the files right in a folder, without it, in order; none where there is no such folder."""

    def folders(self) -> list[str]:
        """Names of the folders at the top, in order."""

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError."""

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Several files' bytes, side by side where that is faster."""

    def write(self, name: str, content: bytes) -> None:
        """Makes a file, whole or not at all; one of that name is replaced."""


def open_files(place: str | Path) -> Files:
    """The files at a folder or URL; nothing is made or asked yet.

    Raises:
        StillhouseError: nothing here reaches such a URL.
    """
    if isinstance(place, Path) or "://" not in place:
        return FolderFiles(Path(place).expanduser())
    try:
        parts = urlsplit(place)
    except ValueError as error:
        raise StillhouseError(f"labelling.store: {brief_path(place)} is no address: {one_line(error)}") from None
    if parts.scheme == "file":
        return FolderFiles(Path(url2pathname(parts.path)))
    return RemoteFiles(place)


class FolderFiles:
    """Files below a folder of this machine, or of a disk that several share."""

    def __init__(self, root: Path) -> None:
        """Takes the folder, which need not exist."""
        self._root = root.absolute()
        self.place = brief_path(self._root)

    def names(self, folder: str) -> list[str]:
        """See `Files`."""
        try:
            return sorted(entry.name for entry in os.scandir(self._root / folder) if entry.is_file())
        except FileNotFoundError:
            return []

    def folders(self) -> list[str]:
        """See `Files`."""
        try:
            return sorted(entry.name for entry in os.scandir(self._root) if entry.is_dir())
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise StillhouseError(f"the label store {self.place} is a file; name a folder") from None

    def read(self, name: str) -> bytes:
        """See `Files`."""
        return (self._root / name).read_bytes()

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """See `Files`."""
        return [self.read(name) for name in names]

    def write(self, name: str, content: bytes) -> None:
        """See `Files`."""
        file = self._root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            with temporary.open("xb") as writing:
                writing.write(content)
                writing.flush()
                os.fsync(writing.fileno())
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class RemoteFiles:
    """Files in an object store, through fsspec; credentials come from the environment, as that store's tools do it."""

    def __init__(self, url: str) -> None:
        """Takes the URL.

        Raises:
            StillhouseError: no package here reaches it.
        """
        self._fs, self._root = _filesystem(url)
        self.place = brief_path(url)

    def names(self, folder: str) -> list[str]:
        """See `Files`."""
        return [name for name, kind in self._list(f"{self._root}/{folder}") if kind == "file"]

    def folders(self) -> list[str]:
        """See `Files`."""
        return [name for name, kind in self._list(self._root) if kind == "directory"]

    def _list(self, folder: str) -> list[tuple[str, str]]:
        self._fs.invalidate_cache()  # others write here too
        try:
            found = self._ask(lambda: self._fs.ls(folder, detail=True))
        except FileNotFoundError:
            return []
        return sorted((entry["name"].rstrip("/").rpartition("/")[2], entry["type"]) for entry in found)

    def read(self, name: str) -> bytes:
        """See `Files`."""
        return self._ask(lambda: bytes(self._fs.cat_file(f"{self._root}/{name}")))

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """See `Files`."""
        paths = [f"{self._root}/{name}" for name in names]
        found = self._ask(lambda: self._fs.cat(paths)) if paths else {}
        return [found[path] for path in paths]

    def write(self, name: str, content: bytes) -> None:
        """See `Files`."""
        try:
            self._ask(lambda: self._fs.pipe_file(f"{self._root}/{name}", content))
        except FileNotFoundError as error:  # the bucket is not there
            raise self._refusal(error) from None

    def _ask(self, request: "Callable[[], Answer]") -> Answer:
        """What the store answers; whatever its package raises becomes one clear line."""
        try:
            return request()
        except FileNotFoundError:
            raise
        except Exception as error:  # each store has exceptions of its own
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> StillhouseError:
        return StillhouseError(f"the label store at {self.place} refuses: {one_line(error)}")


def _filesystem(url: str) -> "tuple[AbstractFileSystem, str]":
    import fsspec

    scheme = url.partition("://")[0]
    try:
        fs, root = fsspec.url_to_fs(url)
    except ImportError:
        package = _PACKAGES.get(scheme, "the package that fsspec names for it")
        raise StillhouseError(f"labelling.store: {scheme}:// takes {package}; install it with pip") from None
    except (ValueError, OSError) as error:
        raise StillhouseError(f"labelling.store: {brief_path(url)} is no place for files: {one_line(error)}") from None
    return fs, str(root).rstrip("/")
