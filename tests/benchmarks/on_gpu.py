"""Rows of docs/results.md that need a GPU, by models/ alone: torch and transformers are all that has to be there.

    python -m tests.benchmarks.on_gpu pack RECIPE FOLDER [--set KEY=VALUE ...]   # here: the parts of the data
    python -m tests.benchmarks.on_gpu distil FOLDER BASE OUT                     # there: teacher, labels, all students
    python -m tests.benchmarks.on_gpu score FOLDER OUT                           # here: accuracies and the verdict
    python -m tests.benchmarks.on_gpu labels FOLDER OUT                          # here: the labels, for a recipe

`pack` runs the steps load_data and augment of a recipe and writes what they made as plain text, with the recipe; give
it a BERT as teacher, whose mask token the copies then have.
`distil` does with it what the pipeline does, but for several students side by side; the teacher begins as the model in
BASE. With `pack --try KEY=VALUE,KEY=VALUE` (repeatable) the first seed's student is trained in each such way, and dev
chooses the one that all seeds and twins are trained in. Test is answered by what comes out, and by nothing before.
"""

import argparse
import json
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("gold", "dev", "test", "transfer")
JOB = "job.json"
KEPT = Path(__file__).parent / "sst2-mpnet.xz"
"""What the MPNet said of SST-2 and its copies, on a machine that few have."""
MASK = "[MASK]"
"""As texts have it that were packed with a BERT's tokenizer. A teacher reads its own mask token instead."""
OF_MPNET = "<mask>"


def pack(recipe_name: str, folder: Path, overrides: list[str], ways: list[str]) -> None:
    """Writes each part's texts and labels, and the recipe."""
    from flows.shipped import find_recipe
    from tasks.augment import Augment
    from tasks.load_data import LoadData
    from tasks.shared.dataset import gold_of, read_chunks, read_keys, read_labels
    from tasks.shared.recipe_file import load_recipe
    from tasks.shared.workspace import Workspace
    from tests.bench import Bench

    recipe = load_recipe(find_recipe(recipe_name), overrides)
    bench = Bench(Workspace(folder / "workspace"))
    data = bench(LoadData(recipe.data))
    if recipe.augment.copies:
        data = bench(Augment(data, recipe.augment, recipe.tokenizer_of))
    for part in PARTS:
        texts = [text for chunk in read_chunks(data.file(part)) for text in chunk.texts]
        with lzma.open(folder / f"{part}.txt.xz", "wt", encoding="utf-8", preset=4) as file:
            file.write("\n".join(texts))
        labels = gold_of(data, read_keys(data.file(part))) if part == "transfer" else read_labels(data.file(part))
        np.save(folder / f"{part}.npy", labels.astype(np.int16))
        print(f"{part}: {len(texts):,} texts")
    tried = [dict(pair.split("=", 1) for pair in way.split(",")) for way in ways] or [{}]
    plain = recipe.model_dump(mode="json")
    for way in tried:
        _changed(plain, way)
    job = {"recipe": plain, "classes": list(data.classes), "given": data.given, "ways": tried}
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")


