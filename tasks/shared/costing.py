"""The cost card of a model: what it takes to run and took to train."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.shared.dataset import read_chunks
from tasks.shared.history import read_history
from tasks.shared.scorecard import Cost
from tasks.train_student import StudentRecord
from tasks.train_teacher import TeacherRecord

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Model = TeacherRecord | StudentRecord


def measure_cost(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", record: Model, texts: Path) -> Cost:
    """Measures a model on the CPU, to where it is moved, with the first texts of a part."""
    from models.cost import Sample, flops, machine, peak_memory, size, speed

    first = next(read_chunks(texts))
    sample = Sample(tokenizer, first.texts, first.pairs, record.max_length)
    measured = {
        **speed(model, sample),
        "flops_per_text": flops(model, sample),
        "peak_memory_bytes": peak_memory(model, sample),
    }
    training = read_history(record.path.parent)
    spent = training and {name: training[name] for name in ("steps", "seconds", "device")}
    cost = {**size(model, record.path), **measured, "training": spent, "machine": machine()}
    return Cost.model_validate(cost)
