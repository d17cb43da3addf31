"""Who is told when nobody looks: a webhook on the Prefect server, and what makes the server call it.

Failed, crashed and late runs Prefect notices itself, even of a machine that died. What came out of a run, the run says
as an event. The address may hold a secret, so it is in a block of Prefect's, encrypted, and in no message or record.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from tasks.register import Registered
from tasks.shared.errors import StillhouseError

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore
    from prefect.events.schemas.events import ResourceSpecification

BLOCK = "stillhouse-notify"
FAILED, RESULTS = "stillhouse: tell of failed, crashed and late runs", "stillhouse: tell of results"
NO_BETTER, REPLACED = "stillhouse.no-better", "stillhouse.champion-replaced"
"""Events of runs."""
BAD_ENDS = [f"prefect.flow-run.{state}" for state in ("Failed", "TimedOut", "Crashed", "Late")]


def check_address(url: str) -> None:
    """Raises StillhouseError unless a webhook can have that address."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise StillhouseError("--notify: that is no address of a webhook, https://...")


def make_notifications(url: str) -> None:
    """Tries the webhook with a first message, then lets the server tell it of what nobody should miss.

    Raises:
        StillhouseError: the webhook does not take messages.
    """
    from httpx import HTTPError, HTTPStatusError
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.types import SecretDict

    block = CustomWebhookNotificationBlock(
        name="stillhouse",
        url="{{address}}",
        json_data={"text": "{{subject}}: {{body}}"},
        secrets=SecretDict({"address": url}),
    )
    try:
        block.notify("failures and results are told here", "stillhouse")
    except (HTTPError, ValueError, OSError) as error:
        answered = isinstance(error, HTTPStatusError)
        why = f"it answers {error.response.status_code}" if answered else f"{type(error).__name__}"
        raise StillhouseError(f"--notify: the webhook takes no message ({why}); nothing is deployed") from None
    document = block.save(BLOCK, overwrite=True)
    run = "stillhouse: {{ flow_run.name }}"
    for name, events, subject, body in (
        (FAILED, BAD_ENDS, f"{run} {{{{ flow_run.state.name }}}}", "{{ flow_run.state.message }}"),
        (RESULTS, [NO_BETTER, REPLACED], run, "{{ event.payload.text }}"),
    ):
        put_automation(_telling(name, events, document, subject, body))


def _telling(name: str, events: Sequence[str], block: UUID, subject: str, body: str) -> "AutomationCore":
    """An automation that tells a block of each such event of a run with our tag."""
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=name,
        description="Made by `stillhouse deploy --notify`; delete it to be told no more.",
        trigger=EventTrigger(
            expect=set(events),
            match_related=runs_of_ours(),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[SendNotification(block_document_id=block, subject=subject, body=body)],
    )


def runs_of_ours() -> "ResourceSpecification":
    """What events of flow runs with our tag are related to; those of other people are none of ours."""
    from prefect.events.schemas.events import ResourceSpecification

    return ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.stillhouse"})


def put_automation(wanted: "AutomationCore") -> None:
    """Makes an automation, or changes the one of that name."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.read_automations_by_name(wanted.name)
        if found:
            client.update_automation(found[0].id, wanted)
        else:
            client.create_automation(wanted)


def replaced(before: Mapping[str, int], models: Iterable[Registered]) -> list[str]:
    """A line for each champion that is another now.

    Args:
        before: number of the champion's version by the model's name, before the run.
        models: what the run registered.
    """
    return [
        f"{model.name}: version {model.version} is champion in place of version {before[model.name]}; {model.reason}"
        for model in models
        if model.champion and model.name in before and before[model.name] != model.version
    ]


def tell_results(run: str, sentence: str, outcome: str, replaced: Sequence[str]) -> None:
    """Says as events of a run, which the server's automations may tell a person of, what came out of it.

    Args:
        run: its id.
        sentence: the verdict's.
        outcome: the verdict.
        replaced: of each champion that it replaced, a line.
    """
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"stillhouse.run.{run}", "prefect.resource.name": run}
    if outcome == "NO BETTER":
        emit_event(NO_BETTER, resource, payload={"text": sentence})
    for line in replaced:
        emit_event(REPLACED, resource, payload={"text": line})
