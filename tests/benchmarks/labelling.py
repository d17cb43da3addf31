"""Labelling against the textbook, the machine's limit, and itself, in pairs within one process.

    .venv/bin/python -m tests.benchmarks.labelling [SECTION ...] [--json FILE] [--texts N] [--pairs N]

Prints a table and writes it as JSON, where sections that were measured before on the same machine stay; without a
section all are measured, which takes about half an hour on two cores.
The teacher is that of the quickstart recipe, reading 512 tokens; it is trained at first (two minutes) in the workspace
that STILLHOUSE_HOME names, `workspace` by default. Every figure is a median over pairs whose arms alternate.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

MAX_LENGTH = 512
MATRIX = 4096
HEAD = "| what | bar | measured | met |\n|---|---|---|---|"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """A line of the table: what, the bar, what was measured, whether that is enough."""

    what: str
    bar: str
    measured: str
    met: bool

    def line(self) -> str:
        """The line in Markdown."""
        return f"| {self.what} | {self.bar} | {self.measured} | {'yes' if self.met else 'no'} |"


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    texts: int
    pairs: int


def textbook(options: Options) -> list[Row]:
    """The fast engine against two loops that people write: fixed order, padded; and the library's own pipeline."""
    import torch
    from transformers import pipeline

    from models.engine import open_engine

    model, tokenizer, texts, _ = _teacher_and_texts(options.texts)

    def loop() -> np.ndarray:
        found = []
        with torch.no_grad():
            for start in range(0, len(texts), 32):
                some = texts[start : start + 32]
                batch = tokenizer(
                    some, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
                )
                found.append(model(**batch).logits.numpy())
        return np.concatenate(found)

    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None, device="cpu")

    def library() -> np.ndarray:
        said = classify(texts, batch_size=32, truncation=True, max_length=MAX_LENGTH, function_to_apply="none")
        order = {name: number for number, name in model.config.id2label.items()}
        return np.array([[s["score"] for s in sorted(each, key=lambda s: order[s["label"]])] for each in said])

    from models.encoding import encode

    def ours() -> np.ndarray:
        with open_engine(model) as engine:
            return engine.answers(encode(tokenizer, texts, None, MAX_LENGTH))

    rows = []
    for name, other, bar in (("the textbook loop", loop, 6.5), ("transformers.pipeline", library, 5.5)):
        ratio, one, two = _paired(ours, other, options.pairs)
        apart = float(np.abs(one - two).max())
        what = f"R8, {MAX_LENGTH} tokens, fp32, against {name} (logits {apart:.0e} apart)"
        rows.append(Row(what, f">= {bar}x", f"{ratio:.2f}x", ratio >= bar and apart <= 1e-4))
    return rows


def limit(options: Options) -> list[Row]:
    """Achieved floating-point operations against those of large matrices, padding not counted as work."""
    import torch

    from models.engine import open_engine

    model, _, _, encoded = _teacher_and_texts(options.texts)
    left, right = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    work = _operations(model.config, encoded.lengths)
    with open_engine(model) as engine:
        ratio, _, _ = _paired(lambda: engine.answers(encoded), lambda: left @ right, options.pairs)
    share = work / (2.0 * MATRIX**3) * ratio
    return [Row(f"achieved against large-matrix FLOP/s ({MATRIX} wide)", ">= 0.75", f"{share:.2f}", share >= 0.75)]


def _operations(config: object, lengths: np.ndarray) -> float:
    """Floating-point operations of a BERT's forward passes over texts of so many tokens each, embeddings left out.

    What the last layer does after its attention is counted for one token a text: the engine computes no more.
    """
    width, layers, inner = config.hidden_size, config.num_hidden_layers, config.intermediate_size
    tokens = lengths.astype(float).sum()
    attention = 2 * tokens * 3 * width**2 + 4 * (lengths.astype(float) ** 2).sum() * width
    after = 2 * (width**2 + 2 * width * inner)
    return float(layers * attention + (layers - 1) * tokens * after + len(lengths) * after)


