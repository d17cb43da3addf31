"""A Prefect server that fails in the middle of a run is one line, and no fault of ours."""

import errno
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.guard import one_clear_line
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import replacing
from tasks.shared.workspace import Workspace, existing_workspace, find_workspace, open_workspace
from tests.web import server


def asks() -> None:
    """As Prefect's engine does: the trouble with its server is behind another error."""
    try:
        with get_client(sync_client=True) as client:
            client.read_work_pools()
    except Exception as error:
        raise RuntimeError("the engine failed") from error


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "failed with error 500; run the same command again once it is well: finished steps are kept"),
        (401, "refuses (401), it wants a key; one of `stillhouse up` is used with STILLHOUSE_HOME set"),
        (None, "is gone ("),
    ],
)
def test_trouble_with_the_prefect_server_is_one_line(
    status: int | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    with server(status or 200) as found:
        url = found.url if status else "http://127.0.0.1:9"
        monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
        with temporary_settings({PREFECT_API_URL: f"{url}/api"}), pytest.raises(SystemExit) as ended:
            one_clear_line(asks)()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"stillhouse: the Prefect server at PREFECT_API_URL {url}/api {said}"), err
    assert err.count("\n") == 1


def reads_a_file(workspace: Workspace) -> None:
    (workspace.outputs / "gold.parquet").read_bytes()


def asks_a_database(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.root / "mlflow.db") as database:
        database.execute("select 1 from runs")


def says_that_a_database_refuses(workspace: Workspace) -> None:
    try:
        asks_a_database(workspace)
    except sqlite3.Error:
        raise StillhouseError("the database refuses") from None


@pytest.mark.parametrize("use", [reads_a_file, asks_a_database, says_that_a_database_refuses])
def test_a_workspace_that_is_deleted_under_a_command_is_one_line(
    use: Callable[[Workspace], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        workspace = open_workspace()
        shutil.rmtree(workspace.root)
        use(workspace)

    with pytest.raises(SystemExit) as ended:
        one_clear_line(command)()
    said = f"stillhouse: the workspace {find_workspace().root} is gone, deleted or moved while this ran; run"
    assert (ended.value.code, capsys.readouterr().err) == (2, f"{said} the command again\n")


def test_a_workspace_that_cannot_be_made_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "file"))
    with pytest.raises(SystemExit):
        one_clear_line(lambda: open_workspace() and None)()
    assert "cannot write the workspace" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_tidies_up_first(number: int, tmp_path: Path) -> None:
    ours = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests in the background may ignore it

    def command() -> None:
        with replacing(tmp_path / "out.csv") as half:
            half.write_text("text,")
            os.kill(os.getpid(), number)
            time.sleep(5)

    try:
        with pytest.raises(SystemExit) as ended:
            one_clear_line(command)()
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, ours)
    assert (ended.value.code, list(tmp_path.glob("*out*"))) == (128 + number, [])


def test_an_output_that_is_full_is_not_blamed_on_the_workspace(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        open_workspace()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SystemExit):
        one_clear_line(command)()
    assert "no space left where the output goes; make some" in capsys.readouterr().err


def test_a_question_that_is_left_is_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise click.Abort

    with pytest.raises(SystemExit) as ended:
        one_clear_line(command)()
    assert (ended.value.code, "interrupted" in capsys.readouterr().err) == (130, True)


def test_where_there_is_no_workspace_yet_none_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        one_clear_line(lambda: existing_workspace() and None)()
    assert f"no workspace at {find_workspace().root} yet" in capsys.readouterr().err


def test_a_missing_file_of_a_workspace_that_is_there_stays_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        one_clear_line(lambda: reads_a_file(open_workspace()))()
    assert (ended.value.code, "a fault of ours, FileNotFoundError" in capsys.readouterr().err) == (1, True)


def test_trouble_with_another_server_is_not_blamed_on_prefect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import httpx

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    with server(403) as hub, pytest.raises(SystemExit) as ended:
        one_clear_line(lambda: httpx.get(f"{hub.url}/models").raise_for_status() and None)()
    assert ended.value.code == 1
    assert "Prefect" not in capsys.readouterr().err
