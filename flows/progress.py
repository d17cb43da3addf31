"""Progress of a step where the orchestrator's pages show it."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.console import log
from tasks.shared.errors import one_line
from tasks.shared.steps import Advance

_PATIENCE_SECONDS = 5.0
"""Work that is done sooner gets no artifact, and an artifact is renewed no oftener."""


@contextmanager
def published(shown: AbstractContextManager[Advance], step: str, total: int | None, unit: str) -> Iterator[Advance]:
    """What advances a bar advances an artifact of the Prefect task run too, if the work takes long.

    Args:
        shown: the bar that a person at the terminal sees.
        step: name of the step, part of the artifact's key.
        total: units of work; without a number there is no artifact.
        unit: what the units are.
    """
    with shown as advance:
        if not total:
            yield advance
            return
        artifact = _Artifact(step, total, unit)

        def advance_both(count: int) -> None:
            advance(count)
            artifact.advance(count)

        yield advance_both
        artifact.close()


class _Artifact:
    def __init__(self, step: str, total: int, unit: str) -> None:
        self._key = f"progress-{step.replace('_', '-')}"
        self._description = f"{total:,} {unit}"
        self._total = total
        self._done = 0
        self._id: object = None
        self._told = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._told >= _PATIENCE_SECONDS:
            self._tell(min(100.0, 100 * self._done / self._total))
            self._told = time.monotonic()

    def close(self) -> None:
        if self._id:
            self._tell(100.0)

    def _tell(self, percent: float) -> None:
        try:
            if self._id is None:
                self._id = create_progress_artifact(percent, key=self._key, description=self._description)
            else:
                update_progress_artifact(self._id, progress=percent)  # type: ignore[arg-type]
        except Exception as error:  # a server that is restarted must not end an hour of training
            log.warning("progress could not be shown: %s", one_line(error))
