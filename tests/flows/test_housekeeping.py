"""Collecting garbage: what every workspace can do without, whatever runs there are."""

from pathlib import Path

import pytest

from flows.housekeeping import collect_garbage
from tests.bench import Bench


def test_copies_of_registered_models_go(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    registry = bench.workspace.registry
    copies: list[Path] = [registry / ("ab" * 32), registry / f".{'cd' * 32}.0123"]
    for copy in copies:
        copy.mkdir(parents=True)
        (copy / "model.safetensors").write_bytes(b"0" * 200_000)
    collect_garbage(1, delete=False)
    assert "0.4 MB  in 2 folders would go" in capsys.readouterr().out
    assert all(copy.is_dir() for copy in copies)
    collect_garbage(1, delete=True)
    assert list(registry.iterdir()) == []
