"""Training in several processes of this machine, a device each, whose gradients accelerate averages.

`python -m tasks.shared.processes FOLDER` is one of them; RANK and WORLD_SIZE say which. They find each other through a
file and speak on loopback alone.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from tasks.shared.child import Child, start_child, stop_child
from tasks.shared.errors import StillhouseError, one_line, printable
from tasks.shared.outputs import write_json
from tasks.shared.serving.environment import bare_environment

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from models.training import Advance, Examples, History, Schedule

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 1.5
_KILLED = 256 - 9
"""What the guard of a process that signal 9 ended exits with."""
_JOB, _WEIGHTS, _HISTORY, _STEPS, _ERROR = "job.json", "weights.safetensors", "history.json", "steps", "error.json"
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def train_in_processes(
    processes: int,
    folder: Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: "Examples",
    schedule: "Schedule",
    seed: int,
    advance: "Advance",
) -> "History":
    """Trains a model on gold labels as `models.training.train` does, each batch shared out to several processes.

    The result is that of one process but for the order in which floats are added; the masks of dropout are others.

    Args:
        processes: how many.
        folder: for a scratch folder; holds the model, the examples and what comes back until it is done.
        model: trained in place.
        tokenizer: the model's.
        examples: the rows to learn from, without soft labels.
        schedule: how long and how fast, without looks at dev; its batches are those of all processes together.
        seed: of dropout and of the order of the batches.
        advance: called with the optimiser steps done.

    Raises:
        FloatingPointError: the loss is not finite.
        StillhouseError: a process ended before it was done.
    """
    import torch
    from safetensors.torch import load_model

    from models.teacher import save
    from models.training import History

    device = model.device
    model.to("cpu")  # type: ignore[arg-type]  # its GPU is one process's own now

    with TemporaryDirectory(prefix=".processes-", dir=folder) as name:
        scratch = Path(name)
        save(model, tokenizer, scratch / "model")
        (scratch / "examples").mkdir()
        examples.encoded.save(scratch / "examples")
        np.save(scratch / "examples" / "labels.npy", examples.labels)
        job = {"schedule": asdict(schedule), "seed": seed, "device": device.type}
        write_json(scratch / _JOB, job)
        _carry_out(processes, scratch, max(1, torch.get_num_threads() // processes), advance)
        load_model(model, scratch / _WEIGHTS)
        model.to(device)  # type: ignore[arg-type]
        model.eval()  # type: ignore[no-untyped-call]
        return History(**json.loads((scratch / _HISTORY).read_text(encoding="utf-8")))


def _carry_out(processes: int, scratch: Path, threads: int, advance: "Advance") -> None:
    """Runs the processes until all are done; ends them all where one fails."""
    shared = {**bare_environment(), "WORLD_SIZE": str(processes), "OMP_NUM_THREADS": str(threads)}
    shared |= {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK, "TOKENIZERS_PARALLELISM": "false"}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}  # accelerate asks for them, and then uses the file
    command = [sys.executable, "-P", "-m", "tasks.shared.processes", str(scratch)]
    shown = 0
    with ExitStack() as ending:
        children: list[Child] = []
        for rank in range(processes):
            environment = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            child = start_child(command, scratch / f"{rank}.log", environment, Path.cwd())
            ending.callback(stop_child, child)
            children.append(child)
        codes: list[int | None] = [None]
        while None in codes and not any(codes):
            time.sleep(_LOOK_SECONDS)
            codes = [child.guard.poll() for child in children]  # each of them: one that waits for another ends late
            done = (scratch / _STEPS).stat().st_size if (scratch / _STEPS).exists() else 0
            if done > shown:
                advance(done - shown)
                shown = done
        if any(codes):
            time.sleep(_PATIENCE_SECONDS)  # where one is killed, another may have been the first to notice
            raise _failure(scratch, [child.guard.poll() or 0 for child in children])


def _failure(scratch: Path, codes: Sequence[int]) -> Exception:
    """What went wrong in a process: of its own, or because another one was gone."""
    if _KILLED in codes:
        return StillhouseError("a training process was killed, by a person or for want of memory; run again")
    if (scratch / _ERROR).exists():
        found = json.loads((scratch / _ERROR).read_text(encoding="utf-8"))
        kinds = {"FloatingPointError": FloatingPointError, "MemoryError": MemoryError}
        return kinds.get(found["kind"], RuntimeError)(found["message"])
    rank = next(rank for rank, code in enumerate(codes) if code)
    lines = (scratch / f"{rank}.log").read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    return RuntimeError(f"a training process ended with exit code {codes[rank]}: {printable(last, 200)}")


def _train_one(scratch: Path) -> None:
    import torch

    from models.teacher import load_classifier
    from models.training import Schedule, train
    from tasks.shared.objective import hard_objective

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    job = json.loads((scratch / _JOB).read_text(encoding="utf-8"))
    backend = "nccl" if job["device"] == "cuda" else "gloo"
    # Loopback alone: the store that accelerate would start listens on all of the machine's addresses.
    store = torch.distributed.FileStore(str(scratch / "store"), world)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=world)
    device = torch.device("cuda", rank) if job["device"] == "cuda" else torch.device("cpu")
    model, _ = load_classifier(scratch / "model", str(device))
    schedule, objective = Schedule(**job["schedule"]), hard_objective()
    examples = _examples(scratch / "examples")
    with (scratch / _STEPS).open("ab", buffering=0) as steps:

        def advance(count: int) -> None:
            if rank == 0:
                steps.write(b"." * count)

        history = train(model, examples, examples, objective, schedule, job["seed"], advance)
    if rank == 0:
        from safetensors.torch import save_model

        save_model(model, str(scratch / _WEIGHTS))
        write_json(scratch / _HISTORY, asdict(history))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _examples(folder: Path) -> "Examples":
    from models.encoding import Encoded
    from models.training import Examples

    return Examples(Encoded.load(folder), np.load(folder / "labels.npy", allow_pickle=False))


def _main(scratch: Path) -> None:
    try:
        _train_one(scratch)
    except Exception as error:
        # The first one's: what the others say follows from it.
        with suppress(FileExistsError), (scratch / _ERROR).open("x", encoding="utf-8") as file:
            json.dump({"kind": type(error).__name__, "message": one_line(error)}, file)
        raise


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