def whole(options: Options) -> list[Row]:
    """Reading, tokenising, forward passes and writing, against the same forward passes alone."""
    from models.engine import open_engine
    from tasks.shared.dataset import read_keys
    from tasks.shared.label_files import FolderFiles
    from tasks.shared.label_plan import Plan
    from tasks.shared.label_store import LabelStore
    from tasks.shared.labeller import Labeller
    from tasks.shared.labelling import carry_out, encoded_parts

    data, teacher = _taught()
    model, tokenizer, _, _ = _teacher_and_texts(options.texts)
    file = data.file("transfer")
    plan = Plan(read_keys(file)[: 2 * options.texts])
    parts = [part for _, _, part in encoded_parts(plan, file, tokenizer, MAX_LENGTH)]
    labeller = Labeller(teacher.digest, data.classes, MAX_LENGTH, "fp32", "torch", 1, "single-label")
    with open_engine(model) as engine, TemporaryDirectory() as folder:
        count = iter(range(10**6))

        def end_to_end() -> None:
            store = LabelStore(FolderFiles(Path(folder) / str(next(count))), labeller)
            carry_out(plan, store, file, engine, tokenizer, MAX_LENGTH, teacher.columns, lambda texts: None)

        ratio, _, _ = _paired(end_to_end, lambda: [engine.answers(part) for part in parts], options.pairs)
    return [Row("end to end against the bare forward passes", ">= 0.90", f"{ratio:.3f}", ratio >= 0.9)]


def precisions(options: Options) -> list[Row]:
    """bf16 and int8 against fp32, with the same engine."""
    from models.engine import open_engine, to_precision
    from models.teacher import load_classifier

    exact, _, _, encoded = _teacher_and_texts(options.texts)
    rows = []
    for precision in ("int8", "bf16"):
        model, _ = load_classifier(_taught()[1].path, "cpu")
        model, deviation = to_precision(model, precision, encoded)
        with open_engine(model) as low, open_engine(exact) as high:
            ratio, _, _ = _paired(lambda: low.answers(encoded), lambda: high.answers(encoded), options.pairs)
        apart = f"mean {deviation.mean:.3f}, largest {deviation.largest:.2f}"
        said = f"the same class {deviation.agreement:.1%}, difference {apart}"
        met = precision != "int8" or (ratio >= 1.5 and deviation.agreement >= 0.99)
        bar = ">= 1.5x, class >= 99 %" if precision == "int8" else "reported"
        rows.append(Row(f"{precision} against fp32", bar, f"{ratio:.2f}x; {said}", met))
    return rows


def increment(options: Options) -> list[Row]:
    """One percent of new texts against labelling all of them, inside a running process."""
    from dataclasses import replace

    from tasks.label import Label
    from tasks.load_data import LoadData
    from tasks.shared.recipe_data import Data
    from tasks.shared.workspace import Workspace
    from tests.bench import Bench
    from tests.settled import Labelling

    _, teacher = _taught()
    teacher = replace(teacher, max_length=64)
    with TemporaryDirectory() as folder:
        bench = Bench(Workspace(Path(folder) / "home"))
        texts = _pieces(20_200)
        seconds = []
        for count in (20_000, 20_200):
            unlabelled = Path(folder) / f"{count}.txt"
            unlabelled.write_text("\n".join(texts[:count]), encoding="utf-8")
            samples = {"train": "sample:r8/test", "test": "sample:r8/train", "labels_per_class": 3}
            data = bench(LoadData(Data(**samples, unlabelled=[str(unlabelled)])))
            began = time.perf_counter()
            record = bench(Label(data, teacher, Labelling(), 0))
            seconds.append(time.perf_counter() - began)
        share = seconds[1] / seconds[0]
    what = f"{record.new} new texts after {record.view['rows'] - record.new:,} ({seconds[0]:.0f} s)"
    return [Row(what, "<= 3 %", f"{share:.1%} ({seconds[1]:.1f} s)", share <= 0.03)]


