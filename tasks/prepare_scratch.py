"""Step prepare_scratch: beginnings that owe nothing to a teacher, for the baseline without one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tasks.prepare_student import ENCODER, PreparedRecord
from tasks.shared.dataset import DataRecord, read_chunks
from tasks.shared.outputs import Json, Output, write_json
from tasks.shared.steps import Context, Step


@dataclass(frozen=True)
class PrepareScratch(Step[PreparedRecord]):
    """A tokenizer learnt from the gold texts, as large as the student's or as can be; token vectors start at random."""

    name: ClassVar[str] = "prepare_scratch"
    data: DataRecord
    prepared: PreparedRecord

    def inputs(self) -> Mapping[str, Json]:
        """The gold and dev texts, and what the student's beginnings allow."""
        return {
            "texts": {part: self.data.digests[part] for part in ("gold", "dev")},
            "vocabulary": self.prepared.vocabulary,
            "embedding_size": self.prepared.embedding_size,
            "max_length": self.prepared.max_length,
            "encoder": self.prepared.encoder,
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes tokenizer and token ids."""
        from safetensors.torch import save_file

        from models.own_tokenizer import train_tokenizer
        from tasks.shared.examples import encode_part

        length = self.prepared.max_length
        texts = (text for chunk in read_chunks(self.data.file("gold")) for text in [*chunk.texts, *(chunk.pairs or [])])
        tokenizer = train_tokenizer(texts, self.prepared.vocabulary, length)
        tokenizer.save_pretrained(folder / "tokenizer")
        for part in ("gold", "dev"):
            (folder / part).mkdir()
            encode_part(self.data.file(part), tokenizer, length).save(folder / part)
        save_file({}, folder / "start.safetensors")
        if self.prepared.encoder:
            write_json(folder / ENCODER, self.prepared.encoder)  # the same shape, none of the weights
        return {"vocabulary": len(tokenizer), "covered": 1.0}  # bytes are tokens too, so that nothing is left out

    def read(self, output: Output) -> PreparedRecord:
        """The record of the beginnings."""
        return PreparedRecord(
            output.path,
            output.digest,
            output.facts["vocabulary"],
            self.prepared.embedding_size,
            self.prepared.max_length,
            output.facts["covered"],
        )

    def summary(self, record: PreparedRecord) -> str:
        """Size of the vocabulary."""
        return f"{record.vocabulary:,} tokens of its own"
