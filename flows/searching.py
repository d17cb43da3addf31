"""A sweep: many students of one set of soft labels, of which dev chooses, and what each costs."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.labelled import label_resolved, label_texts
from flows.lessons import lessons
from flows.once import Once
from flows.pareto import PICTURE, front, picture, said, table
from flows.preflight import combinations
from flows.records import BEST, SWEEP
from flows.running import Runner
from flows.study import Asked, Study, study_file
from tasks.load_data import LoadData
from tasks.measure import Measure
from tasks.shared.defaults.derive import Resolution
from tasks.shared.errors import DivergedError, StillhouseError
from tasks.shared.outputs import locked, write_json
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import recipe_to_yaml, with_changes
from tasks.shared.scorecard import busy
from tasks.shared.steps import Stopped

TABLE = "sweep.md"
SCHEMA = 1


@dataclass(frozen=True)
class SweepRecord:
    """What a sweep found.

    Attributes:
        path: folder of the run, with sweep.json, a table, a picture and the recipe of the best.
        trials: all that ended, in order.
        best: the trial that does best on dev; of equals the fastest.
    """

    path: Path
    trials: Sequence[Mapping[str, Any]]
    best: Mapping[str, Any]


def search(recipe: Recipe, do: Runner) -> SweepRecord:
    """Carries out a recipe's sweep; one that was stopped goes on."""
    if recipe.sweep is None:
        raise StillhouseError("the recipe has no sweep; `stillhouse recipes sweep` shows one")
    combinations(recipe)
    once = Once(do)
    labelled = label_texts(recipe, once)
    resolve = partial(once.resolve, data=labelled.data.facts)
    made_of = [one.digest for one in (labelled.data, *labelled.teachers, *labelled.labels)]
    file = study_file(do.workspace, recipe, labelled.recipe, made_of)
    with locked(do.workspace.locks / f"sweep-{file.stem}.lock", partial(_waiting, do)):
        study = Study(file, recipe.name, recipe.sweep, partial(_complaint, recipe, resolve))
        if study.ended:
            do.view.line("reused", "study", f"{study.ended} trials of {study.trials} asked for, {file.name}")
        while study.ended < study.trials:
            _carry_out(recipe, study, do, once)
        if study.impossible:
            such = f"such as {study.impossible[0]}"
            do.view.warn(f"draws within the ranges that cannot be were left out ({len(study.impossible):,}), {such}")
        return _conclude(recipe, study.results(), do)


def _complaint(recipe: Recipe, resolve: Callable[[Recipe], Resolution], changes: Mapping[str, Any]) -> str | None:
    """Why a recipe with these changes cannot be, or what would follow from it."""
    try:
        resolve(with_changes(recipe.model_copy(update={"sweep": None}), changes))
    except StillhouseError as error:
        return str(error)
    return None


def _waiting(do: Runner, owner: str) -> None:
    do.view.line("waiting", "study", f"{owner} is carrying it out")


def _carry_out(recipe: Recipe, study: Study, do: Runner, once: Once) -> None:
    """Trains and measures what the study asks for."""
    asked, began = study.ask(), time.monotonic()
    title = f"trial {asked.number}"
    changed = with_changes(recipe.model_copy(update={"sweep": None}), asked.changes)
    run = do.tracker.start(title, {"stillhouse.step": "trial", "stillhouse.run": do.run}, do.parent)
    status = "KILLED"
    try:
        do.tracker.params(run, asked.changes)
        facts = _try(changed, asked, replace(do, suffix=f", {title}", looked=asked.looked), once)
        facts = {**facts, "seconds": round(time.monotonic() - began, 1)}
        study.tell(asked, facts.get("dev_accuracy"), facts)
        do.tracker.values(run, {name: value for name, value in facts.items() if isinstance(value, (int, float))})
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        do.tracker.finish(run, status)
    do.view.line("done" if "dev_accuracy" in facts else "stopped", title, said(asked.changes), facts["seconds"])


def _try(recipe: Recipe, asked: Asked, do: Runner, once: Once) -> dict[str, Any]:
    """Accuracy on dev and cost of the first seed's student; nothing of one that was stopped, or diverged."""
    try:
        whole = once.resolve(recipe, once(LoadData(recipe.data)).facts).recipe
        taught = lessons(label_resolved(whole, once), once)
        student = do(replace(taught.student(recipe.seeds[0]), alone=True))
    except (Stopped, DivergedError):
        return {}
    cost = do(Measure(taught.data, student)).cost
    wanted = (
        "ms_per_text",
        "cpu_ms_per_text",
        "waited",
        "texts_per_second",
        "parameters",
        "parameters_without_embeddings",
        "bytes",
    )
    return {"dev_accuracy": student.dev_accuracy, **{name: cost[name] for name in wanted}, "path": str(student.path)}


def _conclude(recipe: Recipe, trials: Sequence[Mapping[str, Any]], do: Runner) -> SweepRecord:
    """Writes what came out into the run's folder, and shows it to MLflow and Prefect."""
    done = [trial for trial in trials if trial["state"] == "done"]
    if not done:
        raise StillhouseError("no trial was carried out to its end; raise sweep.trials, or set sweep.pruning to false")
    best = min(done, key=lambda trial: (-trial["dev_accuracy"], trial["ms_per_text"]))
    if note := busy([trial.get("waited") for trial in done]):
        do.view.warn(note)
    folder = do.workspace.runs / do.run
    ahead = front(done)
    write_json(folder / SWEEP, {"schema": SCHEMA, "best": best["trial"], "front": ahead, "trials": list(trials)})
    page = table(trials, ahead, best["trial"])
    (folder / TABLE).write_text(page, encoding="utf-8")
    (folder / PICTURE).write_bytes(picture(done))
    chosen = with_changes(recipe.model_copy(update={"sweep": None}), best["changes"])
    (folder / BEST).write_text(recipe_to_yaml(chosen), encoding="utf-8")
    for name in (SWEEP, TABLE, PICTURE, BEST):
        do.tracker.artifact(do.parent, folder / name)
    do.tracker.values(do.parent, {"best_dev_accuracy": best["dev_accuracy"], "trials": float(len(trials))})
    create_markdown_artifact(page, key="sweep", description="All trials; dev chose, test had no part in it")
    rows = [{**trial, "changes": json.dumps(trial["changes"]), "front": trial["trial"] in ahead} for trial in trials]
    create_table_artifact(rows, key="trials", description="All trials of the sweep")
    return SweepRecord(folder, trials, best)