def distil(folder: Path, base: Path, out: Path) -> None:
    """Trains the teacher, labels, prepares, and trains students and twins side by side."""
    import torch

    from models.engine import open_engine, to_precision
    from models.objectives import HardCrossEntropy, Objective, Weighted
    from models.teacher import load_base
    from models.training import Examples, Schedule, steps_for, train

    job, began = _job(folder), time.monotonic()
    recipe, device = job["recipe"], "cuda" if torch.cuda.is_available() else "cpu"
    options = recipe["teachers"][0]
    model, tokenizer = load_base(base, job["classes"], options["seed"], device)
    encoded = {part: _encode(folder, part, tokenizer, options["max_length"]) for part in PARTS}
    labels = {part: np.load(folder / f"{part}.npy").astype(np.int64) for part in PARTS}
    tokenized = time.monotonic()
    gold, dev = (Examples(encoded[part], labels[part]) for part in ("gold", "dev"))
    steps = steps_for(len(gold.labels), options["batch_size"], options["epochs"])
    schedule = Schedule(steps, options["batch_size"], options["learning_rate"])
    train(model, gold, dev, Objective([Weighted(HardCrossEntropy())]), schedule, options["seed"])
    taught = time.monotonic()
    said = {}
    table = model.get_input_embeddings().get_parameter("weight").detach().cpu().clone()
    sample = encoded["dev"].first(min(256, len(encoded["dev"])))
    model, deviation = to_precision(model, "bf16" if device == "cuda" else "fp32", sample)
    with open_engine(model) as engine:
        for part in ("dev", "test", "transfer"):
            said[part] = engine.answers(encoded[part])
    labelled = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "teacher.npz", **{part: said[part].astype(np.float16) for part in ("dev", "test")})
    np.save(folder / "logits.npy", said["transfer"])
    np.save(out / "logits.npy", said["transfer"].astype(np.float16))
    _prepare(folder, table, tokenizer, encoded, job)
    times = {
        "tokenizing": tokenized - began,
        "teacher_training": taught - tokenized,
        "labelling": labelled - taught,
        "labelled_texts": len(encoded["transfer"]),
        "teacher_dev": float((said["dev"].argmax(-1) == labels["dev"]).mean()),
        "deviation": deviation and deviation.agreement,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
    }
    print(folder.name, times, flush=True)
    del model
    if device == "cuda":
        torch.cuda.empty_cache()
    began = time.monotonic()
    seeds, ways = recipe["seeds"], job["ways"]
    _side_by_side([(str(folder), str(out), "student", str(seeds[0]), str(way)) for way in range(len(ways))], device)
    best = [float(np.load(out / f"student-{seeds[0]}-{way}.npz")["dev_accuracy"]) for way in range(len(ways))]
    chosen = int(np.argmax(best))
    times |= {"ways": dict(zip(map(json.dumps, ways), best, strict=True)), "chosen": chosen}
    print(folder.name, times, flush=True)
    jobs = [(role, seed) for role in ("student", "twin") for seed in seeds][1:]
    _side_by_side([(str(folder), str(out), role, str(seed), str(chosen)) for role, seed in jobs], device)
    times["students"] = time.monotonic() - began
    (out / "times.json").write_text(json.dumps(times), encoding="utf-8")


def _side_by_side(jobs: list[tuple[str, ...]], device: str) -> None:
    """Trains students in processes of their own: on a GPU, where one alone leaves much idle, all at once."""
    at_once = len(jobs) if device == "cuda" else 1
    for start in range(0, len(jobs), at_once):
        command = [sys.executable, "-m", "tests.benchmarks.on_gpu", "one"]
        running = [subprocess.Popen([*command, *job]) for job in jobs[start : start + at_once]]
        if any([process.wait() for process in running]):  # noqa: C419 - all are waited for
            raise SystemExit("a student was not trained")


def one(folder: Path, out: Path, role: str, seed: int, way: int) -> None:
    """Trains one student or twin; keeps its answers on dev and test, its weights and what happened."""
    import torch
    from safetensors.torch import load_file, save_model

    from models.encoding import Encoded
    from models.families import new_student
    from models.inference import predict_logits
    from models.objectives import HardCrossEntropy, Objective, Weighted
    from models.training import Examples, Schedule, steps_for, train

    job = _job(folder)
    recipe = _changed(job["recipe"], job["ways"][way])
    shape = recipe["student"]
    start = load_file(folder / "start.safetensors")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(seed)
    model = new_student(
        shape["family"],
        **_shape(shape),
        vocab_size=len(start["embeddings"]),
        embedding_size=shape["embedding_size"],
        dropout=shape["dropout"],
        pad_token_id=job["pad"],
        id2label=dict(enumerate(job["classes"])),
    )
    model.start_from(start)
    model.to(device)
    encoded = {part: Encoded.load(folder / part) for part in PARTS}
    dev = Examples(encoded["dev"], np.load(folder / "dev.npy").astype(np.int64))
    how, rows = recipe["training"], len(encoded["transfer"])
    schedule = Schedule(
        steps_for(rows, how["batch_size"], how["epochs"]),
        how["batch_size"],
        how["learning_rate"],
        how["weight_decay"],
        how["evaluations"],
    )
    part = "transfer" if role == "student" else "gold"
    labels = np.load(folder / f"{part}.npy").astype(np.int64)
    if role == "student":
        examples = Examples(encoded[part], labels, np.load(folder / "logits.npy", mmap_mode="r"))
        objective = Objective(_term(term) for term in recipe["objective"])
    else:
        examples, objective = Examples(encoded[part], labels), Objective([Weighted(HardCrossEntropy())])
    began = time.monotonic()
    history = train(model, examples, dev, objective, schedule, seed)
    seconds = time.monotonic() - began
    said = {part: predict_logits(model, encoded[part], 512) for part in ("dev", "test")}
    np.savez_compressed(
        out / f"{role}-{seed}-{way}.npz",
        **{part: logits.astype(np.float16) for part, logits in said.items()},
        dev_accuracy=(said["dev"].argmax(-1) == dev.labels).mean(),
        history=np.array(history.dev_accuracy),
        seconds=seconds,
        steps=schedule.steps,
    )
    if role == "student":
        save_model(model.cpu(), str(out / f"student-{seed}-{way}.safetensors"))
    print(folder.name, role, seed, way, f"{seconds:.0f} s", history.dev_accuracy[-3:], flush=True)


