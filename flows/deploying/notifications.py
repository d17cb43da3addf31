"""Who is told when nobody looks: a webhook in a block of the Prefect server, and automations that call it.

Failed, crashed and late runs the server notices itself, even of a machine that died; what came out of a run, the run
says (flows/outcome.py). The address may hold a secret: Prefect keeps it encrypted, and no message of ours has it.
"""

import asyncio
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit
from uuid import UUID

import click

from flows.deploying.automations import put_automations, runs_of_ours
from flows.outcome import NO_BETTER, REPLACED
from tasks.shared.errors import StillhouseError, one_line

if TYPE_CHECKING:
    from prefect.blocks.webhook import Webhook
    from prefect.events.schemas.automations import AutomationCore

FROM_INPUT = "-"
"""In place of an address: it is read from standard input, so that no list of processes shows it."""
_BLOCK = "stillhouse-notify"
_ONCE_IN = timedelta(hours=1)
"""How long the same is not told again. Without it, an event that the server reads anew, as after `database is locked`,
would be told again."""
_FIRST = "Stillhouse tells of its runs here: failed, crashed and late ones, NO BETTER, and a replaced champion."
_MESSAGE = '{%% set text %%}%s{%% endset %%}{"text": {{ text | tojson }}}'
_RUN = "{{ deployment.name }}: run {{ flow_run.name }}"
_PREFECT_SAYS = ("Flow run encountered an exception: ", "StillhouseError: ")
_WHY = "flow_run.state.message" + "".join(f" | replace('{words}', '')" for words in _PREFECT_SAYS)
_FAILED = f"{_RUN} {{{{ flow_run.state.name | lower }}}}: {{{{ {_WHY} }}}}"
_DUE = "{{ flow_run.expected_start_time.strftime('%Y-%m-%d %H:%M UTC') }}"
_LATE = f"{{{{ deployment.name }}}}: a run is late, due {_DUE}; its worker may be down or busy"
_OUTCOME = _RUN + ": {{ event.payload.text }}"


def read_address(given: str) -> str:
    """The address of a webhook, from standard input if it is `-`.

    Raises:
        StillhouseError: no webhook can have that address, which the message does not repeat.
    """
    if given == FROM_INPUT:
        if sys.stdin is None:
            raise StillhouseError("--notify -: there is no standard input to read the address from")
        asked = sys.stdin.isatty()
        given = click.prompt("address of the webhook", hide_input=True) if asked else sys.stdin.readline().strip()
    try:
        parts = urlsplit(given)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise StillhouseError("--notify: that is no address of a webhook; one begins with https:// or http://")
    return given


def make_notifications(url: str) -> None:
    """Sends a first message, then lets the server send one of whatever nobody should miss of runs of ours.

    Raises:
        StillhouseError: the webhook does not take messages.
    """
    from prefect.blocks.webhook import Webhook
    from prefect.types import SecretDict
    from pydantic import SecretStr

    block = Webhook(url=SecretStr(url), headers=SecretDict({"Content-Type": "application/json"}))
    _try(block)
    put_automations(automations_of(cast(UUID, block.save(_BLOCK, overwrite=True))))


def _try(block: "Webhook") -> None:
    from httpx import HTTPError, InvalidURL, NetworkError, TimeoutException

    try:
        answer = asyncio.run(block.call({"text": _FIRST}))
        trouble = "" if answer.is_success else f"answers {answer.status_code}"
    except (HTTPError, InvalidURL, ValueError) as error:
        # Of the network, or else only the kind of error: a message may repeat the address.
        why = one_line(error) if isinstance(error, (NetworkError, TimeoutException)) else type(error).__name__
        trouble = f"is not reached ({why})"
    if trouble:
        raise StillhouseError(f"--notify: the webhook {trouble}; nothing is deployed")


def automations_of(block: UUID) -> "Iterator[AutomationCore]":
    """What the server does about runs of ours: it sends a message to the webhook of that block."""
    from prefect.events.actions import CallWebhook
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    ended, late = ["prefect.flow-run.Failed", "prefect.flow-run.Crashed"], ["prefect.flow-run.Late"]
    for name, events, text, each in (
        ("tell of failed and crashed runs", ended, _FAILED, "prefect.resource.id"),
        # One message of a deployment's runs: after a night without servers all of them are late.
        ("tell of late runs", late, _LATE, "related:deployment:prefect.resource.id"),
        ("tell of results", [NO_BETTER, REPLACED], _OUTCOME, "prefect.resource.id"),
    ):
        yield AutomationCore(
            name=f"stillhouse: {name}",
            description="Made by `stillhouse deploy --notify`; delete it to be told no more.",
            trigger=EventTrigger(
                expect=set(events),
                match_related=runs_of_ours(),
                for_each={each},
                posture=Posture.Reactive,
                threshold=1,
                within=_ONCE_IN,
            ),
            actions=[CallWebhook(block_document_id=block, payload=_MESSAGE % text)],
        )
