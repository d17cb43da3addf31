"""Facts beside the data, for what is derived from them: of the teachers' models, of files, of the machine."""

from pathlib import Path

from tasks.shared.bases import check_base, find_base
from tasks.shared.defaults.facts import DataFacts, Facts, ModelFacts
from tasks.shared.defaults.precision import best_precision
from tasks.shared.devices import pick_device
from tasks.shared.model_folder.look import look_at
from tasks.shared.recipe import Recipe
from tasks.shared.word_vectors import size_of


def gather(recipe: Recipe, data: DataFacts, memory: Path, *, runs: bool) -> Facts:
    """All that the recipe's defaults are derived from.

    Args:
        recipe: as it was written.
        data: what is known of the data.
        memory: file in which is kept how fast machines multiply; see `best_precision`.
        runs: whether a run asks, and not a plan: a model that is elsewhere is fetched, and products are timed.

    Raises:
        StillhouseError: a model or a file is not there, or cannot be used.
    """
    models = tuple(
        ModelFacts() if teacher.labels is not None else _model(teacher.model, f"teachers.{number}.model", runs)
        for number, teacher in enumerate(recipe.teachers)
    )
    file = recipe.student.vectors_file
    device = pick_device(recipe.device) if runs else _likely_device(recipe.device)
    return Facts(data, models, best_precision(device, memory, measure=runs), size_of(file) if file else None)


def _likely_device(wanted: str) -> str:
    """What `auto` will be, for a plan: importing torch to be told takes seconds."""
    if wanted == "auto":
        return "cuda" if Path("/dev/nvidiactl").exists() else "cpu"
    return wanted


def _model(model: str, where: str, fetch: bool) -> ModelFacts:
    found = look_at(find_base(model, where).path, f"{where}: ") if fetch else check_base(model, where)
    return ModelFacts(found.width, found.positions) if found else ModelFacts()
