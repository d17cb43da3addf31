"""In which precision this machine computes fastest: the processor is asked, one product is timed, and it is kept."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tasks.shared.outputs import hash_of, write_json
from tasks.shared.recipe_section import Precision

_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As /proc/cpuinfo has them: of x86, and of ARM."""
_FASTER = 1.2
"""Times as fast as fp32 that bf16 must multiply to be worth what it rounds."""
_SIZE, _TIMES = 768, 7


def best_precision(device: str, memory: Path, *, measure: bool) -> Precision:
    """bf16 where a device multiplies it natively and faster, else fp32.

    Args:
        device: `cpu`, `cuda` or `mps`.
        memory: file in which the answer for a processor is kept, so that the machine's load decides it once at most.
        measure: whether it is timed where nothing is kept yet; else having the instructions is taken for being faster.
    """
    if not has_bf16(device):
        return "fp32"
    if device != "cpu":
        return "bf16"
    machine = hash_of([_flags(), version("torch")])[:16]
    known = _remembered(memory)
    if machine not in known and measure:
        known = {**known, machine: "bf16" if _times_as_fast() >= _FASTER else "fp32"}
        with suppress(OSError):  # where it cannot be kept, it is measured again
            write_json(memory, known)
    return "bf16" if known.get(machine, "bf16") == "bf16" else "fp32"


def has_bf16(device: str) -> bool:
    """Whether a device has instructions that multiply bf16; of a Mac's GPU nothing is known."""
    if device == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and not _INSTRUCTIONS.isdisjoint(_flags().split())


def lacks_bf16_lstm(device: str) -> bool:
    """Whether a device is an x86 processor without AVX-512, for which PyTorch has no LSTM in bf16."""
    flags = _flags().split()
    return device == "cpu" and "sse2" in flags and "avx512bw" not in flags


def _flags() -> str:
    """What the first processor can do, in the system's words; empty where it does not say."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.lower().startswith(("flags", "features"))), ""
    )


def _remembered(memory: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError, RecursionError):  # damaged, it is measured again
        found = json.loads(memory.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return {name: value for name, value in found.items() if value in ("bf16", "fp32")}
    return {}


def _times_as_fast() -> float:
    """How many times as fast as in fp32 a product of square matrices is in bf16: medians, the two taking turns."""
    import torch

    matrices = {kind: torch.ones(_SIZE, _SIZE, dtype=kind) for kind in (torch.float32, torch.bfloat16)}
    seconds: dict[torch.dtype, list[float]] = {kind: [] for kind in matrices}
    for _ in range(_TIMES):
        for kind, matrix in matrices.items():
            began = time.perf_counter()
            torch.mm(matrix, matrix)
            seconds[kind].append(time.perf_counter() - began)
    return median(seconds[torch.float32]) / median(seconds[torch.bfloat16])
