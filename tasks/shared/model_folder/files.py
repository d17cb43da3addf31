"""The files of a model's folder: which are there, whole and of a sane kind; pickled weights are never read."""

import json
import stat
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tasks.shared.errors import StillhouseError, brief, brief_path, one_line

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"
_JSON = (_SETTINGS, "special_tokens_map.json", "added_tokens.json", "generation_config.json")
_VOCABULARIES = ("tokenizer*", "*vocab*", "*.model", "*.spm", "*.tiktoken", "bpe.codes")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
_LARGEST_JSON = 200_000_000
_DEEPEST_JSON = 200

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "token": lambda value: isinstance(value, str | dict | bool),  # some names that end so are switches
    "model_max_length": lambda value: isinstance(value, int | float) and value >= 1,
    "padding_side": lambda value: value in ("left", "right"),
    "truncation_side": lambda value: value in ("left", "right"),
    "tokenizer_class": lambda value: isinstance(value, str),
    "do_lower_case": lambda value: isinstance(value, bool),
    "model_input_names": lambda value: isinstance(value, list),
    "added_tokens_decoder": lambda value: isinstance(value, dict),
    "extra_special_tokens": lambda value: isinstance(value, list | dict),
}
"""What a tokenizer's settings may be, `token` those of each special token; null is any of them."""

Shapes = Mapping[str, tuple[int, ...]]


def check_files(folder: Path, where: str) -> None:
    """Raises StillhouseError unless a folder has a model's files, each one a plain file; `where` begins the message."""
    shown = brief_path(folder)
    if not (folder / CONFIG).is_file():
        raise StillhouseError(f"{where}{shown} is not a model folder, it has no config.json")
    _check_plain(folder, where)
    for name in (CONFIG, *_JSON):
        if (folder / name).exists():
            read_json(folder / name, where)
    if not any((folder / name).is_file() for name in (WEIGHTS, INDEX)):
        raise no_weights(shown, where, pickled=any(any(folder.glob(pattern)) for pattern in _PICKLED))


def check_tokenizer_files(folder: Path, where: str) -> None:
    """Raises StillhouseError where transformers could not read the folder's tokenizer, or would make one up."""
    if (folder / _SETTINGS).is_file():
        _check_settings(folder / _SETTINGS, where)
    if (folder / TOKENIZER).is_file():
        return
    shown = brief_path(folder)
    pieces = sorted(file.name for pattern in ("*.model", "*.spm") for file in folder.glob(pattern))
    if pieces and find_spec("sentencepiece") is None:
        raise StillhouseError(
            f"{where}{shown} has no tokenizer.json, and reading its {pieces[0]} takes the package sentencepiece, which "
            "is missing; where it is installed, AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes "
            "tokenizer.json"
        )
    if not any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):
        raise StillhouseError(
            f"{where}{shown} has no tokenizer files; save them with it: tokenizer.save_pretrained(FOLDER)"
        )


def _check_settings(file: Path, where: str) -> None:
    """Raises StillhouseError where a tokenizer's settings are of kinds at which transformers fails, often late."""
    for name, value in read_json(file, where).items():
        fits = _KINDS.get("token" if name.endswith("_token") and not name.startswith("add_") else name)
        if fits and value is not None and not fits(value):
            raise StillhouseError(
                f"{where}{brief_path(file)} says {name}: {brief(value)}, which cannot be; copy it again"
            )


def no_weights(what: str, where: str, pickled: bool) -> StillhouseError:
    """The error for a model without weights that are read; `pickled` ones may be there."""
    said = f"{where}{what} has no .safetensors weights; "
    if not pickled:
        return StillhouseError(f"{said}save it again with model.save_pretrained(FOLDER)")
    return StillhouseError(
        f'{said}convert it (pickled ones are never read), where you trust it: python -c "from transformers import '
        "AutoModelForSequenceClassification as M; M.from_pretrained('FOLDER').save_pretrained('FOLDER')\""
    )


def read_json(file: Path, where: str) -> dict[str, Any]:
    """The object in a file.

    Raises:
        StillhouseError: it is broken, absurdly large or deep, or holds something else.
    """
    try:
        if file.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"larger than {_LARGEST_JSON // 10**6} MB")
        text = file.read_text(encoding="utf-8")
        if _deep(text):
            raise ValueError(f"nested more than {_DEEPEST_JSON} deep")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise StillhouseError(f"{where}{brief_path(file)} is broken ({one_line(error)}); copy it again") from None
    if not isinstance(found, dict):
        raise StillhouseError(f"{where}{brief_path(file)} is broken, it holds no object; copy it again")
    return found


def _deep(text: str) -> bool:
    """Whether so many brackets follow one another that no model's file would have them."""
    return any(sign * _DEEPEST_JSON in text for sign in "[{")


def read_shapes(folder: Path, where: str) -> Shapes:
    """The shapes of a folder's weights by name, from the headers, which also say how long each file has to be.

    Raises:
        StillhouseError: a file is missing, cut off or damaged, or lies outside the folder.
    """
    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file():
        named = read_json(folder / INDEX, where).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise StillhouseError(f"{where}{brief_path(folder / INDEX)} names no weights; copy it again")
        names = sorted({str(name) for name in named.values()})
    shapes: dict[str, tuple[int, ...]] = {}
    for name in names:
        if Path(name).name != name:
            raise StillhouseError(f"{where}{brief_path(folder / INDEX)} names weights outside its folder")
        shapes |= _shapes_in(folder / name, where)
    return shapes


def _shapes_in(file: Path, where: str) -> Shapes:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as weights:
            return {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        advice = "copy or download it again (with git: git lfs pull)"
        raise StillhouseError(
            f"{where}the weights {brief_path(file)} are missing or cut off ({one_line(error)}); {advice}"
        ) from None


def _check_plain(folder: Path, where: str) -> None:
    """Raises StillhouseError where a name that is read stands for a folder, a pipe or the like: reading may not end."""
    try:
        for file in sorted(folder.iterdir()):
            read = file.suffix in (".json", ".txt", ".model", ".safetensors")
            if file.is_symlink() and not file.exists():
                kind = "a link that leads nowhere" if read else ""
            elif stat.S_ISDIR(mode := file.stat().st_mode):
                kind = "a folder" if read else ""
            else:
                kind = "" if stat.S_ISREG(mode) else "a device or a pipe"
            if kind:
                raise StillhouseError(f"{where}{brief_path(file)} is {kind}, not a plain file; copy the model again")
    except OSError as error:
        raise StillhouseError(f"{where}{brief_path(folder)} cannot be read: {one_line(error)}") from None
