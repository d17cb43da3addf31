"""What a model costs to run: parameters, bytes, latency and throughput on this machine."""

import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.encoding import encode
from models.inference import predict_logits

WARM_UP = 5
SINGLE_TEXTS = 50
BATCH_TEXTS = 512
BATCH_SIZE = 32


def size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    """Parameters with and without the embedding tables' own, and bytes of the weights' files."""
    parameters = sum(tensor.numel() for tensor in model.parameters())
    # A set, as several modules may share one table.
    tables = {module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    return {
        "parameters": parameters,
        "parameters_without_embeddings": parameters - sum(table.numel() for table in tables),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
    }


def speed(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    max_length: int,
) -> dict[str, float | int]:
    """Times text in to logits out, tokenising included, on the CPU.

    Returns:
        `ms_per_text` (median of single texts, one thread) and `texts_per_second` (batches, all threads).
    """
    model = model.cpu()

    def run(start: int, stop: int) -> float:
        began = time.perf_counter()
        encoded = encode(tokenizer, texts[start:stop], None if pairs is None else pairs[start:stop], max_length)
        predict_logits(model, encoded, BATCH_SIZE)
        return time.perf_counter() - began

    rows = range(min(len(texts), WARM_UP + SINGLE_TEXTS))
    with _one_thread():
        single = [run(row, row + 1) for row in rows]
    stop = min(len(texts), BATCH_TEXTS)
    run(0, min(stop, BATCH_SIZE))
    together = run(0, stop)
    return {
        "ms_per_text": statistics.median(single[WARM_UP:] or single) * 1000,
        "texts_per_second": stop / together,
        "texts": stop,
        "max_length": max_length,
        "batch_size": BATCH_SIZE,
    }


def machine() -> dict[str, str | int | float]:
    """The machine that measured: processor, cores, memory in GiB, system, versions."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True) or 0,
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