def score(folder: Path, out: Path) -> dict[str, Any]:
    """Accuracies on test, retention and verdict of what came back."""
    from models.comparison import gap_closed, retention
    from models.verdict import judge

    job = _job(folder)
    labels = {part: np.load(folder / f"{part}.npy") for part in ("dev", "test")}
    seeds = job["recipe"]["seeds"]

    found: dict[str, Any] = json.loads((out / "times.json").read_text(encoding="utf-8"))

    def right(part: str, role: str) -> np.ndarray:
        names = ["teacher"] if role == "teacher" else [f"{role}-{seed}-{found['chosen']}" for seed in seeds]
        return np.stack([np.load(out / f"{name}.npz")[part].argmax(-1) == labels[part] for name in names])

    for role in ("teacher", "student", "twin"):
        found[role] = {part: right(part, role).mean(1).tolist() for part in ("dev", "test")}
    said = [right("test", role) for role in ("student", "twin", "teacher")]
    verdict = judge(said[0].astype(float), said[1].astype(float), job["recipe"]["worthwhile"])
    found["verdict"] = verdict.sentence()
    for name, value in (("retention", retention(said[0], said[2])), ("gap_closed", gap_closed(*said))):
        found[name] = None if value is None else str(value)
    print(json.dumps(found, indent=2))
    return found


def labels(folder: Path, out: Path) -> None:
    """Writes labels.parquet, what the teacher said of transfer and dev, and copies.txt, the texts that were added.

    Without what `distil` left in OUT, the labels of SST-2 that come with this file are taken, where the texts are those
    that they were made for: the difference of the two logits, in sixteenths. Those texts are written as the MPNet was
    given them, with its mask token; the MiniLM's tokenizer splits that in three, which made no clear difference on dev.
    """
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    job = _job(folder)
    texts = {part: _texts(folder, part) for part in ("transfer", "dev")}
    if (out / "logits.npy").exists():
        said = [np.load(out / "logits.npy"), np.load(out / "teacher.npz")["dev"]]
        logits = np.concatenate(said).astype(np.float32)
    else:
        kept = lzma.decompress(KEPT.read_bytes())
        if kept[:32] != hashlib.sha256("\n".join(texts["transfer"]).encode()).digest():
            raise SystemExit(f"{KEPT.name} was made for other texts than those in {folder}")
        texts["transfer"] = [text.replace(MASK, OF_MPNET) for text in texts["transfer"]]
        difference = np.frombuffer(kept[32:], np.int8).astype(np.float32) / 16
        logits = np.stack([-difference / 2, difference / 2], axis=1)
    columns = {f"logit_{name}": logits[:, place] for place, name in enumerate(job["classes"])}
    named = {job["recipe"]["data"]["text"]: [*texts["transfer"], *texts["dev"]]}
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(named | columns), out / "labels.parquet")
    (out / "copies.txt").write_text("\n".join(texts["transfer"][job["given"] :]) + "\n", encoding="utf-8")


