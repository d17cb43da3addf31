"""A tracking server in trouble is waited for with a word, for a limited time, and once."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import patch

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tasks.shared.errors import StillhouseError
from tasks.shared.patient_client import PatientClient
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.tracking_place import uploading
from tasks.shared.workspace import open_workspace
from tests.web import Server, server

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with patch.dict(os.environ):
        prepare_environment(open_workspace())
        yield


def client_of(found: Server, patience: float) -> PatientClient:
    return PatientClient(MlflowClient(found.url), found.url.replace("//", "//somebody:secret@"), patience)


def test_a_server_that_keeps_failing_is_told_waited_for_and_given_up_at_once_from_then_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with server(500) as found:
        client = client_of(found, 1.8)
        began = time.monotonic()
        with pytest.raises(StillhouseError, match="error 500, still after 2 s; run the same command again"):
            client.get_run("a")
        assert time.monotonic() - began < 4
        asked = len(found.asked)
        with pytest.raises(StillhouseError, match="answers with error 500"):
            client.set_terminated("a", "FAILED")
        assert len(found.asked) == asked > 1
    said = capsys.readouterr().err
    assert said.startswith(f"waiting for MLflow at {found.url}, which answers with error 500; it is asked for ")
    assert said.count("\n") == 1


def test_a_server_that_recovers_is_answered_for() -> None:
    with server(503) as found:
        found.body = b'{"run": {"info": {"run_id": "a"}}}'
        threading.Timer(0.3, setattr, (found, "status", 200)).start()
        assert client_of(found, 10).get_run("a").info.run_id == "a"
        assert len(found.asked) == 2


def test_a_refusal_is_no_trouble_and_not_asked_again() -> None:
    with server(404) as found:
        found.body = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}'
        with pytest.raises(MlflowException, match="no such run"):
            client_of(found, 10).get_run("a")
        assert len(found.asked) == 1


@pytest.mark.parametrize(("said", "meanwhile"), [(None, "600"), ("20", "600"), ("900", "900"), ("soon", "600")])
def test_a_server_may_take_minutes_over_an_upload(said: str | None, meanwhile: str) -> None:
    """One that passes files on to a store of its own answers when all of a file is there."""
    os.environ.pop(TIMEOUT, None)
    os.environ.update({TIMEOUT: said} if said else {})
    with suppress(MlflowException), uploading():
        found = os.environ[TIMEOUT]
        raise MlflowException("refused")
    assert found == meanwhile
    assert os.environ.get(TIMEOUT) == said