def on_ray(options: Options) -> list[Row]:
    """Two Ray workers of one thread against one, each carrying out shares of the same texts; all are started before."""
    from dataclasses import replace

    import pyarrow.parquet as pq
    import ray

    from tests.benchmarks.share import label_share

    data, teacher = _taught()
    teacher, shares = replace(teacher, max_length=MAX_LENGTH), 4
    quiet = {"log_to_driver": False, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    with TemporaryDirectory() as folder, ray.init("local", num_cpus=2, **quiet):
        pq.write_table(pq.read_table(data.file("test")).slice(0, options.texts), Path(folder) / "transfer.parquet")
        few = replace(data, path=Path(folder), digests={**data.digests, "transfer": "some of test"})
        share, count = ray.remote(label_share), iter(range(10**6))

        def by(workers: int) -> int:
            home = Path(folder) / f"home-{next(count)}"
            task = share.options(num_cpus=2 // workers)
            return sum(ray.get([task.remote(few, teacher, number, shares, home) for number in range(shares)]))

        ratio, one, two = _paired(lambda: by(2), lambda: by(1), min(3, options.pairs))
    what = f"Ray, 2 workers of a thread against 1, {one} texts in {shares} shares"
    return [Row(what, ">= 1.6x", f"{ratio:.2f}x", ratio >= 1.6 and one == two == options.texts)]


def memory(options: Options) -> list[Row]:
    """Peak memory of labelling a million short texts against 20,000, in processes of their own, by a tiny teacher."""
    rows = []
    with TemporaryDirectory() as folder:
        peaks: dict[str, list[float]] = {"load_data": [], "label": []}
        sizes = (20_000, 1_000_000)
        for count in sizes:
            for step, found in peaks.items():
                command = [sys.executable, "-m", "tests.benchmarks.labelling", "--step", step, str(count), folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.append(float(done.stdout.split()[-1]))
        for step, (small, large) in peaks.items():
            allowed = 1.2 * small + 64 * (sizes[1] - sizes[0])
            each = (large - small) / (sizes[1] - sizes[0])
            measured = f"{large / 1e6:,.0f} MB, {small / 1e6:,.0f} MB ({each:.0f} bytes a row)"
            what = f"peak memory of {step} at {sizes[1]:,} short texts and at {sizes[0]:,}"
            rows.append(Row(what, "<= 64 bytes a row more, plus 20 %", measured, large <= allowed))
    return rows


def one_step(step: str, count: int, folder: Path) -> None:
    """Carries out one step on so many short texts and prints the process's peak memory in bytes."""
    from tasks.label import Label
    from tasks.load_data import LoadData
    from tasks.shared.recipe_data import Data
    from tasks.shared.workspace import Workspace
    from tasks.train_teacher import TeacherRecord
    from tests.bench import Bench
    from tests.settled import Labelling
    from tests.tiny import tiny_bert, wordpiece_tokenizer
    from tests.toy import WORDS, toy_rows, write_csv

    bench = Bench(Workspace(folder / f"home-{count}"))
    texts = folder / f"{count}.txt"
    if not texts.exists():
        with texts.open("w", encoding="utf-8") as file:
            file.writelines(f"text number {number} of many\n" for number in range(count))
        write_csv(folder / "train.csv", toy_rows(60, seed=0))
        write_csv(folder / "test.csv", toy_rows(60, seed=1))
    data = bench(
        LoadData(Data(train=str(folder / "train.csv"), test=str(folder / "test.csv"), unlabelled=[str(texts)]))
    )
    if step == "label":
        base = folder / "base"
        if not base.exists():
            tiny_bert(base, wordpiece_tokenizer([text for text, _ in toy_rows(60, seed=0)]), sorted(WORDS))
        teacher = TeacherRecord(base, "tiny", (0, 1, 2), 1.0, 0.0, 16, 0, 0)
        bench(Label(data, teacher, Labelling(), 0))
    # Not getrusage: its peak is that of the process that started this one, if that was larger.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024)


@cache
def _taught() -> tuple:
    """The quickstart's data and teacher, made in the workspace if they are not there."""
    from flows.labelled import whole_recipe
    from flows.shipped import find_recipe
    from tasks.load_data import LoadData
    from tasks.shared.recipe_file import load_recipe
    from tasks.shared.workspace import open_workspace
    from tasks.train_teacher import TrainTeacher
    from tests.bench import Bench

    bench = Bench(open_workspace())
    recipe = whole_recipe(load_recipe(find_recipe("quickstart")), bench)
    data = bench(LoadData(recipe.data))
    return data, bench(TrainTeacher(data, recipe.teachers[0], 0))


@cache
def _teacher_and_texts(count: int) -> tuple:
    """The teacher, its tokenizer, the first R8 test texts, and their token ids."""
    from models.encoding import encode
    from models.teacher import load_classifier
    from tasks.shared.dataset import read_chunks

    data, teacher = _taught()
    model, tokenizer = load_classifier(teacher.path, "cpu")
    texts = next(read_chunks(data.file("test"))).texts[:count]
    return model, tokenizer, texts, encode(tokenizer, texts, None, MAX_LENGTH)


def _pieces(count: int) -> list[str]:
    """Different texts of some thirty words, cut from 20 Newsgroups."""
    from tasks.shared.recipe_data import Data
    from tasks.shared.sources import open_sources

    data = Data(train="sample:20news/train", test="-")
    found: dict[str, None] = {}
    for source in open_sources(data.train, data, split="train", labelled=True, where="data.train"):
        for row in source.rows():
            words = row.text.split()
            for start in range(0, len(words) - 30, 30):
                found[" ".join(words[start : start + 30])] = None
                if len(found) == count:
                    return list(found)
    raise SystemExit("too few texts")


def _paired(ours: Callable[[], object], other: Callable[[], object], pairs: int) -> tuple[float, object, object]:
    """How many times as fast ours is: the median over pairs; and what both gave. The first pair only warms up."""
    ratios = []
    for number in range(pairs + 1):
        arms = [(ours, 0), (other, 1)] if number % 2 else [(other, 1), (ours, 0)]
        seconds, given = [0.0, 0.0], [None, None]
        for arm, place in arms:
            began = time.perf_counter()
            given[place] = arm()
            seconds[place] = time.perf_counter() - began
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios[1:]), given[0], given[1]


SECTIONS = {
    "limit": limit,
    "whole": whole,
    "precisions": precisions,
    "textbook": textbook,
    "increment": increment,
    "ray": on_ray,
    "memory": memory,
}


def main() -> None:
    """Measures, prints, writes; exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=HERE / "labelling.json")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        one_step(given.step[0], int(given.step[1]), Path(given.step[2]))
        return
    strange = set(given.sections) - set(SECTIONS)
    if strange:
        parser.error(f"no section {', '.join(sorted(strange))}; there are {', '.join(SECTIONS)}")
    from models.cost import machine

    measured = _measured_before(given.json, machine())
    print(HEAD, flush=True)
    for name in given.sections or SECTIONS:
        rows = SECTIONS[name](Options(given.texts, given.pairs))
        print("\n".join(row.line() for row in rows), flush=True)
        measured["sections"][name] = {"texts": given.texts, "pairs": given.pairs, "rows": [asdict(row) for row in rows]}
        given.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if all(row["met"] for section in measured["sections"].values() for row in section["rows"]) else 1)


def _measured_before(file: Path, machine: dict[str, object]) -> dict[str, Any]:
    """What a file has of the same machine; a section that is measured again replaces its rows."""
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if found["machine"] == machine:
            return found
    return {"machine": machine, "sections": {}}


if __name__ == "__main__":
    main()