def _job(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    return found


def _changed(recipe: dict[str, Any], way: dict[str, str]) -> dict[str, Any]:
    """The recipe with other values at some dotted paths, as JSON."""
    changed = json.loads(json.dumps(recipe))
    for path, value in way.items():
        node: Any = changed
        *parents, last = path.split(".")
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node[part]
        node[last]  # a name that is not there is a mistake
        node[last] = value if path.endswith(".term") else json.loads(value)
    return changed


def _texts(folder: Path, part: str) -> list[str]:
    with lzma.open(folder / f"{part}.txt.xz", "rt", encoding="utf-8", newline="\n") as file:
        return file.read().split("\n")


def _encode(folder: Path, part: str, tokenizer: Any, length: int) -> Any:
    from models.encoding import concatenate, encode

    texts = [text.replace(MASK, tokenizer.mask_token or MASK) for text in _texts(folder, part)]
    chunk = 50_000
    return concatenate(
        [encode(tokenizer, texts[first : first + chunk], None, length) for first in range(0, len(texts), chunk)]
    )


def _prepare(folder: Path, table: Any, tokenizer: Any, encoded: dict[str, Any], job: dict[str, Any]) -> None:
    """Writes the cut-down tokenizer, starting vectors and token ids, as the step prepare_student does."""
    from dataclasses import replace

    from safetensors.torch import save_file

    from models.embeddings import project
    from models.vocabulary import prune

    vocabulary = prune(tokenizer, np.unique(encoded["transfer"].ids))
    assert vocabulary.token_map is None, "WordPiece alone"
    vocabulary.tokenizer.save_pretrained(folder / "tokenizer")
    size = job["recipe"]["student"]["embedding_size"]
    save_file({"embeddings": project(table, vocabulary.kept, size).contiguous()}, folder / "start.safetensors")
    row_of = np.zeros(len(tokenizer), np.int32)
    row_of[vocabulary.kept] = np.arange(len(vocabulary.kept), dtype=np.int32)
    length = job["recipe"]["teachers"][0]["max_length"]
    for part in PARTS:
        (folder / part).mkdir(exist_ok=True)
        if part in ("gold", "transfer"):  # split as the teacher's tokenizer splits them
            found = replace(encoded[part], ids=row_of[encoded[part].ids], pad_id=vocabulary.tokenizer.pad_token_id)
        else:
            found = _encode(folder, part, vocabulary.tokenizer, length)
        found.save(folder / part)
    (folder / JOB).write_text(json.dumps({**job, "pad": vocabulary.tokenizer.pad_token_id}), encoding="utf-8")


def _shape(student: dict[str, Any]) -> dict[str, Any]:
    names = {"hidden_size": "hidden_size", "layers": "num_hidden_layers", "bidirectional": "bidirectional"}
    shape = {config: student[name] for name, config in names.items()}
    return shape | ({"pooling": student["pooling"]} if student["pooling"] else {})


def _term(term: dict[str, Any]) -> Any:
    from models import objectives

    terms = {
        "soft": objectives.SoftCrossEntropy,
        "hard": objectives.HardCrossEntropy,
        "logits": objectives.LogitMSE,
        "standardised": objectives.StandardisedCrossEntropy,
    }
    weight = objectives.Ramp(term["weight"], term["weight"])
    return objectives.Weighted(terms[term["term"]](), weight, objectives.Ramp(term["temperature"], term["temperature"]))


def main() -> None:
    """The command line."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("recipe")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--set", action="append", default=[], dest="overrides")
    packing.add_argument("--try", action="append", default=[], dest="ways")
    distilling = commands.add_parser("distil")
    for name in ("folder", "base", "out"):
        distilling.add_argument(name, type=Path)
    alone = commands.add_parser("one")
    alone.add_argument("folder", type=Path)
    alone.add_argument("out", type=Path)
    alone.add_argument("role")
    alone.add_argument("seed", type=int)
    alone.add_argument("way", type=int)
    for name in ("score", "labels"):
        after = commands.add_parser(name)
        after.add_argument("folder", type=Path)
        after.add_argument("out", type=Path)
    given = vars(parser.parse_args())
    command = given.pop("command")
    if command == "pack":
        pack(given["recipe"], given["folder"], given["overrides"], given["ways"])
    else:
        {"distil": distil, "one": one, "score": score, "labels": labels}[command](**given)


if __name__ == "__main__":
    main()
