"""What is deployed on a Prefect server already, and what of it another deployment would change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from tasks.shared.errors import brief_path

_WORK_IN = "prefect.deployments.steps.set_working_directory"
"""The step before a run that says in which folder it works."""
TAG = "stillhouse"

Plain = Any
"""Data as YAML and JSON give it."""


@dataclass(frozen=True)
class Deployed:
    """A deployment that is on the server.

    Attributes:
        id: on the server.
        recipe: the parameter that its runs get.
        folder: in which they work; empty where it says none.
        schedules: as the deployment file would write them, by slug.
        paused: whether it starts no runs by schedule.
    """

    id: UUID
    recipe: Mapping[str, Plain]
    folder: str
    schedules: Mapping[str, Mapping[str, Plain]]
    paused: bool

    def changes(self, recipe: Mapping[str, Plain], folder: Path, schedules: Sequence[Mapping[str, Plain]]) -> list[str]:
        """What would be another with these, in a few words each; nothing where all stays."""
        keys = [key for key in {**self.recipe, **recipe} if self.recipe.get(key) != recipe.get(key)]
        before, after = [[said(one) for one in known] for known in (self.schedules.values(), schedules)]
        changes = {
            f"another recipe ({', '.join(keys)})": bool(keys),
            f"another folder (it was {brief_path(self.folder)})": self.folder not in ("", str(folder)),
            f"another schedule (it was {', '.join(before) or 'none'})": sorted(before) != sorted(after),
        }
        return [what for what, changed in changes.items() if changed]


def read_deployed() -> dict[str, Deployed]:
    """All deployments of Stillhouse on the server, of whatever recipe, by `flow/name`."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    with get_client(sync_client=True) as client:
        found = client.read_deployments(deployment_filter=ours)
        flows = {flow: client.read_flow(flow).name for flow in {deployment.flow_id for deployment in found}}
    deployed = {}
    for deployment in found:
        steps = [step.get(_WORK_IN) or {} for step in deployment.pull_steps or []]
        deployed[f"{flows[deployment.flow_id]}/{deployment.name}"] = Deployed(
            id=deployment.id,
            recipe=deployment.parameters.get("recipe") or {},
            folder=next((step["directory"] for step in steps if "directory" in step), ""),
            schedules={
                each.slug or "": {**each.schedule.model_dump(mode="json"), "active": each.active}
                for each in deployment.schedules
            },
            paused=deployment.paused,
        )
    return deployed


def said(schedule: Mapping[str, Plain]) -> str:
    """A schedule in a few words, whichever of Prefect's kinds it is."""
    found = next(((kind, schedule[kind]) for kind in ("interval", "rrule") if schedule.get(kind)), ("", ""))
    when = " ".join(f"{part:g}" if isinstance(part, int | float) else str(part) for part in found)
    paused = "" if schedule.get("active", True) else ", paused"
    return f"{schedule.get('cron') or when} ({schedule.get('timezone') or 'UTC'}){paused}"
