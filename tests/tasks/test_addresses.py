"""The servers' key: made once, for its owner alone, and shown to servers of this workspace and no others."""

import json
import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from filelock import FileLock

from flows.servers_check import check_servers
from tasks.shared.errors import StillhouseError
from tasks.shared.serving.addresses import (
    HEADERS,
    Addresses,
    key_file,
    make_key,
    mark_of_servers,
    read_key,
    running_servers,
    servers_lock,
    tell_addresses,
    use_key,
)
from tasks.shared.workspace import MARKER, Workspace, open_workspace

OURS = Addresses("http://127.0.0.1:4200", "http://127.0.0.1:5000")


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    with patch.dict(os.environ):
        for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", HEADERS):
            os.environ.pop(name, None)
        yield


@pytest.fixture
def workspace() -> Workspace:
    found = open_workspace()
    servers_lock(found).parent.mkdir()
    return found


def test_the_key_is_made_once_and_for_its_owner_alone(workspace: Workspace) -> None:
    key = make_key(workspace)
    assert len(key) >= 40
    assert key_file(workspace).stat().st_mode & 0o777 == 0o600
    assert make_key(workspace) == key


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_key_that_others_could_read_is_made_anew(workspace: Workspace, mode: int) -> None:
    key = make_key(workspace)
    key_file(workspace).chmod(mode)
    assert make_key(workspace) != key
    assert key_file(workspace).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["", "\n", "\x00\xff"])
def test_a_damaged_key_is_made_anew(workspace: Workspace, damage: str) -> None:
    make_key(workspace)
    key_file(workspace).write_text(damage, encoding="latin-1")
    assert len(make_key(workspace)) >= 40


@pytest.mark.parametrize("place", ["http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api"])
def test_commands_find_the_key_of_their_own_servers(workspace: Workspace, place: str) -> None:
    key = make_key(workspace)
    tell_addresses(workspace, OURS)
    os.environ |= {"PREFECT_API_URL": place, "MLFLOW_TRACKING_URI": OURS.mlflow, HEADERS: '{"X-Proxy": "theirs"}'}
    with FileLock(servers_lock(workspace)):
        use_key(workspace)
    assert json.loads(os.environ[HEADERS]) == {"X-Proxy": "theirs", "Authorization": f"Bearer {key}"}
    assert os.environ["MLFLOW_TRACKING_TOKEN"] == key


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:4201/api", "http://prefect.example:4200/api", "https://127.0.0.1:4200", "http://[", ""]
)
def test_servers_of_others_are_not_told_the_key(workspace: Workspace, place: str) -> None:
    make_key(workspace)
    tell_addresses(workspace, OURS)
    os.environ |= {"PREFECT_API_URL": place, "MLFLOW_TRACKING_URI": place}
    with FileLock(servers_lock(workspace)):
        use_key(workspace)
    assert HEADERS not in os.environ
    assert "MLFLOW_TRACKING_TOKEN" not in os.environ


def test_whoever_listens_where_killed_servers_did_is_not_told_the_key(workspace: Workspace) -> None:
    make_key(workspace)
    tell_addresses(workspace, OURS)  # and nobody holds the lock
    os.environ["PREFECT_API_URL"] = f"{OURS.prefect}/api"
    use_key(workspace)
    assert running_servers(workspace) is None
    assert HEADERS not in os.environ


def test_looking_whether_all_is_guarded_makes_no_key(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    make_key(workspace)
    before = key_file(workspace).read_bytes()
    key_file(workspace).chmod(0o644)
    assert read_key(workspace) is None
    with pytest.raises(StillhouseError, match="nothing listens"):
        check_servers()
    assert key_file(workspace).read_bytes() == before


def test_a_copy_that_shares_its_files_has_marks_of_its_own(workspace: Workspace) -> None:
    copy = Workspace(workspace.root.with_name("copy"))
    copy.root.mkdir()
    os.link(workspace.root / MARKER, copy.root / MARKER)
    assert mark_of_servers(copy) != mark_of_servers(workspace)
    moved = Workspace(workspace.root.rename(workspace.root.with_name("moved")))
    assert mark_of_servers(moved) not in (mark_of_servers(copy), "")
