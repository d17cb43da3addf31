"""A training that was stopped goes on to the bits of one that was not, or starts over and says why."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from models.checkpoint import Checkpoints, kept_step
from models.objectives import Objective
from models.training import Schedule, train
from tests.models.test_training import HARD, SOFT, Weighted, examples, student, transformer, vectors, weights

LONG = Schedule(steps=8, batch_size=8, learning_rate=0.02, evaluations=3)
"""Of four batches an epoch."""


class EveryStep(Checkpoints):
    """Is due after each step, whatever the clock says."""

    due = True


class Killed(BaseException):
    pass


def carried_out(new, terms, schedule, folder=None, stop=None, warn=print):
    """A training with a checkpoint after each step, killed before the step after `stop`."""
    model = new()
    objective = Objective([term if isinstance(term, Weighted) else Weighted(term(model)) for term in terms])
    seen = []

    def advance(steps):
        seen.append(steps)
        if stop is not None and sum(seen) > stop:
            raise Killed

    history = train(model, examples(), examples(), objective, schedule, 3, advance, checkpoints=EveryStep(folder, warn))
    return model, history, seen


@pytest.mark.parametrize(
    ("new", "terms", "changes", "stop"),
    [
        (lambda: student(dropout=0.4), [HARD, SOFT], {}, 6),
        (lambda: student(dropout=0.4), [HARD], {"evaluations": 0}, 4),
        (lambda: student(dropout=0.4), [HARD], {"accumulate": 3}, 3),
        (transformer, [HARD, vectors], {"precision": "bf16"}, 5),
    ],
    ids=["within an epoch", "after an epoch", "accumulated gradients", "learnt projection in bf16"],
)
def test_a_training_that_was_killed_goes_on_to_the_same_bits(new, terms, changes, stop, tmp_path):
    schedule = replace(LONG, **changes)
    model, history, _ = carried_out(new, terms, schedule)
    with pytest.raises(Killed):
        carried_out(new, terms, schedule, tmp_path, stop)
    assert kept_step(tmp_path) == stop
    torch.manual_seed(99)
    resumed, told, seen = carried_out(new, terms, schedule, tmp_path)
    assert seen[0] == stop, "it went on, and said so"
    assert torch.equal(weights(resumed), weights(model))
    assert replace(told, seconds=0.0) == replace(history, seconds=0.0)


def test_who_watches_the_looks_is_told_of_those_before_the_kill_again(tmp_path):
    """So that a sweep stops the training that it would have stopped."""
    told = []
    for last in (2, None):
        looks = []

        def looked(look, accuracy, looks=looks, last=last):
            looks.append((look, accuracy))
            if look == last:
                raise Killed

        with suppress(Killed):
            kept = EveryStep(tmp_path)
            train(student(), examples(), examples(), Objective([HARD]), LONG, 0, looked=looked, checkpoints=kept)
        told.append(looks)
    assert [look for look, _ in told[1]] == [1, 2, 3]
    assert told[1][:2] == told[0]


def stopped(folder):
    with pytest.raises(Killed):
        carried_out(student, [HARD], LONG, folder, 5)


def test_a_damaged_checkpoint_is_told_and_not_used(tmp_path):
    stopped(tmp_path)
    file = next(tmp_path.glob("step-*/tensors.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    said = []
    _, _, seen = carried_out(student, [HARD], LONG, tmp_path, warn=said.append)
    assert said == ["the checkpoint of an earlier training is damaged; it starts over"]
    assert seen == [1] * LONG.steps


def test_a_checkpoint_of_another_number_of_threads_is_not_used(tmp_path):
    """The bits depend on it."""
    stopped(tmp_path)
    file = next(tmp_path.glob("step-*/facts.json"))
    facts = json.loads(file.read_text(encoding="utf-8"))
    facts["circumstances"]["threads"] += 1
    file.write_text(json.dumps(facts), encoding="utf-8")
    said = []
    _, _, seen = carried_out(student, [HARD], LONG, tmp_path, warn=said.append)
    assert seen == [1] * LONG.steps
    assert "threads" in said[0]
    assert said[0].endswith("it starts over")


def test_a_checkpoint_holds_nothing_that_is_pickled_and_replaces_the_last(tmp_path):
    stopped(tmp_path)
    folder = next(iter(tmp_path.iterdir()))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000005"]
    assert {path.name for path in folder.iterdir()} == {"facts.json", "tensors.safetensors", "trainer_state.json"}
    assert {name.partition(".")[0] for name in load_file(folder / "tensors.safetensors")} == {
        *("learner", "adam", "best", "random", "loss")
    }


def test_a_short_training_keeps_none(tmp_path):
    train(student(), examples(), examples(), Objective([HARD]), LONG, 0, checkpoints=Checkpoints(tmp_path / "kept"))
    assert not (tmp_path / "kept").exists()


def test_a_training_that_cannot_write_its_checkpoint_says_so_once_and_goes_on(tmp_path):
    (tmp_path / "file").write_text("in the way")
    said = []
    _, _, seen = carried_out(student, [HARD], LONG, tmp_path / "file", warn=said.append)
    assert len(said) == 1
    assert "would start over" in said[0]
    assert seen == [1] * LONG.steps
