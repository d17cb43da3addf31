"""What a model costs to run: parameters, bytes, operations, and latency, throughput and memory on this machine."""

import json
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.encoding import Encoded, encode
from models.inference import predict_logits

Shape = Sequence[int]

WARM_UP = 5
SINGLE_TEXTS = 200
BATCH_TEXTS = 512
SECONDS = 2.0
"""How long a large model is timed at most, by single texts and again by batches."""
BATCH_SIZE = 32
COUNTED_TEXTS = 8


def size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    """Parameters with and without the embedding tables' own, and bytes of the weights' files."""
    parameters = sum(tensor.numel() for tensor in model.parameters())
    # A set, as several modules may share one table.
    tables = {module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    return {
        "parameters": parameters,
        "parameters_without_embeddings": parameters - sum(table.numel() for table in tables),
        "bytes": weights_bytes(folder),
    }


def weights_bytes(folder: Path) -> int:
    """Bytes of the weights' files in a Hugging Face folder."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


@dataclass(frozen=True)
class Sample:
    """Texts to measure with, and how they are read.

    Attributes:
        tokenizer: the model's.
        texts: at least one.
        pairs: their second texts, for models of pairs.
        max_length: tokens read of a text.
    """

    tokenizer: PreTrainedTokenizerBase
    texts: Sequence[str]
    pairs: Sequence[str] | None
    max_length: int

    def encode(self, start: int, stop: int) -> Encoded:
        """Some of the texts as token ids."""
        pairs = None if self.pairs is None else self.pairs[start:stop]
        return encode(self.tokenizer, self.texts[start:stop], pairs, self.max_length)


def speed(model: PreTrainedModel, sample: Sample) -> dict[str, float | int]:
    """Times text in to logits out, tokenising included, on the CPU, to where the model is moved.

    Returns:
        `ms_per_text` and `ms_per_text_p95`, median and 95th percentile of single texts on one thread (200 at
        most: `single_texts`), and `texts_per_second` of batches of 32 on all threads (512 at most: `texts`); of a large
        model as many of either as take some two seconds.
        How far the first are the model's own: `cpu_ms_per_text`, the median of the time that the thread had a core;
        `waited`, the share of the time in which it had none; `load`, processes per core that wanted one before.
    """
    load = psutil.getloadavg()[0] / (psutil.cpu_count() or 1)
    model = model.cpu()

    def run(start: int, stop: int) -> tuple[float, float]:
        began, began_on_cpu = time.perf_counter(), time.thread_time()
        predict_logits(model, sample.encode(start, stop), BATCH_SIZE)
        return time.perf_counter() - began, time.thread_time() - began_on_cpu

    with one_thread():
        for row in range(min(len(sample.texts), WARM_UP)):
            run(row, row + 1)
        until = time.perf_counter() + SECONDS
        single = [run(0, 1)]
        for row in range(1, min(len(sample.texts), SINGLE_TEXTS)):
            if time.perf_counter() > until:
                break
            single.append(run(row, row + 1))
    stop = min(len(sample.texts), BATCH_SIZE)
    first, _ = run(0, stop)
    if stop == BATCH_SIZE:
        stop = min(len(sample.texts), BATCH_TEXTS, BATCH_SIZE * max(1, round(SECONDS / first)))
    together, _ = run(0, stop)
    wall, on_cpu = np.array(single).T
    return {
        "ms_per_text": float(np.median(wall)) * 1000,
        "ms_per_text_p95": float(np.quantile(wall, 0.95)) * 1000,
        "cpu_ms_per_text": float(np.median(on_cpu)) * 1000,
        "waited": float(np.clip(1 - on_cpu.sum() / wall.sum(), 0, 1)),
        "load": load,
        "single_texts": len(single),
        "texts_per_second": stop / together,
        "texts": stop,
        "max_length": sample.max_length,
        "batch_size": BATCH_SIZE,
    }


def flops(model: PreTrainedModel, sample: Sample) -> float:
    """Floating-point operations of a forward pass, mean over the first texts, each alone and so without padding.

    A multiplication and an addition are two. Those of matrix products are counted, as in the literature; what is done
    number by number (activations, norms) is not.
    """
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(display=False, custom_mapping={attention: _attention_flops})
    count = min(len(sample.texts), COUNTED_TEXTS)
    # The fused recurrent kernel hides its products from the counter; without it they are done one by one.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about processors that are not here
        with torch.backends.mkldnn.flags(enabled=False), counter:
            for row in range(count):
                predict_logits(model, sample.encode(row, row + 1), 1)
    return counter.get_total_flops() / count


def _attention_flops(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def peak_memory(model: PreTrainedModel, sample: Sample) -> int:
    """Bytes of the weights, and of the tensors that live at once in a forward pass of the longest of a few batches.

    That is what a machine needs besides the libraries and the tokenizer; on the CPU.
    """
    encoded = sample.encode(0, min(len(sample.texts), BATCH_TEXTS))
    batch = encoded.batch(np.argsort(-encoded.lengths, kind="stable")[:BATCH_SIZE])
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        model(**batch)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [event["args"] for event in events if event.get("name") == "[memory]"]
    totals: list[int] = [change["Total Allocated"] for change in changes]
    before: int = totals[0] - changes[0]["Bytes"] if changes else 0
    weights: int = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return weights + int(max([0, *(total - before for total in totals)]))


def machine() -> dict[str, str | int | float]:
    """The machine that measured, and when: processor, cores, memory in GiB, system, versions."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": psutil.cpu_count(logical=True) or 0,
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextmanager
def one_thread() -> Iterator[None]:
    """Has torch compute on one thread of the processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
