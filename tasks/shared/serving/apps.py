"""The servers' apps behind our access control, as uvicorn and `mlflow server --app-name stillhouse` load them."""

import os
from pathlib import Path

from tasks.shared.serving.access import AccessControl

KEY_FILE = "STILLHOUSE_KEY_FILE"
"""The variable that names the file with the key; the key itself would stand in the environment of what they start."""
MLFLOW_APP = "stillhouse"
"""The name by which MLflow finds `mlflow`; it stands in pyproject.toml."""


def prefect() -> AccessControl:
    """Prefect's API and pages."""
    from prefect.server.api.server import create_app

    return AccessControl(create_app(final=True), _key())


def mlflow() -> AccessControl:
    """MLflow's API and pages."""
    from mlflow.server.fastapi_app import app

    return AccessControl(app, _key())


def _key() -> str:
    return Path(os.environ[KEY_FILE]).read_text(encoding="ascii").strip()
