"""Step prepare_student: what students and twins share, so that only labels and texts tell them apart.

That is the teacher's tokenizer cut down to the transfer set, the starting token vectors, and all parts' token ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tasks.shared.bases import find_base
from tasks.shared.dataset import DataRecord
from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.outputs import Json, Output, hash_folder
from tasks.shared.recipe_learning import Student
from tasks.shared.steps import Context, Step
from tasks.train_teacher import TeacherRecord

ENCODED_PARTS = ("transfer", "gold", "dev")


@dataclass(frozen=True)
class Origin:
    """A model that teaches nothing: its tokenizer and embeddings are where students start.

    Attributes:
        path: its Hugging Face folder.
        digest: of weights, configuration and tokenizer.
        max_length: tokens read of a text, unless the student says otherwise.
    """

    path: Path
    digest: str
    max_length: int = 128


def origin_of(model: str) -> Origin:
    """The model that `student.tokenizer` names.

    Raises:
        StillhouseError: there is none.
    """
    base = find_base(model, "student.tokenizer").path
    return Origin(base, hash_folder(base))


@dataclass(frozen=True)
class PreparedRecord:
    """Where the shared beginnings are.

    Attributes:
        path: folder with `tokenizer/`, `start.safetensors` and a folder of token ids a part.
        digest: of all that.
        vocabulary: rows of the student's embedding table.
        max_length: tokens read of a text.
    """

    path: Path
    digest: str
    vocabulary: int
    max_length: int


@dataclass(frozen=True)
class PrepareStudent(Step[PreparedRecord]):
    """Cuts down the tokenizer, projects the embeddings, tokenises once for all seeds."""

    name: ClassVar[str] = "prepare_student"
    data: DataRecord
    teacher: TeacherRecord | Origin
    student: Student

    @property
    def max_length(self) -> int:
        """Tokens read of a text."""
        return self.student.max_length or self.teacher.max_length

    def inputs(self) -> Mapping[str, Json]:
        """The texts that are tokenised, the teacher, and the shape and start of the token vectors."""
        return {
            "texts": {part: self.data.digests[part] for part in ENCODED_PARTS},
            "teacher": self.teacher.digest,
            "max_length": self.max_length,
            "embedding_size": self.student.embedding_size,
            "embeddings": self.student.embeddings,
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes tokenizer, token ids and starting vectors."""
        import torch
        from safetensors.torch import save_file

        from models.embeddings import project
        from models.teacher import load_base
        from models.vocabulary import prune
        from tasks.shared.examples import encode_part

        # Only its embeddings and tokenizer are looked at, so it need not be a classifier.
        try:
            model, tokenizer = load_base(self.teacher.path, self.data.classes, 0, "cpu")
        except (OSError, ValueError) as error:
            raise StillhouseError(f"student.tokenizer: cannot use {self.teacher.path}: {one_line(error)}") from None
        length, rows = self.max_length, self.data.rows
        with context.progress(rows["transfer"], "texts") as advance:
            used = np.unique(encode_part(self.data.file("transfer"), tokenizer, length, advance).ids)
        vocabulary = prune(tokenizer, used)
        shipped = vocabulary.tokenizer
        # Set in both places: only what is in `init_kwargs` is saved.
        shipped.model_max_length = shipped.init_kwargs["model_max_length"] = length
        shipped.save_pretrained(folder / "tokenizer")
        with context.progress(sum(rows[part] for part in ENCODED_PARTS), "texts") as advance:
            for part in ENCODED_PARTS:
                (folder / part).mkdir()
                encode_part(self.data.file(part), shipped, length, advance).save(folder / part)
        start: dict[str, torch.Tensor] = {}
        if self.student.embeddings == "teacher":
            table = model.get_input_embeddings().get_parameter("weight")
            start["embeddings"] = project(table, vocabulary.kept, self.student.embedding_size).contiguous()
        if vocabulary.token_map is not None:
            start["token_map"] = torch.from_numpy(vocabulary.token_map)
        save_file(start, folder / "start.safetensors")
        return {"vocabulary": len(vocabulary.kept), "of": len(tokenizer)}

    def read(self, output: Output) -> PreparedRecord:
        """The record of the shared beginnings."""
        return PreparedRecord(output.path, output.digest, output.facts["vocabulary"], self.max_length)

    def summary(self, record: PreparedRecord) -> str:
        """Size of the vocabulary."""
        return f"{record.vocabulary:,} tokens"
