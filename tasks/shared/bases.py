"""Where a teacher's model comes from: a folder, a sample, the registry or the hub; always ends as a local folder."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tasks.shared.class_names import MEASURE, columns_by_name, renamed
from tasks.shared.errors import StillhouseError, brief, brief_path, one_line
from tasks.shared.hub import files_on_hub
from tasks.shared.model_folder.files import INDEX, WEIGHTS, no_weights
from tasks.shared.model_folder.look import ModelFolder, check_names, look_at
from tasks.shared.recipe_teaching import Teacher
from tasks.shared.registry import Registry
from tasks.shared.registry_version import SCHEME
from tasks.shared.samples import sample_model, verify_sample_model
from tasks.shared.workspace import find_workspace

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]
"""What is fetched from the hub: no pickled weights, no code."""
_MOST_IN_EXAMPLE = 10


@dataclass(frozen=True)
class Base:
    """A model that was found.

    Attributes:
        path: its local folder.
        name: the recipe's name of it; for a registered one, of the version that its alias points to now.
    """

    path: Path
    name: str


def find_base(model: str, where: str) -> Base:
    """Finds a model; fetches it if it is elsewhere.

    Args:
        model: a folder, `sample:NAME`, `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a hub id.
        where: the recipe's path of this setting, for messages.

    Raises:
        StillhouseError: there is no such model, or it has no safetensors weights.
    """
    if model.startswith("sample:"):
        return Base(_sample(verify_sample_model, model, where), model)
    if model.startswith(SCHEME):
        registry = Registry(find_workspace())
        version = registry.find(model, where)
        return Base(registry.folder(version), version.address)
    folder = _local_folder(model, where) or _from_hub(model, where, local_files_only=False)
    look_at(folder, f"{where}: ")
    return Base(folder.absolute(), model)


def check_base(model: str, where: str) -> ModelFolder | None:
    """Finds out, without loading or downloading weights, whether a model will be found and can be used.

    Gives what its files say of it, where they are here already.

    Args:
        model: as for `find_base`.
        where: the recipe's path of this setting, for messages.

    Raises:
        StillhouseError: it will not.
    """
    if model.startswith(SCHEME):
        registry = Registry(find_workspace())
        here = registry.folder_here(registry.find(model, where))
        return look_at(here, f"{where}: ") if here else None
    if model.startswith("sample:"):
        folder = _sample(sample_model, model, where)
    else:
        found = _local_folder(model, where) or _copy_of_hub(model, where)
        if found is None:
            return None
        folder = found
    return look_at(folder, f"{where}: ")


def check_classifier(found: ModelFolder, teacher: Teacher, where: str, classes: Sequence[str] | None) -> None:
    """Finds out, by its configuration alone, whether a model can be taken as it is.

    Args:
        found: what its files say of it.
        teacher: the recipe's words on it.
        where: the recipe's path of its model, for messages.
        classes: of the data, where they are known.

    Raises:
        StillhouseError: it is for another kind of task, or its classes are others.
    """
    named = found.config.get("id2label")
    problem_type = found.config.get("problem_type")
    outputs = len(named) if isinstance(named, dict) and named else found.config.get("num_labels", 2)
    try:
        if problem_type not in (None, "single_label_classification") or outputs == 1:
            from models.classifier import check_kind  # takes seconds, which good models need not wait for

            check_kind(problem_type, outputs)
        names = check_names(found, where)
        if classes is not None and names:
            _check_names(names, teacher, where, classes)
    except ValueError as error:
        raise StillhouseError(f"{where}: cannot use {brief_path(teacher.model)}: {one_line(error)}") from None


def _check_names(names: Sequence[str], teacher: Teacher, where: str, classes: Sequence[str]) -> None:
    """Raises ValueError where a model's classes are not the data's, StillhouseError where a mapping may help."""
    measured = teacher.classes == MEASURE
    if measured and len(names) == len(classes):
        return
    try:
        columns_by_name(renamed(names, teacher.classes), classes)
    except ValueError as error:
        key = f"{where.rpartition('.')[0]}.classes"
        if teacher.classes and not measured:
            raise ValueError(f"with {key} {one_line(error)}") from None
        if len(names) != len(classes) or len(names) > _MOST_IN_EXAMPLE:
            raise
        pairs = dict(zip(names, classes, strict=True))
        dumped = yaml.safe_dump(pairs, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
        example = dumped.strip()
        # Not as a library's message, which would be cut in the middle of the example.
        said = f"{where}: cannot use {brief_path(teacher.model)}: {one_line(error)}; where they mean the same, "
        raise StillhouseError(
            f"{said}say which is which, such as --set {shlex.quote(f'{key}={example}')}, or classes: {example} under "
            f"that teacher in the recipe; {key}={MEASURE} finds it out on dev"
        ) from None


def _sample(find: Callable[[str], Path], model: str, where: str) -> Path:
    try:
        return find(model)
    except StillhouseError as error:
        raise StillhouseError(f"{where}: {error}") from None


def _local_folder(model: str, where: str) -> Path | None:
    try:
        folder = Path(model).expanduser()
        if folder.is_dir():
            return folder
        if folder.exists():
            raise StillhouseError(f"{where}: {brief_path(model)} is a file; give the folder that it is in")
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, or ~ of nobody
        raise StillhouseError(f"{where}: {brief_path(model)} can be no folder: {one_line(error)}") from None
    if not _HUB_NAME.fullmatch(model):
        raise StillhouseError(f"{where}: {brief(model)} is neither a folder, sample:NAME, nor a hub id NAMESPACE/NAME")
    return None


def _copy_of_hub(model: str, where: str) -> Path | None:
    """The local copy of a model, where the hub does not answer; None where it says that it has a model to be used."""
    files = files_on_hub(model, None, where, "model")
    if files is None:
        return _from_hub(model, where, local_files_only=True)
    if "config.json" not in files:
        raise StillhouseError(f"{where}: {model} on the hub is no model for transformers, it has no config.json")
    if WEIGHTS not in files and INDEX not in files:
        raise no_weights(f"{model} on the hub", f"{where}: ", pickled=True)
    return None


def _from_hub(model: str, where: str, *, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=_HUB_FILES, local_files_only=local_files_only))
    except RepositoryNotFoundError:
        raise StillhouseError(
            f"{where}: the hub has no model {model}, or not without a login, and there is no such folder"
        ) from None
    except HFValidationError as error:
        raise StillhouseError(f"{where}: {model} can be no name on the hub ({one_line(error)})") from None
    except (HfHubHTTPError, OSError):
        raise StillhouseError(
            f"{where}: {model} is no folder here, and the hub cannot be reached; give a folder or sample:NAME"
        ) from None
