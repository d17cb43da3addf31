"""What a Prefect server does by itself about runs of ours: an automation for each thing that nobody should miss."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.deploying.deployed import TAG

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore
    from prefect.events.schemas.events import ResourceSpecification

SILENCE = timedelta(seconds=90)
"""How long a run may give no sign of life: three heartbeats as deployments/prefect.yaml sets them."""


def crash_silent_runs() -> "AutomationCore":
    """A run that has given a sign of life and then neither another nor an end is set to Crashed.

    Without it, a run whose machine died stays Running for ever.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    silent = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ends},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=runs_of_ours(),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    )
    crash = ChangeFlowRunState(
        state=StateType.CRASHED, message=f"no sign of life for {SILENCE.seconds} seconds: its process or machine died"
    )
    return AutomationCore(
        name="stillhouse: crash zombie runs",
        description="Sets runs that were killed, or whose machine died, to Crashed. Made by `stillhouse deploy`.",
        trigger=silent,
        actions=[crash],
    )


def runs_of_ours() -> "ResourceSpecification":
    """What events of our runs are related to; runs of others may send heartbeats less often, and are not told of."""
    from prefect.events.schemas.events import ResourceSpecification

    return ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"})


def put_automations(wanted: "Iterable[AutomationCore]") -> None:
    """Makes automations on the server, or changes those of the same names."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for automation in wanted:
            found = client.read_automations_by_name(automation.name)
            if found:
                client.update_automation(found[0].id, automation)
            else:
                client.create_automation(automation)
