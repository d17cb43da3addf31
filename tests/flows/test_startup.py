"""What commands wait for before they begin: MLflow, torch and Prefect take seconds each to import."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = {"mlflow", "prefect", "torch", "transformers", "pandas", "matplotlib"}
LIGHT = ("cli", "commands", "compare", "leaderboard", "plan", "pipeline", "predict", "registry", "report", "verify")


def test_no_command_imports_what_it_may_not_need(tmp_path: Path) -> None:
    code = f"import importlib, json, sys\nfor name in {LIGHT}: importlib.import_module('flows.' + name)\n"
    code += f"print(json.dumps([name for name in {sorted(HEAVY)} if name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == []
