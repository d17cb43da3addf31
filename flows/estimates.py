"""How long the steps of a plan will take: as long as steps like them took in earlier runs of this workspace."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.shared.errors import StillhouseError
from tasks.shared.history import read_history
from tasks.shared.outputs import find_output
from tasks.shared.recipe import Recipe
from tasks.shared.steps import Step

_NOT_OF_TEACHERS = frozenset({"epochs", "floor", "learning_rate", "seed"})
_NOT_OF_TRAINING = frozenset({"epochs", "learning_rate", "weight_decay"})


@dataclass(frozen=True)
class Spent:
    """What a step took: `seconds` for so much `work`, or as a whole where it does not count."""

    seconds: float
    work: int | None

    def for_work(self, work: int | None) -> float:
        """Seconds for other work; as many as it took where nobody knows how much there is."""
        return self.seconds * work / self.work if work and self.work else self.seconds


class Estimates:
    """What steps took, by their kind, in runs whose recipes agree in what sets their pace.

    Of several the one with the most work counts, the latest of equals: of a few texts nearly all is loading the model.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]], recipe: Recipe) -> None:
        """`records` are those of earlier runs, the latest first."""
        self._found: dict[str, Spent] = {}
        wanted = recipe.model_dump(mode="json")
        for record in records:
            with suppress(KeyError, TypeError, ValueError, AttributeError):  # one that a person edited tells nothing
                self._learn(record, wanted)

    def _learn(self, record: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        for entry in record["steps"]:
            kind = _kind(entry["title"])
            if entry["state"] != "done":
                continue
            if _pace(record["recipe"], entry, record.get("flow")) == _pace(wanted, entry, None):
                spent, known = _spent(entry), self._found.get(kind)
                if spent and (known is None or (spent.work or 0) > (known.work or 0)):
                    self._found[kind] = spent

    def seconds(self, step: Step[Any]) -> float | None:
        """How long a step will take; None where none like it was carried out here."""
        spent = self._found.get(_kind(step.title))
        return spent.for_work(step.work[0]) if spent else None


def _kind(title: str) -> str:
    """A step's title without its seed, draw of labels and trial."""
    return title.partition(",")[0].partition(" seed ")[0]


def _pace(recipe: Mapping[str, Any], entry: Mapping[str, Any], flow: str | None) -> Any:  # noqa: ANN401 - JSON
    """What of a recipe decides how long a unit of a step's work takes."""
    data, labelling = recipe["data"]["train"], recipe["labelling"]["precision"]
    teachers = [_without(teacher, _NOT_OF_TEACHERS) for teacher in recipe["teachers"]]
    if isinstance(entry.get("teacher"), int):
        return data, labelling, teachers[entry["teacher"] : entry["teacher"] + 1]
    # Trials of a sweep have other students than its recipe says.
    student = (recipe["student"], _without(recipe["training"], _NOT_OF_TRAINING)) if flow != "sweep" else None
    return data, teachers, student, recipe["robustness"]


def _without(section: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name not in names}


def _spent(entry: Mapping[str, Any]) -> Spent | None:
    """Seconds and work of a step of a record; None of one that found its work done."""
    folder = Path(entry["path"])
    try:
        trained = read_history(folder)
    except StillhouseError:
        trained = None
    if trained and trained["steps"]:
        return Spent(float(trained["seconds"]) / int(entry.get("at_a_time", 1)), int(trained["steps"]))
    if entry["step"] == "label":
        output = find_output(folder)
        new = int(output.facts["new"]) if output else 0
        return Spent(float(entry["seconds"]), new) if new else None
    return Spent(float(entry["seconds"]), None)
