"""`stillhouse up` for drills, and clients of its servers that have the key."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_CUSTOM_HEADERS, temporary_settings

from tasks.shared.serving.addresses import for_mlflow
from tests.flows.conftest import World


@contextmanager
def up(world: World) -> Iterator[subprocess.Popen[str]]:
    """`stillhouse up`, once it says where its servers are; whatever happens, nothing of it is left."""
    addresses = world.workspace / "servers" / "addresses.json"
    addresses.unlink(missing_ok=True)  # of one that was killed: its coming is waited for
    process = world.start("up", "--prefect-port", "0", "--mlflow-port", "0")
    try:
        until(lambda: addresses.exists() or process.poll() is not None, 180, "the servers are up")
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.5)


def addresses(world: World) -> dict[str, str]:
    return json.loads((world.workspace / "servers" / "addresses.json").read_text(encoding="utf-8"))


def key(world: World) -> str:
    return (world.workspace / "servers" / "key").read_text(encoding="ascii").strip()


@contextmanager
def api(world: World) -> Iterator[SyncPrefectClient]:
    headers = {"Authorization": f"Bearer {key(world)}"}
    settings = {PREFECT_API_URL: f"{addresses(world)['prefect']}/api", PREFECT_CLIENT_CUSTOM_HEADERS: headers}
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


@contextmanager
def mlflow(world: World):
    from mlflow.tracking import MlflowClient

    with patch.dict("os.environ", for_mlflow(key(world))):
        yield MlflowClient(addresses(world)["mlflow"])
