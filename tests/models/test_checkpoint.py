"""A training that was stopped goes on to the bits of one that was not, or starts over and says why."""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from models import checkpoint
from models.checkpoint import Checkpoints, kept_step
from models.objectives import Objective
from models.training import Schedule, train
from tests.models.test_training import HARD, SOFT, Weighted, examples, student, transformer, vectors, weights

LONG = Schedule(steps=8, batch_size=8, learning_rate=0.02, evaluations=3)
"""Of four batches an epoch."""


class EveryStep(Checkpoints):
    """Is due after each step, whatever the clock says."""

    @property
    def due(self):
        return self._folder is not None


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


def change_last_byte(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def change_total_loss(file):
    """To what is JSON as before, and looks like a loss."""
    text = file.read_text(encoding="utf-8")
    changed = re.sub(r'total_loss(\\*)": [\d.]+', r'total_loss\1": 7.5', text)
    assert changed != text
    file.write_text(changed, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("tensors.safetensors", change_last_byte),
        ("facts.json", change_total_loss),
        ("facts.json", lambda file: file.write_text('{"schema": 2, "sha256": "", "content": 0}')),
        ("trainer_state.json", lambda file: file.write_text("")),
        ("trainer_state.json", lambda file: file.unlink()),
    ],
    ids=["tensors", "facts", "facts of a wrong kind", "state empty", "state gone"],
)
def test_a_damaged_checkpoint_is_told_and_not_used(name, damage, tmp_path):
    stopped(tmp_path)
    damage(next(tmp_path.glob(f"step-*/{name}")))
    said = []
    _, _, seen = carried_out(student, [HARD], LONG, tmp_path, warn=said.append)
    assert said == ["the checkpoint of an earlier training is damaged; it starts over"]
    assert seen == [1] * LONG.steps


def test_a_checkpoint_of_another_number_of_threads_is_not_used(tmp_path):
    """The bits depend on it."""
    stopped(tmp_path)
    file = next(tmp_path.glob("step-*/facts.json"))
    written = json.loads(file.read_text(encoding="utf-8"))
    content = json.loads(written["content"])
    content["circumstances"]["threads"] += 1
    text = json.dumps(content)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps({**written, "sha256": sha256, "content": text}), encoding="utf-8")
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


def test_a_training_that_starts_over_replaces_a_damaged_checkpoint_of_the_same_step(tmp_path):
    stopped(tmp_path)
    (tmp_path / "step-000000005").rename(tmp_path / "step-000000001")
    (tmp_path / "step-000000001" / "trainer_state.json").write_text("")
    said = []
    with pytest.raises(Killed):
        carried_out(student, [HARD], LONG, tmp_path, 1, warn=said.append)
    assert said == ["the checkpoint of an earlier training is damaged; it starts over"]
    assert kept_step(tmp_path) == 1
    _, _, seen = carried_out(student, [HARD], LONG, tmp_path)
    assert seen[0] == 1


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before_and_says_so(tmp_path, monkeypatch):
    write, said = checkpoint._save, []

    def full(snapshot, device, folder):
        write(snapshot, device, folder)
        if snapshot.step > 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_save", full)
    with pytest.raises(Killed):
        carried_out(student, [HARD], LONG, tmp_path, 6, warn=said.append)
    assert len(said) == 1
    assert said[0].endswith("stopped, it would go on from that of step 3")
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000003"]
    _, _, seen = carried_out(student, [HARD], LONG, tmp_path)
    assert seen[0] == 3


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
