"""What a finished run shows elsewhere: metrics and pages in MLflow, artifacts on the flow run's page in Prefect."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.console import log
from flows.leaderboard import as_cells, leaderboard
from flows.table import markdown
from tasks.judge import ResultRecord
from tasks.report import ReportRecord
from tasks.shared.conditions import ADVERSARY, POOLED
from tasks.shared.dataset import DataRecord
from tasks.shared.errors import StillhouseError
from tasks.shared.report.content import ROLES
from tasks.shared.report.render import HTML, MARKDOWN, PAGES, name_run
from tasks.shared.scorecard import Quality
from tasks.shared.tracking import Tracker


def publish_result(
    tracker: Tracker, run: str, folder: Path, began: str, result: ResultRecord, report: ReportRecord | None
) -> None:
    """Copies the report to the run's folder, tracks metrics and pages, and shows both to Prefect.

    Args:
        tracker: of the run.
        run: id of the tracked run.
        folder: of the run.
        began: when the run did, as ISO 8601 has it.
        result: what came out.
        report: its pages.
    """
    tracker.values(run, metrics_of(result))
    tracker.tag(run, {"stillhouse.verdict": result.verdict["outcome"]})
    _publish_models(tracker, run, result)
    if report:
        copy_report(report.path, folder)
        name_run(folder, folder.name, began)
        for page in PAGES:
            tracker.artifact(run, folder / page)
        create_markdown_artifact(
            _without_pictures((folder / MARKDOWN).read_text(encoding="utf-8")),
            key="report",
            description=f"The report; with figures: {folder / HTML}",
        )
    table = markdown([model for role in ROLES for model in result.models(role)])
    create_markdown_artifact(f"{result.sentence}\n\n{table}", key="result", description="Scorecards and verdict")
    rows = [as_cells(entry) for entry in leaderboard(tracker)]
    create_table_artifact(rows, key="leaderboard", description="All finished runs, the most accurate student first")


def publish_inputs(tracker: Tracker, run: str, data: DataRecord) -> None:
    """Shows a run's data sets on its page in MLflow, where those of its steps are a click away."""
    tracker.inputs(run, {part: (digest, data.file(part)) for part, digest in data.digests.items()}, "run")


def _publish_models(tracker: Tracker, run: str, result: ResultRecord) -> None:
    """Shows the teachers and the best student on a run's page; an MLflow server that knows no models does without."""
    try:
        for model in [*result.models("teacher"), result.best()]:
            tags = {"stillhouse.digest": model["digest"], "stillhouse.title": model["title"]}
            tracker.model(run, model["title"].replace(" ", "-"), model["role"], tags)
    except StillhouseError as error:
        log.warning("the run's models are not shown: %s", error)


def copy_report(source: Path, folder: Path) -> None:
    """Puts the pages where people look for them."""
    for page in PAGES:
        if (source / page).is_dir():
            shutil.copytree(source / page, folder / page, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / page, folder / page)


def metrics_of(result: ResultRecord) -> dict[str, float]:
    """What runs are compared by: `ROLE_MEASURE`, a mean over seeds (times: medians), and the comparisons."""
    found: dict[str, float | None] = {
        "difference": result.verdict["difference"] if result.verdict["examples"] else None
    }
    for role in dict.fromkeys(score.model.role for score in result.scores):
        scores = [score for score in result.scores if score.model.role == role]
        for name, values in _measures([score.quality for score in scores]).items():
            found[f"{role}_{name}"] = fmean(values) if values else None
        for name in ("parameters", "bytes", "ms_per_text", "texts_per_second", "flops_per_text", "peak_memory_bytes"):
            found[f"{role}_{name}"] = median(float(score.cost[name]) for score in scores)
    against: Mapping[str, Any] = result.result["teacher"] or {}
    if against:
        found["teacher_accuracy"] = against["accuracy"]  # of several together, as students learn from them
    for name in ("retention", "gap_closed"):
        found[name] = against[name]["value"] if against.get(name) else None
    spared = [
        one["spared"]["twin"]["mean"] for one in result.result["robustness"] if one["noise"] not in (ADVERSARY, POOLED)
    ]
    found["spared"] = fmean(spared) if spared else None
    return {name: float(value) for name, value in found.items() if value is not None}


def _measures(cards: list[Quality]) -> dict[str, list[float]]:
    """By name, the values that are known."""
    found: dict[str, list[float | None]] = {
        "accuracy": [card.accuracy for card in cards],
        "macro_f1": [card.macro_f1 for card in cards],
        "mcc": [card.mcc for card in cards],
        "log_loss": [card.calibration.log_loss for card in cards],
        "ece": [card.calibration.ece for card in cards],
        "ece_calibrated": [card.calibrated.ece for card in cards],
        "label_loyalty": [card.loyalty.label if card.loyalty else None for card in cards],
        "probability_loyalty": [card.loyalty.probability if card.loyalty else None for card in cards],
    }
    return {name: [value for value in values if value is not None] for name, values in found.items()}


def _without_pictures(page: str) -> str:
    """A page for a place that cannot show the figures next to it."""
    return "\n".join(line for line in page.splitlines() if not line.startswith("![")) + "\n"
