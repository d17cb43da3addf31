"""MLflow's Model Registry: versions of teachers and students, found by digest, alias or number, and used from disk."""

import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tasks.shared.errors import StillhouseError, one_line, without_logins
from tasks.shared.mlflow_model import HUGGING_FACE, quiet_mlflow, save_model
from tasks.shared.outputs import hash_folder, hash_of, locked
from tasks.shared.tracking_place import check_tracking_server, tracking_uri
from tasks.shared.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.store.entities import PagedList
    from mlflow.tracking import MlflowClient

CHAMPION, PREVIOUS = "champion", "previous"
SCHEME = "models:/"
_ADDRESS = re.compile(rf"{SCHEME}(?P<name>[^/@]+)(?:@(?P<alias>[\w.-]+)|/(?P<number>[1-9]\d{{0,8}}))")
_PREFIX = "stillhouse."

Answer = TypeVar("Answer")


class UnusableVersionError(StillhouseError):
    """A version is there, but its files are gone, are not what was registered, or are of another kind."""


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        name: of the registered model.
        number: of the version.
        tags: what was written on it, without the prefix `stillhouse.`; what others wrote is left out.
        aliases: that point to it, in order.
        created: when.
    """

    name: str
    number: int
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    created: datetime

    @property
    def address(self) -> str:
        """What names it, for MLflow and in a recipe."""
        return f"{SCHEME}{self.name}/{self.number}"


class Registry:
    """The registry of the tracking server, or of the database in the workspace. Looking makes nothing."""

    def __init__(self, workspace: Workspace) -> None:
        """Takes the place where runs are tracked."""
        self._workspace = workspace
        self._uri = tracking_uri(workspace)
        self.place = without_logins(self._uri)

    @property
    def identity(self) -> str:
        """Tells registries apart, in a hash; a new password, or a workspace that moves, is no other registry."""
        return hash_of(self.place.replace(str(self._workspace.root), ""))

    def versions(self) -> list[Version]:
        """All that a Stillhouse registered: by name, the newest first."""
        found = self._search(f"tags.`{_PREFIX}digest` LIKE '%'")
        aliases = {name: self._aliases(name) for name in sorted({version.name for version in found})}
        versions = [_version(version, aliases[version.name]) for version in found]
        return sorted(versions, key=lambda version: (version.name, -version.number))

    def with_digest(self, name: str, digest: str) -> Version | None:
        """The version of a model that was made from these very bytes; one that never became ready is removed."""
        complete = []
        for version in self._search(f"name = '{name}' AND tags.`{_PREFIX}digest` = '{digest}'"):
            if version.status == "READY":
                complete.append(version)
            else:
                self._ask(partial(_delete, version))
        return _version(complete[0], self._aliases(name)) if complete else None

    def with_alias(self, name: str, alias: str) -> Version | None:
        """The version that an alias points to."""
        number = self._aliases(name).get(alias)
        return None if number is None else self.get(name, number)

    def get(self, name: str, number: int) -> Version | None:
        """A version, if it is there."""
        found = self._ask(lambda client: client.get_model_version(name, str(number)))
        return _version(found, self._aliases(name)) if found else None

    def find(self, address: str, where: str) -> Version:
        """The version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names now.

        Args:
            address: as above.
            where: what asks for it, for messages.

        Raises:
            StillhouseError: there is none; the message says what there is.
        """
        parts = _ADDRESS.fullmatch(address)
        if parts is None:
            raise StillhouseError(f"{where}: {ascii(address)[:200]} is not models:/NAME@ALIAS or models:/NAME/VERSION")
        name, alias, number = parts["name"], parts["alias"], parts["number"]
        found = self.with_alias(name, alias) if alias else self.get(name, int(number))
        if found is None:
            ours = self.versions()
            same = [version for version in ours if version.name == name]
            known = [f"{SCHEME}{name}@{alias}" for version in same for alias in version.aliases]
            known += [version.address for version in same or ours]
            there = f"there is {', '.join(known[:5])}" if known else "nothing is registered there yet"
            raise StillhouseError(f"{where}: no {ascii(address)[1:-1]} in the registry at {self.place}; {there}")
        return found

    def add(self, name: str, model: Path, pairs: bool, run: str, tags: Mapping[str, str], scratch: Path) -> Version:
        """Registers a new version.

        Its tags come with it and its files before it, so that there is no half-made one.

        Args:
            name: of the registered model, made if need be.
            model: the Hugging Face folder.
            pairs: whether it reads pairs of texts.
            run: the tracked run that keeps its files.
            tags: what to write on it.
            scratch: a folder that is not there, and will not be.
        """

        def create(client: "MlflowClient") -> "ModelVersion":
            with quiet_mlflow():
                client.log_artifacts(run, str(scratch), name)
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            source = f"{client.get_run(run).info.artifact_uri}/{name}"
            prefixed = {_PREFIX + key: value for key, value in tags.items()}
            return client.create_model_version(name, source, run, prefixed, description=_description(tags))

        save_model(scratch, model, pairs)
        created = self._do(create)
        shutil.rmtree(scratch)
        return _version(created, {})

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Writes on a version, over what was there under the same names, and describes it anew."""
        for key, value in tags.items():
            name, number = _PREFIX + key, str(version.number)
            self._do(lambda client: client.set_model_version_tag(version.name, number, name, value))  # noqa: B023
        described = _description({**version.tags, **tags})
        self._do(lambda client: client.update_model_version(version.name, str(version.number), described))

    def point(self, alias: str, version: Version) -> None:
        """Lets an alias point to a version, and to no other."""
        self._do(lambda client: client.set_registered_model_alias(version.name, alias, str(version.number)))

    def tags_of_run(self, run: str) -> Mapping[str, str]:
        """What is written on a tracked run."""
        tags: Mapping[str, str] = self._do(lambda client: client.get_run(run).data.tags)
        return tags

    def folder(self, version: Version) -> Path:
        """The Hugging Face folder of a version: where it is, or, from a server, a copy that is made once.

        Raises:
            UnusableVersionError: it is gone, or not what was registered, or it was not registered by a Stillhouse.
        """
        sha = version.tags.get("sha256")
        if sha is None:
            raise UnusableVersionError(f"{version.address} was not registered by Stillhouse; it cannot be read safely")
        source = str(self._do(lambda client: client.get_model_version_download_uri(version.name, str(version.number))))
        folder = self._place(version, source, sha)
        if not (folder / "config.json").is_file():
            raise UnusableVersionError(f"the files of {version.address} are gone from {source}")
        if hash_folder(folder) != sha:
            raise UnusableVersionError(f"the files of {version.address} at {folder} are not those that were registered")
        return folder

    def _place(self, version: Version, source: str, sha: str) -> Path:
        from mlflow.utils.file_utils import local_file_uri_to_path
        from mlflow.utils.uri import is_local_uri

        if is_local_uri(source):  # type: ignore[no-untyped-call]
            return Path(local_file_uri_to_path(source)) / HUGGING_FACE  # type: ignore[no-untyped-call]
        workspace = open_workspace()
        copy = workspace.registry / hash_of([sha])  # a tag may say anything, so it is no name for a folder
        with locked(workspace.locks / f"fetch-{copy.name[:16]}.lock", lambda owner: None):
            if not copy.is_dir() or hash_folder(copy) != sha:
                shutil.rmtree(copy, ignore_errors=True)
                self._fetch(version, source, copy)
        return copy

    def _fetch(self, version: Version, source: str, copy: Path) -> None:
        """Copies the Hugging Face folder of a version whole or not at all, and not where there is none."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        temporary = copy.with_name(f".{copy.name[:8]}.{uuid.uuid4().hex[:8]}")
        temporary.mkdir(parents=True)
        try:
            with quiet_mlflow():
                repository = get_artifact_repository(source, tracking_uri=self._uri)
                if repository.list_artifacts(HUGGING_FACE):
                    found = repository.download_artifacts(HUGGING_FACE, str(temporary))  # type: ignore[no-untyped-call]
                    Path(found).rename(copy)
        except (MlflowException, OSError) as error:
            raise StillhouseError(f"cannot fetch {version.address} from {self.place}: {one_line(error)}") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _aliases(self, name: str) -> Mapping[str, int]:
        model = self._ask(lambda client: client.get_registered_model(name))
        return {alias: int(number) for alias, number in model.aliases.items()} if model else {}

    def _search(self, condition: str) -> "list[ModelVersion]":
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self._ask(partial(_page, condition, token))
            found.extend(page or [])
            token = page.token if page else None
            if not token:
                return found

    def _ask(self, question: "Callable[[MlflowClient], Answer]") -> Answer | None:
        """The answer, or None where there is no such thing, or no database yet."""
        if self._uri.startswith("sqlite:///") and not Path(self._uri.removeprefix("sqlite:///")).exists():
            return None
        try:
            return self._do(question)
        except _MissingError:
            return None

    def _do(self, request: "Callable[[MlflowClient], Answer]") -> Answer:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return request(self._client)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            missing = getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
            kind = _MissingError if missing else StillhouseError
            raise kind(f"the registry at {self.place} refuses: {one_line(error)}") from None

    @cached_property
    def _client(self) -> "MlflowClient":
        from tasks.shared.tracking import open_client

        check_tracking_server(self._workspace)
        return open_client(self._workspace)


class _MissingError(StillhouseError):
    """The registry has no such thing."""


def _description(tags: Mapping[str, str]) -> str:
    """What MLflow's pages say of a version: their column of tags is too narrow to be read."""
    said = [f"{float(tags['gate_score']):.1%} of the gate rows right"] if "gate_score" in tags else []
    said += [f"verdict {tags['verdict']}"] if "verdict" in tags else []
    said += [f"{'' if tags.get('promoted') == 'yes' else 'not '}promoted: {tags['reason']}"] if "reason" in tags else []
    return "; ".join(said)


def _page(condition: str, token: str | None, client: "MlflowClient") -> "PagedList[ModelVersion]":
    return client.search_model_versions(condition, page_token=token)


def _delete(version: "ModelVersion", client: "MlflowClient") -> None:
    client.delete_model_version(version.name, str(version.version))


def _version(found: "ModelVersion", aliases: Mapping[str, int]) -> Version:
    number = int(found.version)
    return Version(
        name=found.name,
        number=number,
        tags={key.removeprefix(_PREFIX): value for key, value in found.tags.items() if key.startswith(_PREFIX)},
        aliases=tuple(sorted(alias for alias, aim in aliases.items() if aim == number)),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
    )
