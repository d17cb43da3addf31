"""Runs that failed or crashed, each with a line that says why: what nobody who looks at results should miss."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from flows.records import RECIPE, RECORD, all_runs, seen_going_on
from tasks.shared.errors import printable
from tasks.shared.workspace import Workspace

_BAD_ENDS = ("failed", "killed")
"""States of runs that did not end as anybody wanted; an interrupted one was told to."""
_LONGEST = 300
_AT_MOST = 5


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing.

    Attributes:
        run: its id.
        began: when, in UTC, ISO 8601.
        state: `failed`, or `killed` where its process ended without a word.
        why: the line that it ended with.
    """

    run: str
    began: str
    state: str
    why: str


def failures(workspace: Workspace, since: str = "") -> list[Failure]:
    """The failed and crashed runs of a workspace, the latest first.

    Args:
        workspace: whose; it need not be there.
        since: only those that began later, in UTC, ISO 8601.
    """
    before, records = seen_going_on(workspace), all_runs(workspace)
    alive = before | seen_going_on(workspace)  # one may have begun while the records were read
    found = [_failure(record) for record in records if str(record["run"]) not in alive]
    found += [_without_record(folder) for folder in workspace.runs.glob("[!.]*") if folder.name not in alive]
    kept = [failure for failure in found if failure and failure.began > since]
    return sorted(kept, key=lambda failure: (failure.began, failure.run), reverse=True)


def _failure(record: Mapping[str, Any]) -> Failure | None:
    state, why = str(record["state"]), str(record["error"] or "its log says why")
    if state == "running":
        state, why = "killed", "its process is gone"
    return Failure(str(record["run"]), str(record["began"]), state, why) if state in _BAD_ENDS else None


def _without_record(folder: Path) -> Failure | None:
    """Of a run that ended before it could write a record, as where no server answered."""
    if not (folder / RECIPE).is_file() or (folder / RECORD).exists():  # else somebody's own folder
        return None
    began = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat(timespec="seconds")
    return Failure(folder.name, began, "failed", "it ended before its first step")


def tell(found: list[Failure], console: Console, heading: str) -> None:
    """Prints a heading and a line for each of the latest failures; nothing without any."""
    if not found:
        return
    console.print(Text(f"{len(found)} {heading}:", style="red"))
    for failure in found[:_AT_MOST]:
        began = failure.began[:16].replace("T", " ")
        line = f"{failure.state}  {failure.run}  {began}  {failure.why}"
        console.print(Text(printable(line, _LONGEST)), soft_wrap=True)
    if len(found) > _AT_MOST:
        console.print(Text(f"... and {len(found) - _AT_MOST} earlier ones; `stillhouse runs --json` lists all", "dim"))
