"""What is printed where a run ends."""

from pathlib import Path

import pytest

from flows.result import print_result
from tasks.shared.workspace import Workspace


def test_each_registered_model_has_a_line_whatever_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    student = {"name": "s", "version": 2, "champion": False, "reason": "too large; the alias has moved since"}
    teacher = {"name": "t", "version": 1, "champion": True, "reason": "the first champion of this name"}
    record = {
        **{"run": "r", "state": "done", "error": "disk full", "verdict": None, "path": str(tmp_path)},
        **{"registered": [student, teacher], "best": None, "labels": [], "steps": []},
        "mlflow": {"run": "1", "uri": "sqlite:///x"},
    }
    print_result(record, Workspace(tmp_path))
    printed = capsys.readouterr().out.splitlines()
    lines = [line.split(maxsplit=1)[1].strip() for line in printed if line.startswith("registered")]
    assert lines == ["s version 2, not champion: too large; the alias has moved since", "t version 1, champion"]
