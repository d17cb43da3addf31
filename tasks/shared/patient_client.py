"""MLflow's client with a limit on how long it waits for a server, and a word to the person while it does."""

import logging
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import MlflowClient

from tasks.shared.errors import StillhouseError, without_logins

PATIENCE_SECONDS = 60.0
"""How long a server is asked again before the command ends."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

_log = logging.getLogger("stillhouse")


class PatientClient:
    """Has the methods of an `MlflowClient`; those that meet a server in trouble ask it again for a minute.

    MLflow's own retries would be silent, for minutes, and anew at each question; `prepare_environment` turns them off.
    Once the minute is over all further questions fail at once, so that a run ends without waiting for each.
    """

    def __init__(self, client: MlflowClient, place: str, patience: float = PATIENCE_SECONDS) -> None:
        """Takes the client, where it asks (for messages), and for how many seconds a question is asked again."""
        self._client = client
        self._place = without_logins(place)
        self._patience = patience
        self._given_up: StillhouseError | None = None

    def __getattr__(self, name: str) -> object:
        """A method of the client; it raises StillhouseError where the server stays in trouble."""
        found = getattr(self._client, name)
        return self._patiently(found) if callable(found) else found

    def _patiently(self, ask: Callable[Asked, Answer]) -> Callable[Asked, Answer]:
        @wraps(ask)
        def asked(*args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
            if self._given_up:
                raise self._given_up
            began, pause, said = time.monotonic(), _FIRST_PAUSE_SECONDS, False
            while True:
                try:
                    return ask(*args, **kwargs)
                except MlflowException as error:
                    if not _is_trouble(error):
                        raise
                    waited = time.monotonic() - began
                    if waited + pause > self._patience:
                        self._given_up = self._end(error)
                        raise self._given_up from None
                    if not said and waited > self._patience / 20:  # a dropped connection is not worth a word
                        said = True
                        self._say(error, self._patience - waited)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

        return asked

    def _say(self, error: MlflowException, seconds: float) -> None:
        said = f"waiting for MLflow at {self._place}, which {_what(error)}; it is asked for {seconds:.0f} s more"
        _log.warning(said)
        print(said, file=sys.stderr, flush=True)

    def _end(self, error: MlflowException) -> StillhouseError:
        said = f"MLflow at {self._place} {_what(error)}, still after {self._patience:.0f} s"
        return StillhouseError(f"{said}; run the same command again once it is well: finished steps are kept")


def _is_trouble(error: MlflowException) -> bool:
    """Whether a server did not answer, or answered that it cannot now; refusals of what was asked are no trouble."""
    return not isinstance(error, RestException) and " exception " in str(error) and "API request to" in str(error)


def _what(error: MlflowException) -> str:
    text = str(error)
    status = next((code for code in ("500", "502", "503", "504", "429", "408") if f"too many {code} " in text), None)
    return f"answers with error {status}" if status else "does not answer"
