"""How the runs of Prefect and MLflow point to each other."""

from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run, task_run

from tasks.shared.errors import without_logins
from tasks.shared.tracking import Tracker


def tracked_run(tracker: Tracker, run: str) -> str:
    """An MLflow run in Markdown: a link where MLflow has pages, else its id and place."""
    where = tracker.page(run)
    return f"[MLflow run {run}]({where})" if where else f"MLflow run `{run}` at `{tracker.uri}`"


def publish(tracked: str) -> None:
    """Shows an MLflow run as an artifact of the Prefect run that this is called in."""
    create_markdown_artifact(tracked, key="mlflow-run", description="Parameters, metrics and artifacts")


def prefect_tags(own_server: bool) -> dict[str, str]:
    """What a tracked run says of the Prefect runs that it belongs to; MLflow shows the note on top of its page.

    The pages of a run's own server end with the run, so nothing links to them.
    """
    tags = {"prefect.flow_run_id": str(flow_run.id), "prefect.flow_run_name": str(flow_run.name)}
    page = task_run.ui_url if task_run.id else flow_run.ui_url
    if task_run.id:
        tags["prefect.task_run_id"] = str(task_run.id)
    if page and not own_server:
        address = without_logins(str(page))
        tags |= {"prefect.url": address, "mlflow.note.content": f"[The run in Prefect]({address})"}
    return tags
