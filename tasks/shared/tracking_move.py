"""A workspace that was moved or copied: MLflow's own database names its files by where they were."""

import sqlite3
from contextlib import closing

from tasks.shared.workspace import Workspace

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
"""Where MLflow's tables hold addresses of artifacts."""
_ARTIFACTS = "/mlflow/artifacts"


def follow_move(workspace: Workspace) -> None:
    """Lets the workspace's tracking database name its artifacts by where the workspace is now.

    The addresses of MLflow are absolute, so that without this a moved workspace would go on writing to its old place,
    and a copy into the original. What a person keeps elsewhere stays there.

    Raises:
        sqlite3.Error: the database is damaged; MLflow says so in its own words, too.
    """
    here = workspace.root.as_uri()
    with closing(sqlite3.connect(workspace.mlflow / "mlflow.db", timeout=60)) as database:
        before = _place_before(database)
        if before in (None, here):
            return
        with database:
            for table, column in _COLUMNS:
                _replace(database, table, column, f"{before}{_ARTIFACTS}", f"{here}{_ARTIFACTS}")
            _replace(database, "datasets", "dataset_source", f'{{"uri": "{before}/', f'{{"uri": "{here}/')


def _place_before(database: sqlite3.Connection) -> str | None:
    """Where the workspace was when its database was last used: MLflow makes experiment 0 with the tables."""
    found = database.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    root, artifacts, _ = str(found[0]).rpartition(f"{_ARTIFACTS}/") if found else ("", "", "")
    return root if artifacts else None


def _replace(database: sqlite3.Connection, table: str, column: str, before: str, now: str) -> None:
    """Changes the beginning of a column's values."""
    known = {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}
    if column in known:  # MLflow's tables change between versions
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
            (now, len(before) + 1, len(before), before),
        )
