"""MLflow's Model Registry: versions of teachers and students, found by digest, alias or number, and used from disk."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tasks.shared.errors import StillhouseError, brief, one_line, printable, without_logins
from tasks.shared.mlflow_model import quiet_mlflow, save_model
from tasks.shared.registry_files import UnusableVersionError, check_files, local_folder, model_folder
from tasks.shared.registry_version import PREFIX, SCHEME, Version, described, version_of
from tasks.shared.tracking_place import check_tracking_server, tracking_uri, uploading
from tasks.shared.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.store.entities import PagedList
    from mlflow.tracking import MlflowClient

CHAMPION, PREVIOUS = "champion", "previous"
_ADDRESS = re.compile(rf"{SCHEME}(?P<name>[^/@]+)(?:@(?P<alias>[\w.-]+)|/(?P<number>[1-9]\d{{0,8}}))")

Answer = TypeVar("Answer")


class Registry:
    """The registry of the tracking server, or of the database in the workspace. Looking makes nothing."""

    def __init__(self, workspace: Workspace) -> None:
        """Takes the place where runs are tracked."""
        self._workspace = workspace
        self._uri = tracking_uri(workspace)
        self.place = without_logins(self._uri)

    def versions(self) -> list[Version]:
        """All that a Stillhouse registered: by name, the newest first."""
        found = self._search(f"tags.`{PREFIX}digest` LIKE '%'")
        aliases = {name: self.aliases(name) for name in sorted({version.name for version in found})}
        versions = [version_of(version, aliases[version.name]) for version in found]
        return sorted(versions, key=lambda version: (version.name, -version.number))

    def with_digest(self, name: str, digest: str) -> list[Version]:
        """The versions of a model that were made from these very bytes: the champion first, then the newest.

        Whether their files are still there is another question. One that never became ready is removed.
        """
        aliases, found = self.aliases(name), []
        for version in self._search(f"name = '{name}' AND tags.`{PREFIX}digest` = '{digest}'"):
            if version.status == "READY":
                found.append(version_of(version, aliases))
            else:
                self._ask(partial(_delete, version))
        return sorted(found, key=lambda version: (CHAMPION not in version.aliases, -version.number))

    def with_alias(self, name: str, alias: str) -> Version | None:
        """The version that an alias points to."""
        number = self.aliases(name).get(alias)
        return None if number is None else self.get(name, number)

    def get(self, name: str, number: int) -> Version | None:
        """A version, if it is there."""
        found = self._ask(lambda client: client.get_model_version(name, str(number)))
        return version_of(found, self.aliases(name)) if found else None

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
            raise StillhouseError(f"{where}: {brief(address)} is not models:/NAME@ALIAS or models:/NAME/VERSION")
        name, alias, number = parts["name"], parts["alias"], parts["number"]
        found = self.with_alias(name, alias) if alias else self.get(name, int(number))
        if found is None:
            ours = self.versions()
            same = [version for version in ours if version.name == name]
            known = [f"{SCHEME}{name}@{alias}" for version in same for alias in version.aliases]
            known += [version.address for version in same or ours]
            there = f"there is {', '.join(known[:5])}" if known else "nothing is registered there yet"
            raise StillhouseError(f"{where}: no {printable(address, 80)} in the registry at {self.place}; {there}")
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
            with quiet_mlflow(), uploading():
                client.log_artifacts(run, str(scratch), name)
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            source = f"{client.get_run(run).info.artifact_uri}/{name}"
            prefixed = {PREFIX + key: value for key, value in tags.items()}
            return client.create_model_version(name, source, run, prefixed, description=described(tags))

        save_model(scratch, model, pairs)
        created = self._do(create)
        shutil.rmtree(scratch)
        return version_of(created, {})

    def tag(self, version: Version, tags: Mapping[str, str]) -> Version:
        """Writes on a version, over what was there under the same names, in this order, and describes it anew."""
        for key, value in tags.items():
            if version.tags.get(key) != value:
                name, number = PREFIX + key, str(version.number)
                self._do(lambda client: client.set_model_version_tag(version.name, number, name, value))  # noqa: B023
        tagged = replace(version, tags={**version.tags, **tags})
        said = described(tagged.tags)
        self._do(lambda client: client.update_model_version(version.name, str(version.number), said))
        return tagged

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
            UnusableVersionError: it is not what was registered, or it was not registered by a Stillhouse.
            VersionGoneError: it is not there.
        """
        sha = version.tags.get("sha256")
        if sha is None:
            raise UnusableVersionError(f"{version.address} was not registered by Stillhouse; it cannot be read safely")
        return model_folder(version.address, self._source(version), sha, self._uri)

    def folder_here(self, version: Version) -> Path | None:
        """The Hugging Face folder of a version, unread, if its files are on this machine."""
        folder = local_folder(self._source(version))
        return folder if folder and (folder / "config.json").is_file() else None

    def check_files(self, version: Version) -> None:
        """Raises UnusableVersionError if files of a version are missing; reads none, so that it can be asked often."""
        check_files(version.address, self._source(version), self._uri)

    def _source(self, version: Version) -> str:
        number = str(version.number)
        return str(self._do(lambda client: client.get_model_version_download_uri(version.name, number)))

    def aliases(self, name: str) -> Mapping[str, int]:
        """Which version each alias of a registered model points to, ours or not."""
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
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
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


def _page(condition: str, token: str | None, client: "MlflowClient") -> "PagedList[ModelVersion]":
    return client.search_model_versions(condition, page_token=token)


def _delete(version: "ModelVersion", client: "MlflowClient") -> None:
    client.delete_model_version(version.name, str(version.version))
