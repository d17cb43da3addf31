"""What all tests have in common: nobody's own workspace, servers or settings are touched."""

import os
from pathlib import Path

import pytest

from tests.bench import Bench

# Before torch is imported: the models are so small that threads, here and in other processes, only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of the test's own, not made yet; no server is known."""
    folder = tmp_path / "home"
    monkeypatch.setenv("STILLHOUSE_HOME", str(folder))
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def bench(home: Path) -> Bench:
    """A workspace to carry steps out in."""
    from tasks.shared.workspace import open_workspace

    return Bench(open_workspace())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the test's own, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
