"""Training students against the textbook loop, and a sweep against as many separate runs.

    .venv/bin/python -m tests.benchmarks.training [epoch] [sweep] [--texts FILE] [--pairs N] [--runs N]

`epoch`: a pass of three by `models.training.train`, and by the loop of tutorials: every batch padded to 64 tokens, the
teacher's whole vocabulary, Adam. The same LSTM, texts, soft labels and batch size; medians over pairs whose arms
alternate. The texts are R8's (long: 54 of 64 tokens on average), or those of FILE, a text a line.
`sweep`: eight students by `stillhouse sweep` against eight runs of the same recipe with one seed, each in a workspace
of its own; of those N are run, and their mean is taken eight times.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flows.cli import OPENMP_SPINS

LENGTH, BATCH, WIDTH, PASSES = 64, 32, 64, 3
STILLHOUSE = Path(sys.executable).with_name("stillhouse")


def epoch(file: Path | None, pairs: int) -> None:
    """Prints how many times as fast an epoch is."""
    os.environ.setdefault(*OPENMP_SPINS)  # as the command line does, before torch is there
    import torch
    from transformers import AutoTokenizer

    from models.encoding import encode
    from models.families import new_student
    from models.objectives import Objective, Ramp, SoftCrossEntropy, Weighted
    from models.training import Examples, Schedule, steps_for, train
    from models.vocabulary import prune
    from tasks.shared.recipe_data import Data
    from tasks.shared.samples import sample_model
    from tasks.shared.sources import open_sources
    from tasks.shared.texts import normalise

    if file:
        texts = list(dict.fromkeys(filter(None, map(normalise, file.read_text(encoding="utf-8").splitlines()))))
    else:
        data = Data(train="sample:r8/train", test="-")
        [source] = open_sources(data.train, data, split="train", labelled=True, where="data.train")
        texts = list(dict.fromkeys(normalise(row.text) for row in source.rows()))
    tokenizer = AutoTokenizer.from_pretrained(sample_model("sample:minilm-l6"))
    whole = encode(tokenizer, texts, None, LENGTH)
    vocabulary = prune(tokenizer, np.unique(whole.ids))
    pruned = encode(vocabulary.tokenizer, texts, None, LENGTH)
    said = np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)
    labels = np.full(len(texts), -100)

    def student(rows: int) -> Any:
        torch.manual_seed(0)
        return new_student("lstm", vocab_size=rows, embedding_size=WIDTH, hidden_size=WIDTH, num_labels=8)

    def ours(encoded: Any, rows: int, precision: Literal["fp32", "bf16"] = "fp32") -> Callable[[], object]:
        dev = Examples(encoded.first(8), np.zeros(8, np.int64))
        schedule = Schedule(steps_for(len(texts), BATCH, PASSES), BATCH, 3e-3, precision=precision)
        objective = Objective([Weighted(SoftCrossEntropy(), temperature=Ramp(2.0, 2.0))])
        return lambda: train(student(rows), Examples(encoded, labels, said), dev, objective, schedule, 0)

    padded = whole.batch(np.arange(len(texts)))
    ids = torch.zeros(len(texts), LENGTH, dtype=torch.int64)
    ids[:, : padded["input_ids"].shape[1]] = padded["input_ids"]
    mask = (ids != 0).to(torch.int64)
    teacher = torch.from_numpy(said)

    def textbook(rows: int, width: int = LENGTH) -> Callable[[], object]:
        def loop() -> None:
            model = student(rows)
            model.train()
            optimiser = torch.optim.Adam(model.parameters(), 3e-3)
            orders = [torch.randperm(len(texts)) for _ in range(PASSES)]
            for some in (rows for order in orders for rows in order.split(BATCH)):
                optimiser.zero_grad()
                logits = model(input_ids=ids[some, :width], attention_mask=mask[some, :width]).logits
                found, wanted = (logits / 2).log_softmax(-1), (teacher[some] / 2).softmax(-1)
                (4 * torch.nn.functional.kl_div(found, wanted, reduction="batchmean")).backward()
                optimiser.step()

        return loop

    full, few = len(tokenizer), len(vocabulary.kept)
    print(f"{len(texts):,} texts, {whole.lengths.mean():.0f} tokens on average, {full:,} and {few:,} rows", flush=True)
    _print("against the textbook loop", _ratio(ours(pruned, few), textbook(full), pairs))
    _print("ours with the whole vocabulary, against it", _ratio(ours(whole, full), textbook(full), pairs))
    _print("bf16 against fp32", _ratio(ours(pruned, few, "bf16"), ours(pruned, few), pairs))


def sweep(runs: int) -> None:
    """Prints how long a sweep of eight students takes, against eight runs."""
    space = "sweep={trials: 8, pruning: false, space: {student.hidden_size: [16, 24, 32, 48, 64, 96, 112, 128]}}"
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        _stillhouse(Path(folder) / "sweep", "sweep", "quickstart", "--set", space)
        by_sweep = time.monotonic() - began
        alone = []
        for number in range(runs):
            size = f"student.hidden_size={(64, 128)[number % 2]}"
            began = time.monotonic()
            _stillhouse(Path(folder) / f"run-{number}", "run", "quickstart", "--set", "seeds=[0]", "--set", size)
            alone.append(time.monotonic() - began)
    mean = statistics.fmean(alone)
    print(f"sweep of 8: {by_sweep:.0f} s; a run: {mean:.0f} s; ratio {by_sweep / (8 * mean):.2f} (bar: at most 0.35)")


def _stillhouse(home: Path, *arguments: str) -> None:
    environment = {**os.environ, "STILLHOUSE_HOME": str(home)}
    subprocess.run([STILLHOUSE, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def _ratio(ours: Callable[[], object], other: Callable[[], object], pairs: int) -> list[tuple[float, float]]:
    """Seconds of both arms, pair by pair; they alternate, and the first pair only warms up."""
    found = []
    for number in range(pairs + 1):
        seconds = [0.0, 0.0]
        for place in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            (ours, other)[place]()
            seconds[place] = (time.perf_counter() - began) / PASSES
        found.append((seconds[0], seconds[1]))
    return found[1:]


def _print(what: str, pairs: list[tuple[float, float]]) -> None:
    ratio = statistics.median(other / ours for ours, other in pairs)
    seconds = [statistics.median(pair[place] for pair in pairs) for place in (0, 1)]
    print(f"{what}: {ratio:.1f}x ({seconds[0]:.1f} s, {seconds[1]:.1f} s)", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=["epoch", "sweep", []], default=["epoch", "sweep"])
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=2)
    given = parser.parse_args()
    if "epoch" in given.sections:
        epoch(given.texts, given.pairs)
    if "sweep" in given.sections:
        sweep(given.runs)


if __name__ == "__main__":
    main()
