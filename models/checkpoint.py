"""Checkpoints of a training that is not done: all that decides how it goes on, to the last bit.

Tensors are in safetensors, the rest is JSON. A checkpoint is a folder, which gets its name once it is whole; the next
one replaces it. Its facts have the SHA-256 of every other file, and one of their own, so that nothing is gone on from
that was changed or cut short.
"""

import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.cost import processor

SECONDS = 120.0
"""A shorter training keeps nothing, and no more than about this much of a longer one is lost."""
_SHARE = 50
"""Of the time, no more than one part in so many is spent on writing."""
_SCHEMA = 2
_TENSORS, _FACTS = "tensors.safetensors", "facts.json"
_STEP, _PARTIAL = "step-", ".partial"


@dataclass(frozen=True)
class Snapshot:
    """What a training goes on from.

    Attributes:
        step: optimiser steps done.
        tensors: by name.
        facts: plain data.
    """

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, without that."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


class Checkpoints:
    """Where one training keeps its latest checkpoint, and when."""

    def __init__(
        self,
        folder: Path | None,
        warn: Callable[[str], None] = lambda said: None,
        seconds: float = SECONDS,
    ) -> None:
        """Takes a place of this training's own, which need not be there.

        Args:
            folder: the place; None keeps nothing.
            warn: told what the person should know.
            seconds: between checkpoints, and before the first.
        """
        self._folder = folder
        self._warn = warn
        self._seconds = seconds
        self._next = time.monotonic() + seconds
        self._usable: int | None = None  # the step of the checkpoint that this training can go on from

    @property
    def due(self) -> bool:
        """Whether it is time for one."""
        return self._folder is not None and time.monotonic() >= self._next

    def write(self, snapshot: Snapshot, device: torch.device, save_more: Callable[[Path], None]) -> None:
        """Replaces the checkpoint. Where that fails, the training goes on without a further one; an earlier one stays.

        Args:
            snapshot: what to keep.
            device: where it trains.
            save_more: writes further files into a folder.
        """
        if self._folder is None:
            return
        began = time.monotonic()
        folder = self._folder / f"{_STEP}{snapshot.step:09}"
        partial = folder.with_suffix(_PARTIAL)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            save_more(partial)
            _save(snapshot, device, partial)
            shutil.rmtree(folder, ignore_errors=True)  # of an earlier training, which this one did not go on from
            partial.rename(folder)
            self._usable = snapshot.step
            for other in self._folder.iterdir():
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
        except (OSError, SafetensorError) as error:
            then = "start over" if self._usable is None else f"go on from that of step {self._usable:,}"
            self._warn(f"the training's checkpoint could not be written ({error}); stopped, it would {then}")
            shutil.rmtree(partial, ignore_errors=True)
            with suppress(OSError):  # something is in it
                self._folder.rmdir()
            self._folder = None
        took = time.monotonic() - began
        self._next = time.monotonic() + max(self._seconds, _SHARE * took)

    def latest(self, device: torch.device) -> tuple[Path, Snapshot] | None:
        """The checkpoint to go on from and its folder; None where there is none that leads to the same bits."""
        if self._folder is None or not (found := _folders(self._folder)):
            return None
        try:
            snapshot, circumstances = _load(found[-1])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            self._warn("the checkpoint of an earlier training is damaged; it starts over")
            return None
        now = _circumstances(device)
        other = [name for name in now if circumstances.get(name) != now[name]]
        if other:
            before, here = ({name: each.get(name) for name in other} for each in (circumstances, now))
            self._warn(f"an earlier training was stopped, but with {before}, now {here}; it starts over")
            return None
        self._usable = snapshot.step
        return found[-1], snapshot


def kept_step(folder: Path) -> int | None:
    """The optimiser step that a training's checkpoint is of; None where it has kept none."""
    found = _folders(folder)
    return int(found[-1].name.removeprefix(_STEP)) if found else None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_STEP}*") if path.suffix != _PARTIAL)


def _circumstances(device: torch.device) -> dict[str, str | int]:
    """What the bits of a training depend on, besides what is learnt and how."""
    return {
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def random_states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of all generators that a training may draw from: tensors, and plain data."""
    tensors = {"random.cpu": torch.get_rng_state()}
    if device.type != "cpu":
        tensors["random.device"] = torch.get_device_module(device).get_rng_state()
    numpy = np.random.get_state(legacy=False)
    tensors["random.numpy"] = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    drawn = {"position": numpy["state"]["pos"], "has_gauss": numpy["has_gauss"], "gauss": numpy["gauss"]}
    return tensors, {"numpy": drawn, "python": random.getstate()}


def restore_random_states(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], device: torch.device) -> None:
    """Sets them to what they were."""
    torch.set_rng_state(tensors["random.cpu"])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(tensors["random.device"])
    numpy, (version, numbers, gauss) = facts["numpy"], facts["python"]
    key = tensors["random.numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy["position"], numpy["has_gauss"], numpy["gauss"]))
    random.setstate((version, tuple(numbers), gauss))


def _save(snapshot: Snapshot, device: torch.device, folder: Path) -> None:
    """Writes tensors and facts beside what the folder has already, and sees to it that all of it is on the disk."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.tensors.items()}
    save_file(on_cpu, folder / _TENSORS)
    content = {
        "circumstances": _circumstances(device),
        "step": snapshot.step,
        "files": _hashes(folder, to_disk=True),
        "facts": snapshot.facts,
    }
    text = json.dumps(content)
    with (folder / _FACTS).open("w", encoding="utf-8") as file:
        json.dump({"schema": _SCHEMA, "sha256": _hash(text), "content": text}, file)
        file.flush()
        os.fsync(file.fileno())


def _load(folder: Path) -> tuple[Snapshot, dict[str, Any]]:
    """What was written, and under which circumstances; raises ValueError where a file is not what it was."""
    written = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    if written["schema"] != _SCHEMA or _hash(written["content"]) != written["sha256"]:
        raise ValueError(f"{folder / _FACTS} is not what was written")
    content = json.loads(written["content"])
    if _hashes(folder) != content["files"]:
        raise ValueError(f"{folder} is not what was written")
    return Snapshot(int(content["step"]), load_file(folder / _TENSORS), content["facts"]), content["circumstances"]


def _hashes(folder: Path, to_disk: bool = False) -> dict[str, str]:
    """SHA-256 of each file but the facts, by name; `to_disk` has them written there first."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name != _FACTS:
            with path.open("rb") as file:
                if to_disk:
                    os.fsync(file.fileno())
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
