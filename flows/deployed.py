"""What is deployed on a Prefect server already, and in what it differs from what is to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = "prefect.deployments.steps.set_working_directory"
TAG = "stillhouse"

Plain = Any
"""Data as YAML gives it."""


@dataclass(frozen=True)
class Deployed:
    """A deployment that is on the server.

    Attributes:
        recipe: the parameter that its runs get.
        folder: in which they work, if it says so.
        timezones: of its schedules, by slug.
        times: its schedules in a few words.
    """

    recipe: Mapping[str, Plain]
    folder: str | None
    timezones: Mapping[str, str]
    times: tuple[str, ...]


def read_deployed() -> dict[str, Deployed]:
    """All deployments of Stillhouse, of whatever recipe, by `flow/name`."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = [deployment for deployment in client.read_deployments() if TAG in deployment.tags]
        flows = {deployment.flow_id: client.read_flow(deployment.flow_id).name for deployment in found}
    deployed = {}
    for deployment in found:
        steps = [step.get(_FOLDER) or {} for step in deployment.pull_steps or []]
        schedules = {schedule.slug or "": schedule.schedule.model_dump() for schedule in deployment.schedules}
        deployed[f"{flows[deployment.flow_id]}/{deployment.name}"] = Deployed(
            recipe=deployment.parameters.get("recipe") or {},
            folder=next((step["directory"] for step in steps if "directory" in step), None),
            timezones={slug: schedule["timezone"] for slug, schedule in schedules.items() if schedule.get("timezone")},
            times=tuple(said(schedule) for schedule in schedules.values()),
        )
    return deployed


def full_name(deployment: Mapping[str, Plain]) -> str:
    """`flow/name` of a deployment in the deployment file."""
    return f"{deployment['entrypoint'].rpartition('.')[2]}/{deployment['name']}"


def changes_of(before: Deployed, deployment: Mapping[str, Plain], folder: Path) -> list[str]:
    """What of a deployment will not be as it was, in a few words each; nothing where all stays."""
    recipe = deployment["parameters"]["recipe"]
    keys = [key for key in {**before.recipe, **recipe} if before.recipe.get(key) != recipe.get(key)]
    times = tuple(said(schedule) for schedule in deployment.get("schedules") or [])
    changes = {
        f"recipe ({', '.join(keys)})": bool(keys),
        f"folder ({before.folder})": before.folder not in (None, str(folder)),
        f"schedule ({', '.join(before.times) or 'none'})": sorted(before.times) != sorted(times),
    }
    return [what for what, changed in changes.items() if changed]


def said(schedule: Mapping[str, Plain]) -> str:
    """A schedule in a few words, whichever of Prefect's kinds it is."""
    when = next((f"{kind} {schedule[kind]}" for kind in ("interval", "rrule") if schedule.get(kind)), "")
    return f"{schedule.get('cron') or when} ({schedule.get('timezone') or 'UTC'})"
