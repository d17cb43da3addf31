"""A race: a few candidates, trained with one seed, of which dev chooses."""

from dataclasses import replace

import pytest

from tasks.race import Race
from tasks.shared.steps import Unknown
from tasks.shared.workspace import Workspace, open_workspace
from tasks.train_student import TrainStudent
from tasks.train_twin import TrainTwin
from tests.bench import Bench
from tests.settled import Training

SLOW = Training(epochs=2, batch_size=16, learning_rate=1e-2, evaluations=4)
WORSE = SLOW.model_copy(update={"learning_rate": 1e-10})
USELESS = SLOW.model_copy(update={"learning_rate": 1e-9})


@pytest.fixture
def fresh(toy, home):
    """A workspace without outputs of steps that train students."""
    return Bench(open_workspace())


def race(toy, *trainings, step=TrainStudent, rows=24):
    candidates = tuple(toy.small(step, training=training) for training in trainings)
    changes = tuple({} if n == 0 else {"training.learning_rate": t.learning_rate} for n, t in enumerate(trainings))
    return Race(candidates, changes, rows)


def test_the_candidate_that_does_best_on_dev_goes_on_and_is_not_trained_twice(toy, fresh):
    step = race(toy, USELESS, SLOW)
    record = fresh(step)
    assert (record.role, record.winner) == ("student", 1)
    assert [candidate.state for candidate in record.candidates] == ["done", "done"]
    assert record.candidates[1].dev_accuracy > record.candidates[0].dev_accuracy
    assert record.looks == 8
    before = len(fresh.made)
    student = fresh(step.candidates[1])
    assert len(fresh.made) == before, "what the race made is the output of the candidate's own step"
    assert student.dev_accuracy == record.candidates[1].dev_accuracy
    assert step.summary(record).endswith("; chosen: training.learning_rate=0.01")


def test_one_that_falls_behind_by_more_than_chance_is_stopped_and_leaves_nothing(toy, fresh):
    step = race(toy, SLOW, USELESS, WORSE, rows=1000)
    record = fresh(step)
    assert (record.winner, [one.state for one in record.candidates]) == (0, ["done", "done", "stopped"])
    assert 2 <= record.candidates[2].looks < 4, "not before half of its looks"
    assert step.candidates[2].find(fresh.workspace) is None


def test_few_dev_rows_stop_nobody_that_may_only_have_been_unlucky(toy, fresh):
    assert {one.state for one in fresh(race(toy, SLOW, USELESS, WORSE, rows=1)).candidates} == {"done"}


def test_of_equals_the_first_goes_on(toy, fresh):
    assert fresh(race(toy, SLOW, SLOW)).winner == 0


def test_a_killed_race_goes_on_to_the_same_bytes(toy, fresh, tmp_path):
    """Killed in its second candidate, of which nothing is left."""
    step = race(toy, SLOW, USELESS, rows=1000)
    whole = fresh.output(step)
    killed = Bench(Workspace(tmp_path / "killed"))
    killed(step.candidates[0])
    killed.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        killed.make(step)
    killed.stop_after = None
    assert killed.output(step).digest == whole.digest


def test_one_that_is_there_already_is_measured_as_if_it_were_trained_now(toy, fresh, tmp_path):
    """Else what happens to be in a workspace would decide who wins."""
    step = race(toy, SLOW, USELESS, WORSE, rows=1000)
    alone = Bench(Workspace(tmp_path / "other"))
    alone(step.candidates[2])
    assert alone.output(step).digest == fresh.output(step).digest


def test_twins_have_a_race_of_their_own_over_their_own_rows(toy, fresh):
    own = toy.small(TrainTwin, training=SLOW, matched=False)
    longer = toy.small(TrainTwin, training=SLOW.model_copy(update={"epochs": 6}), matched=False)
    assert own.steps == 2 * -(-toy.data.rows["gold"] // 16)
    assert longer.steps == 3 * own.steps
    record = fresh(Race((own, longer), ({}, {"twin.epochs": 6}), 24))
    assert record.role == "twin"


def test_a_plan_cannot_race_what_is_not_known(toy):
    unknown = replace(toy.small(TrainStudent), prepared=Unknown("prepared"))
    assert not Race((unknown,), ({},), 24).ready
