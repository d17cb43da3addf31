"""Outputs: directories named by their key, complete once their manifest is there.

The *key* is the hash of everything that decides an output, known before it is made: where to look. The *digest*
is the hash of the bytes that are there. Keys are built from the digests of inputs, never from their keys.
"""

import hashlib
import json
import os
import shutil
import socket
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tasks.shared.errors import StillhouseError, brief_path

SCHEMA = 1
MANIFEST = "manifest.json"
_NAME = 32
"""Digits of its key that an output's folder is named by; see `Step.folder`."""

Json = Any


@dataclass(frozen=True)
class Output:
    """A complete output.

    Attributes:
        path: its folder.
        key: what decided it.
        digest: SHA-256 over its files, those that only measure this machine left out.
        facts: the counts and figures that the step wrote down.
        made_by: the tracked run that made it, by name of the tracker's id.
        files: SHA-256 of each file, by its name relative to the folder, as it was written.
    """

    path: Path
    key: str
    digest: str
    facts: Mapping[str, Json]
    made_by: str | None
    files: Mapping[str, str]


def hash_of(parts: Json) -> str:
    """SHA-256 (64 hex digits) of plain data: the same for the same content, whatever the order of keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path, ignore: frozenset[str] = frozenset()) -> str:
    """SHA-256 over the names and bytes of all files in a folder, but those whose relative names are in `ignore`."""
    return hash_of({name: sha for name, sha in hash_files(folder).items() if name not in ignore})


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that `hash_folder` is over, by its relative name."""
    return {name: sha for name, (sha, _) in _files(folder).items()}


def find_output(folder: Path) -> Output | None:
    """The complete output in a folder, or None where there is none (then what is there may be made again).

    Its files are there, with the right sizes; `tasks.shared.verified` tells whether they hold the right bytes.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            return None
        if manifest["key"][:_NAME] != folder.name:  # another one's folder, put here
            return None
        sizes = {name: entry["bytes"] for name, entry in manifest["files"].items()}
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
        files = {name: str(entry["sha256"]) for name, entry in manifest["files"].items()}
        if "measured" in manifest and manifest["digest"] != _digest_of(files, manifest["measured"]):
            return None
        return Output(folder, manifest["key"], manifest["digest"], manifest["facts"], manifest["made_by"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def make_output(
    folder: Path,
    key: str,
    inputs: Mapping[str, Json],
    fill: Callable[[Path], Mapping[str, Json]],
    made_by: str | None = None,
    measured: frozenset[str] = frozenset(),
) -> Output:
    """Makes an output whole or not at all; replaces one that is there.

    Args:
        folder: where it will be.
        key: its key.
        inputs: what the key was built from, for the manifest.
        fill: writes the files into a temporary folder and returns the facts.
        made_by: id of the tracked run.
        measured: files that only measure this machine, left out of the digest.
    """
    temporary = temporary_beside(folder)
    try:
        facts = dict(fill(temporary))
        _as_others_are(temporary)
        written = _files(temporary)
        files = {name: {"sha256": sha, "bytes": size} for name, (sha, size) in written.items()}
        manifest = {
            "schema": SCHEMA,
            "key": key,
            "digest": _digest_of({name: sha for name, (sha, _) in written.items()}, measured),
            "measured": sorted(measured),
            "facts": facts,
            "inputs": inputs,
            "files": files,
            "made_by": made_by,
        }
        write_json(temporary / MANIFEST, manifest)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    output = find_output(folder)
    if output is None:
        raise StillhouseError(f"{folder} changed while it was being written; run again")
    return output


def temporary_beside(folder: Path) -> Path:
    """A new folder beside an output's, in which what is to be there is made; garbage if nobody takes it away."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir(parents=True)
    return temporary


def _as_others_are(folder: Path) -> None:
    """Gives files that a library made for their owner alone, under a temporary name, the mode that other files get."""
    usual = folder / f".{MANIFEST}"
    usual.touch()
    mode = usual.stat().st_mode
    usual.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mode != mode:
            path.chmod(mode)


def _digest_of(files: Mapping[str, str], measured: Collection[str]) -> str:
    return hash_of({name: sha for name, sha in files.items() if name not in measured})


def read_json(file: Path) -> Json:
    """What a JSON file says.

    Raises:
        StillhouseError: it is gone or damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        why = f"{brief_path(file)} cannot be read ({error.strerror})"
        raise StillhouseError(f"{why}; run the recipe again, which makes what is missing") from None
    except ValueError:
        raise StillhouseError(f"{brief_path(file)} is damaged; run the recipe again") from None


def read_versioned(file: Path, version: int) -> Json:
    """What a JSON file of a schema with a version says.

    Raises:
        StillhouseError: it is gone, damaged, or of another version.
    """
    content = read_json(file)
    if not isinstance(content, dict) or content.get("version") != version:
        raise StillhouseError(f"{brief_path(file)} is damaged or not of version {version}; run the recipe again")
    return content


def write_json(path: Path, content: Json) -> None:
    """Writes JSON for people and programs: indented, UTF-8, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside a path, that takes its place once it is complete; what is linked there is not written."""
    # Named for the thread too: that of an interruption may write a record while the run is writing it.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(lock: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock that the system drops when its owner dies.

    Args:
        lock: the lock file.
        waiting: called once with the owner, if somebody else holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    owner = lock.with_suffix(".owner")
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        waiting(_owner(owner))
        held.acquire()
    try:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        held.release()


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _files(folder: Path) -> dict[str, tuple[str, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            found[path.relative_to(folder).as_posix()] = (hash_file(path), path.stat().st_size)
    return found
