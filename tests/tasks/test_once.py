"""What several parts of a run share is asked for once; draws of labels share nothing."""

from dataclasses import dataclass, field, replace
from typing import Any

from flows.once import Once
from tasks.augment import Augment
from tasks.race import Race
from tasks.train_student import TrainStudent
from tests.settled import Augment as Options
from tests.settled import Training


@dataclass
class Recording:
    """Carries steps out as a bench does, and remembers what it was asked."""

    bench: Any
    asked: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def __call__(self, step: Any) -> Any:
        self.asked.append(step.title)
        return self.bench(step)

    def again(self, step: Any) -> None:
        self.repeated.append(step.title)

    def of_draw(self, number: int) -> "Recording":
        return self


def test_a_step_is_asked_for_once_and_then_remembered(toy: Any) -> None:
    do = Recording(toy.bench)
    once = Once(do)  # type: ignore[arg-type]
    step = toy.small(TrainStudent)
    assert once(step) == once(toy.small(TrainStudent))
    assert (do.asked, do.repeated) == ([step.title], [step.title])


def test_a_draw_of_labels_keeps_its_own_gold_rows_though_the_copies_are_the_same(toy: Any) -> None:
    """The key of augment stands for the transfer texts; its record holds gold too."""

    once = Once(Recording(toy.bench))  # type: ignore[arg-type]
    options = Options(copies=1)
    other = replace(toy.data, digests={**toy.data.digests, "gold": "another draw's"})
    first, second = (Augment(data, options, str(toy.base)) for data in (toy.data, other))
    assert first.key == second.key
    once(first)
    assert once.of_draw(1)(second).digests["gold"] == "another draw's"


def test_whoever_races_holds_the_locks_of_what_the_race_makes(toy: Any) -> None:
    """Before it waits for a GPU: a run that trains one of the candidates holds that lock while it waits."""
    candidates = tuple(toy.small(TrainStudent, training=Training(epochs=epochs)) for epochs in (1, 2))
    assert Race(candidates, ({}, {"training.epochs": 2}), 24).also_makes == candidates
