"""What a report is made of, read from the files that a run's steps left; nothing is computed anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tasks.shared.history import read_history
from tasks.shared.outputs import MANIFEST, Json, read_json, read_versioned
from tasks.shared.scorecard import COST, QUALITY, Cost, Quality, read_card

RESULT, RESULT_VERSION = "result.json", 4
EXPLANATION, EXPLANATION_VERSION = "explanation.json", 1
REGISTERED = "registered.json"
RACE, RACE_VERSION = "race.json", 1

ROLES = ("teacher", "student", "unaugmented", "twin", "scratch")
"""In the order of tables and legends."""


@dataclass(frozen=True)
class Learnt:
    """What a training says of what it learnt from; None and 0 where it says nothing, as of older ones.

    Attributes:
        loyal: share of the texts learnt from on which a student names its teacher's class.
        doubted: share of the gold rows whose label the teacher contradicts with confidence, though it learnt from it.
        covered: share of dev's tokens that are in the student's vocabulary.
    """

    loyal: float | None
    doubted: float
    covered: float = 1.0


@dataclass(frozen=True)
class Card:
    """One model.

    Attributes:
        title: what it is called.
        role: one of `ROLES`.
        seed: of its training.
        dev_accuracy: share of dev that it gets right.
        quality: its quality.json.
        cost: its cost.json.
        history: how its training went; None of one that was taken as it is.
        cut_off: share of texts that it sees only the beginning of: of a student the transfer texts, of all others those
            with gold labels. 0 of an older one, where that is not known.
        learnt: what its training says of what it learnt from.
    """

    title: str
    role: str
    seed: int
    dev_accuracy: float
    quality: Quality
    cost: Cost
    history: Mapping[str, Json] | None
    cut_off: float
    learnt: Learnt = Learnt(None, 0.0)


@dataclass(frozen=True)
class Content:
    """All that is told.

    Attributes:
        recipe: the recipe, as plain data.
        classes: names.
        rows: of each part of the data.
        augmented: how many of the transfer texts are augmented copies.
        warnings: what load_data had to say, leakage included.
        cards: the models.
        result: what the judge wrote.
        explanation: what explain wrote.
        registered: what register wrote: of each model what was decided, and why.
        races: what each race wrote, in which dev chose among candidates.
    """

    recipe: Mapping[str, Json]
    classes: Sequence[str]
    rows: Mapping[str, int]
    augmented: int
    warnings: Sequence[str]
    cards: Sequence[Card]
    result: Mapping[str, Json]
    explanation: Mapping[str, Json]
    registered: Sequence[Mapping[str, Json]] = ()
    races: Sequence[Mapping[str, Json]] = ()

    @property
    def shipped(self) -> Card:
        """The student that does best on dev; of equals the first."""
        return max(self.of("student"), key=lambda card: card.dev_accuracy)

    @cached_property
    def roles(self) -> list[str]:
        """The roles that there are, in order."""
        return [role for role in ROLES if self.of(role)]

    def of(self, role: str) -> list[Card]:
        """The models of a role, a seed each."""
        return [card for card in self.cards if card.role == role]


@dataclass(frozen=True)
class Place:
    """Where a model's scorecard is, and where the model itself."""

    title: str
    role: str
    seed: int
    dev_accuracy: float
    scorecard: Path
    model: Path


def gather(
    recipe: Mapping[str, Json],
    data: Path,
    augmented: Path | None,
    models: Sequence[Place],
    judge: Path,
    explain: Path,
    register: Path | None = None,
    races: Sequence[Path] = (),
) -> Content:
    """Reads the folders that the steps of a run left.

    Args:
        recipe: as plain data.
        data: of load_data.
        augmented: of augment; None where it was not done.
        models: where the models' scorecards are.
        judge: of judge.
        explain: of explain.
        register: of register; None where nothing is told of it.
        races: of each race.

    Raises:
        StillhouseError: one is gone or damaged.
    """
    facts = read_json(data / MANIFEST)["facts"]
    more = read_json(augmented / MANIFEST)["facts"] if augmented else {"rows": facts["rows"]["transfer"], "added": 0}
    return Content(
        recipe=recipe,
        classes=facts["classes"],
        rows={**facts["rows"], "transfer": more["rows"]},
        augmented=more["added"],
        warnings=facts["warnings"],
        cards=[_card(place, {**facts["rows"], "transfer": more["rows"]}) for place in models],
        result=read_versioned(judge / RESULT, RESULT_VERSION),
        explanation=read_versioned(explain / EXPLANATION, EXPLANATION_VERSION),
        registered=read_json(register / REGISTERED) if register else (),
        races=[read_versioned(race / RACE, RACE_VERSION) for race in races],
    )


def _card(place: Place, rows: Mapping[str, int]) -> Card:
    quality = read_card(place.scorecard / QUALITY, Quality)
    facts = read_json(place.model.parent / MANIFEST)["facts"]
    return Card(
        title=place.title,
        role=place.role,
        seed=place.seed,
        dev_accuracy=place.dev_accuracy,
        quality=quality,
        cost=read_card(place.scorecard / COST, Cost),
        history=read_history(place.model.parent),
        cut_off=_cut_off(facts, rows),
        learnt=Learnt(facts.get("loyal"), facts.get("doubted", 0.0), facts.get("covered", 1.0)),
    )


def _cut_off(facts: Mapping[str, Json], rows: Mapping[str, int]) -> float:
    truncated = facts.get("truncated", {})
    part = "transfer" if "transfer" in truncated else "gold"
    return float(truncated.get(part, 0) / max(1, rows[part]))
