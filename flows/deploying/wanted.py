"""What `stillhouse deploy` wants on a server: the deployment file's, for a recipe, and named after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.deploying.deployed import Deployed, Plain
from flows.deployments import FILE, recipe_parameter
from flows.shipped import find_recipe
from tasks.shared.devices import check_device
from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import validate_recipe

_SWEEP = "sweep"
"""The deployment of a sweep, which a recipe without one cannot have."""


@dataclass(frozen=True)
class Wanted:
    """A deployment that there is to be.

    Attributes:
        kind: `nightly`, or whatever the deployment file calls it.
        recipe: that it runs.
        document: of it, as Prefect reads it.
    """

    kind: str
    recipe: Recipe
    document: dict[str, Plain]

    @property
    def schedules(self) -> list[dict[str, Plain]]:
        """As Prefect reads them."""
        return self.document.get("schedules") or []

    @property
    def full_name(self) -> str:
        """`flow/name`, by which Prefect knows it."""
        return f"{self._flow}/{self.document['name']}"

    @property
    def old_name(self) -> str:
        """The same as earlier versions called it, whatever its recipe."""
        return f"{self._flow}/{self.kind}"

    @property
    def _flow(self) -> str:
        return str(self.document["entrypoint"]).rpartition(".")[2]


def read_wanted(recipe: str | None) -> list[Wanted]:
    """The deployments of the deployment file, with another recipe if asked for, each named after its recipe."""
    try:
        documents = _whole(yaml.safe_load(FILE.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StillhouseError(f"no {FILE}: deploy from a copy of the repository") from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise StillhouseError(f"{FILE} cannot be read: {one_line(error)}") from None
    parameters = recipe_parameter(find_recipe(recipe)) if recipe is not None else None
    wanted = []
    for document in documents:
        where = f"{FILE.name}, {document['name']}"
        kind = str(document["name"]).removeprefix(f"{validate_recipe(document['parameters']['recipe'], where).name}-")
        document["parameters"] = parameters or document["parameters"]
        runs = validate_recipe(document["parameters"]["recipe"], where)
        document["name"] = f"{runs.name}-{kind}"
        if runs.sweep or kind != _SWEEP:
            wanted.append(Wanted(kind, runs, document))
    return wanted


def _whole(file: Plain) -> list[dict[str, Plain]]:
    """The deployments of the file's content; raises StillhouseError where one lacks what is relied on."""

    def good(one: Plain) -> bool:
        return (
            isinstance(one, dict)
            and all(isinstance(one.get(name), str) for name in ("name", "entrypoint"))
            and isinstance(one.get("parameters"), dict)
            and isinstance(one["parameters"].get("recipe"), dict)
            and isinstance(one.get("schedules") or [], list)
            and all(map(_is_schedule, one.get("schedules") or []))
        )

    documents = file.get("deployments") if isinstance(file, dict) else None
    if not isinstance(documents, list) or not all(map(good, documents)):
        what = "each of its deployments needs a name, an entrypoint and parameters.recipe, and schedules as objects"
        raise StillhouseError(f"{FILE}: {what}")
    return documents


def _is_schedule(one: Plain) -> bool:
    return isinstance(one, dict) and all(isinstance(one.get(name) or "", str) for name in ("timezone", "slug"))


def check_inputs_of(wanted: Sequence[Wanted]) -> None:
    """Raises StillhouseError where a run in this folder would be refused at its start."""
    from flows.commands import check_sweep
    from flows.preflight import check_inputs

    checked: list[Recipe] = []
    for one in wanted:
        check_device(one.recipe.device)
        if one.kind == _SWEEP:
            check_sweep(one.recipe)
        elif one.recipe not in checked:
            checked.append(one.recipe)
            check_inputs(one.recipe)


def same_recipe(known: Deployed | None, one: Wanted) -> bool:
    """Whether a deployment under a name of earlier versions is what is deployed under another now."""
    return known is not None and known.recipe.get("name", Recipe.model_fields["name"].default) == one.recipe.name


def follow(one: Wanted, before: Deployed | None, timezone: str | None) -> list[str]:
    """Takes over what the one before is not to lose.

    A schedule's timezone is the one that is asked for, else the file's, else the one before's, else UTC.

    Returns:
        What of it will be another, in a few words each.
    """
    for schedule in one.schedules:
        known = before.schedules.get(schedule.get("slug", ""), {}) if before else {}
        schedule["timezone"] = timezone or schedule.get("timezone") or known.get("timezone") or "UTC"
        schedule.setdefault("active", known.get("active", True))
    if before is None:
        return []
    one.document.setdefault("paused", before.paused)
    return before.changes(one.document["parameters"]["recipe"], Path.cwd(), one.schedules)
