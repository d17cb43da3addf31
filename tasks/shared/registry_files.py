"""The files of registered models: where they are, or a copy of them that is fetched once from a server."""

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.mlflow_model import HUGGING_FACE, quiet_mlflow
from tasks.shared.outputs import hash_folder, hash_of, locked
from tasks.shared.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository


class UnusableVersionError(StillhouseError):
    """A version cannot be used: its files are not what was registered, or are of another kind, or are gone."""


class VersionGoneError(UnusableVersionError):
    """The files of a version are not to be had from here; where it was registered they may well be."""


def model_folder(address: str, source: str, sha: str, registry: str) -> Path:
    """The Hugging Face folder of a version: where it is, or a copy in the workspace.

    Args:
        address: of the version, for messages.
        source: where MLflow keeps its files.
        sha: of the folder, when it was registered.
        registry: MLflow's address of the registry.

    Raises:
        UnusableVersionError: it is not what was registered.
        VersionGoneError: it is not there.
    """
    folder = local_folder(source)
    if folder is None:
        return _copy(address, source, sha, registry)
    if not _names(address, source, registry):
        raise _gone(address, source)
    _check(folder, address, source, sha)
    return folder


def check_files(address: str, source: str, registry: str) -> None:
    """Finds out cheaply, by names alone, whether a version has files where it should; a copy here does not count.

    Raises:
        UnusableVersionError: some are missing.
        VersionGoneError: all are.
    """
    names = _names(address, source, registry)
    if not names:
        raise _gone(address, source)
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise UnusableVersionError(f"some files of {address} are missing from {source}")


def fetch_lock(workspace: Workspace, name: str) -> Path:
    """Whoever makes, replaces or removes a copy holds this; `name` is the copy's, or a temporary one of it."""
    return workspace.locks / f"fetch-{name.lstrip('.')[:16]}.lock"


def local_folder(source: str) -> Path | None:
    """The Hugging Face folder, if the files are on this machine or were when they were registered."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    if not is_local_uri(source):  # type: ignore[no-untyped-call]
        return None
    return Path(local_file_uri_to_path(source)) / HUGGING_FACE  # type: ignore[no-untyped-call]


def _names(address: str, source: str, registry: str) -> set[str]:
    """Names of the files in the Hugging Face folder."""
    from mlflow.exceptions import MlflowException

    try:
        folder = local_folder(source)
        if folder is not None:
            return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        return {Path(file.path).name for file in _repository(source, registry).list_artifacts(HUGGING_FACE)}
    except (MlflowException, OSError, ImportError) as error:  # it takes packages to read some stores
        raise VersionGoneError(f"cannot look for the files of {address} at {source}: {one_line(error)}") from None


def _copy(address: str, source: str, sha: str, registry: str) -> Path:
    workspace = open_workspace()
    copy = workspace.registry / hash_of([sha])  # a tag may say anything, so it is no name for a folder
    with locked(fetch_lock(workspace, copy.name), lambda owner: None):
        for stale in workspace.registry.glob(f".{copy.name}.*"):  # of a fetch that was killed: the lock is ours
            shutil.rmtree(stale, ignore_errors=True)
        if copy.is_dir() and hash_folder(copy) == sha:
            return copy
        shutil.rmtree(copy, ignore_errors=True)
        if not _names(address, source, registry):
            raise _gone(address, source)
        _fetch(address, source, sha, registry, copy)
    return copy


def _fetch(address: str, source: str, sha: str, registry: str, copy: Path) -> None:
    """Copies the Hugging Face folder of a version whole or not at all."""
    from mlflow.exceptions import MlflowException

    temporary = copy.with_name(f".{copy.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir(parents=True)
    try:
        with quiet_mlflow():
            repository = _repository(source, registry)
            found = Path(repository.download_artifacts(HUGGING_FACE, str(temporary)))  # type: ignore[no-untyped-call]
        _check(found, address, source, sha)
        found.rename(copy)
    except (MlflowException, OSError) as error:
        raise VersionGoneError(f"cannot fetch {address} from {source}: {one_line(error)}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _repository(source: str, registry: str) -> "ArtifactRepository":
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(source, tracking_uri=registry)


def _check(folder: Path, address: str, source: str, sha: str) -> None:
    if hash_folder(folder) != sha:
        what = f"the files of {address} at {source} are not those that were registered"
        raise UnusableVersionError(f"{what}; run its recipe with --force register, which registers them anew")


def _gone(address: str, source: str) -> VersionGoneError:
    return VersionGoneError(f"the files of {address} are gone from {source}")
