"""Training in several processes: the gradients of one, and one clear line where a process fails."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from transformers import BartConfig, BartForSequenceClassification, XLNetConfig, XLNetForSequenceClassification

from models.objectives import HardCrossEntropy, Objective, Weighted
from models.teacher import load_base
from models.training import Schedule, train
from tasks.shared import processes
from tasks.shared.child import Child
from tasks.shared.errors import StillhouseError
from tasks.shared.processes import train_in_processes
from tests.models.test_training import TOKENIZER, examples, student

UNEVEN = Schedule(steps=6, batch_size=5, learning_rate=0.02)
"""32 rows in batches of 5: the shares of three processes differ, and the last batch leaves one without a row."""


class Working:
    """A guard whose process does some steps before each look, and then is done."""

    def __init__(self, file: Path, looks: list[int]) -> None:
        self._file, self._looks = file, looks

    def poll(self) -> int | None:
        if not self._looks:
            return 0
        with self._file.open("ab") as steps:
            steps.write(b"." * self._looks.pop(0))
        return None


def test_only_steps_that_were_done_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that there were none yet, while processes still import."""
    guard = Working(tmp_path / processes._STEPS, [0, 0, 2, 0, 3])
    monkeypatch.setattr(processes, "start_child", lambda *_: Child(guard, tmp_path, ""))  # type: ignore[arg-type]
    monkeypatch.setattr(processes, "stop_child", lambda child: None)
    monkeypatch.setattr(processes, "_LOOK_SECONDS", 0.0)
    told: list[int] = []
    processes._carry_out(1, tmp_path, 1, told.append)
    assert told == [2, 3]


@pytest.mark.slow
def test_several_processes_train_as_one_does(tmp_path: Path) -> None:
    alone, together = student(), student()
    rows, done = examples(labelled=20), []
    wanted = train(alone, rows, rows, Objective([Weighted(HardCrossEntropy())]), UNEVEN, seed=3)
    found = train_in_processes(3, tmp_path, together, TOKENIZER, rows, UNEVEN, 3, done.append)
    for name, weights in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], weights, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(found.loss, wanted.loss, atol=1e-4)
    assert not torch.equal(alone.classifier.weight, student().classifier.weight)
    assert sum(done) == UNEVEN.steps
    assert not together.training
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_loss_that_diverges_is_told_as_in_one_process(tmp_path: Path) -> None:
    diverging = replace(UNEVEN, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train_in_processes(2, tmp_path, student(), TOKENIZER, examples(), diverging, 0, lambda steps: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all(tmp_path: Path) -> None:
    going_on = threading.Event()
    endless = replace(UNEVEN, steps=1_000_000)
    what = (student(), TOKENIZER, examples(), endless, 0, lambda steps: steps and going_on.set())
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(train_in_processes, 2, tmp_path, *what)
        assert going_on.wait(60)
        ours = [child for child in psutil.Process().children(recursive=True) if str(tmp_path) in str(child.cmdline())]
        victim = next(child for child in ours if "tasks.shared.child" not in child.cmdline())
        killed = time.monotonic()
        victim.kill()
        with pytest.raises(StillhouseError, match="a training process was killed"):
            training.result(timeout=60)
    assert time.monotonic() - killed < 40
    assert [child for child in ours if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_fails_in_one_process_alone_is_what_is_told(tmp_path: Path) -> None:
    """One of two rows of a batch has a token that no embedding stands for; the other process waits for its gradient."""
    rows = examples()
    rows.encoded.ids[5] = 30_000
    pairs = replace(UNEVEN, batch_size=2, steps=100)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="index out of range"):
        train_in_processes(2, tmp_path, student(), TOKENIZER, rows, pairs, 0, lambda steps: None)
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_each_process_reads_a_model_as_it_was_opened(tmp_path: Path) -> None:
    """XLNet, whose texts are moved to the left on their way in: what moves them is in no file."""
    without = {"dropout": 0.0, "summary_last_dropout": 0.0}
    shape = XLNetConfig(vocab_size=len(TOKENIZER), d_model=8, n_layer=1, n_head=2, d_inner=8, num_labels=3, **without)
    XLNetForSequenceClassification(shape).save_pretrained(tmp_path / "base")
    TOKENIZER.save_pretrained(tmp_path / "base")
    rows, found = examples(), []
    for count in (1, 2):
        model, tokenizer = load_base(tmp_path / "base", ["a", "b", "c"], 0, "cpu")
        if count == 1:
            train(model, rows, rows, Objective([Weighted(HardCrossEntropy())]), UNEVEN, seed=3)
        else:
            train_in_processes(2, tmp_path, model, tokenizer, rows, UNEVEN, 3, lambda steps: None)
        found.append(model.logits_proj.weight)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_tied_weights_come_back(tmp_path: Path) -> None:
    rows = examples()
    layers = {f"{part}_{what}": 1 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    ends = {"eos_token_id": TOKENIZER.sep_token_id, "pad_token_id": TOKENIZER.pad_token_id}
    shape = BartConfig(vocab_size=len(TOKENIZER), d_model=8, num_labels=3, **layers, **ends)
    model = BartForSequenceClassification(shape)
    before = model.model.shared.weight.clone()
    train_in_processes(2, tmp_path, model, TOKENIZER, rows, replace(UNEVEN, steps=2), 0, lambda steps: None)
    assert not torch.equal(model.model.shared.weight, before)
    assert torch.equal(model.model.shared.weight, model.model.encoder.embed_tokens.weight)
