"""Step prepare_student: what students and twins share, so that only labels and texts tell them apart.

That is the teacher's tokenizer cut down to the transfer set, the starting token vectors, and all parts' token ids.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.shared.bases import find_base
from tasks.shared.dataset import DataRecord
from tasks.shared.defaults.resolved import ResolvedStudent
from tasks.shared.encoder_file import read_encoder
from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.held import HeldModel, hold_model
from tasks.shared.inside_teacher import copied_layers
from tasks.shared.objective import TEACHER_IDS
from tasks.shared.outputs import Json, Output, write_json
from tasks.shared.steps import Context, Step
from tasks.shared.truncation import cut_off
from tasks.shared.word_vectors import hash_vectors, read_vectors
from tasks.train_teacher import TeacherRecord

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from models.vocabulary import Vocabulary

ENCODER = "encoder.json"
ENCODED_PARTS = ("transfer", "gold", "dev")


@dataclass(frozen=True)
class Origin:
    """A model that teaches nothing: its tokenizer and embeddings are where students start.

    Attributes:
        path: its Hugging Face folder.
        digest: of weights, configuration and tokenizer.
        max_length: tokens read of a text, unless the student says otherwise.
        held: what its files were when the digest was taken.
    """

    path: Path
    digest: str
    max_length: int = 128
    held: HeldModel | None = None


def origin_of(model: str) -> Origin:
    """The model that `student.tokenizer` names.

    Raises:
        StillhouseError: there is none.
    """
    held = hold_model(find_base(model, "student.tokenizer").path)
    return Origin(held.path, held.digest, held=held)


@dataclass(frozen=True)
class PreparedRecord:
    """Where the shared beginnings are.

    Attributes:
        path: folder with `tokenizer/`, `start.safetensors` and a folder of token ids a part.
        digest: of all that.
        vocabulary: rows of the student's embedding table.
        embedding_size: their width.
        max_length: tokens read of a text.
        covered: share of dev's tokens that are in the vocabulary: of texts that did not decide on it.
        with_vector: rows that a file of word vectors had one for; None without such a file.
    """

    path: Path
    digest: str
    vocabulary: int
    embedding_size: int
    max_length: int
    covered: float
    with_vector: int | None = None

    @property
    def encoder(self) -> Mapping[str, Any] | None:
        """The encoder's configuration, where the recipe brings one."""
        file = self.path / ENCODER
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


@dataclass(frozen=True)
class PrepareStudent(Step[PreparedRecord]):
    """Cuts down the tokenizer, projects the embeddings, tokenises once for all seeds."""

    name: ClassVar[str] = "prepare_student"
    version: ClassVar[int] = 3
    data: DataRecord
    teacher: TeacherRecord | Origin
    student: ResolvedStudent

    @property
    def max_length(self) -> int:
        """Tokens read of a text."""
        return self.student.max_length or self.teacher.max_length

    def inputs(self) -> Mapping[str, Json]:
        """The texts that are tokenised, the teacher, and the shape and start of the token vectors."""
        student = self.student
        return {
            "texts": {part: self.data.digests[part] for part in ENCODED_PARTS},
            "teacher": self.teacher.digest,
            "max_length": self.max_length,
            "vocabulary": self.student.vocabulary,
            "embedding_size": None if student.teacher_layers else student.embedding_size,
            "embeddings": self._vectors_digest or student.embeddings,
            "teacher_layers": student.teacher_layers,
            "encoder": self._encoder,
        }

    @cached_property
    def _vectors_digest(self) -> str | None:
        """Of the file of word vectors, if there is one."""
        return hash_vectors(self.student.vectors_file) if self.student.vectors_file else None

    @cached_property
    def _encoder(self) -> Mapping[str, Any] | None:
        """What the recipe's configuration says, read once: the file may be another one later."""
        file = self.student.configuration
        return read_encoder(file, self.max_length) if file else None

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes tokenizer, token ids and starting weights."""
        from safetensors.torch import save_file

        from models.teacher import load_parts
        from models.vocabulary import prune, with_commonest
        from tasks.shared.examples import encode_part

        # Only its embeddings, layers and tokenizer are looked at, so it need not be a classifier.
        try:
            model, tokenizer = load_parts(self.teacher.path)
        except (OSError, ValueError) as error:
            self._check_origin()
            raise StillhouseError(f"student.tokenizer: cannot use {self.teacher.path}: {one_line(error)}") from None
        length, rows = self.max_length, self.data.rows
        with context.progress(rows["transfer"] + rows["dev"], "texts") as advance:
            transfer = encode_part(self.data.file("transfer"), tokenizer, length, advance)
            of_dev = encode_part(self.data.file("dev"), tokenizer, length, advance).ids
        # Of what the teacher cuts off too, its own steps have told.
        if length < self.teacher.max_length and (
            said := cut_off(transfer, length, "student.max_length", "the student")
        ):
            context.warn(said)
        vocabulary = prune(tokenizer, with_commonest(tokenizer, np.unique(transfer.ids), self.student.vocabulary))
        np.save(folder / TEACHER_IDS, _teacher_ids(vocabulary, tokenizer))
        shipped = vocabulary.tokenizer
        # Set in both places: only what is in `init_kwargs` is saved.
        shipped.model_max_length = shipped.init_kwargs["model_max_length"] = length
        shipped.save_pretrained(folder / "tokenizer")
        with context.progress(sum(rows[part] for part in ENCODED_PARTS), "texts") as advance:
            for part in ENCODED_PARTS:
                (folder / part).mkdir()
                encode_part(self.data.file(part), shipped, length, advance).save(folder / part)
        start, facts = self._start(model, vocabulary, folder)
        save_file(start, folder / "start.safetensors")
        self._check_origin()
        return {
            "vocabulary": len(vocabulary.kept),
            "of": len(tokenizer),
            "truncated": {"transfer": transfer.truncated},
            "covered": float(np.isin(of_dev, vocabulary.kept).mean()),
            "embedding_size": start["embeddings"].shape[1] if "embeddings" in start else self.student.embedding_size,
            **facts,
        }

    def _check_origin(self) -> None:
        if isinstance(self.teacher, Origin) and self.teacher.held:
            self.teacher.held.check("student.tokenizer")

    def _start(
        self, model: "PreTrainedModel", vocabulary: "Vocabulary", folder: Path
    ) -> "tuple[dict[str, torch.Tensor], dict[str, Json]]":
        """Starting weights by name, and what there is to say of them; writes the encoder's configuration."""
        import torch

        from models.embeddings import as_they_are, from_vectors, project, words_of

        student, facts = self.student, dict[str, Json]()
        table = model.get_input_embeddings().get_parameter("weight")
        start: dict[str, torch.Tensor] = {}
        if student.teacher_layers:
            encoder, start = copied_layers(model, student.teacher_layers, self.max_length)
            write_json(folder / ENCODER, encoder)
            start["embeddings"] = as_they_are(table, vocabulary.kept)
        elif student.vectors_file:
            words = words_of(_tokens_of_rows(vocabulary))
            wanted = {form for word in words if word for form in (word, word.lower())}
            vectors = read_vectors(student.vectors_file, student.vector_width, wanted, self._vectors_digest)
            start["embeddings"] = from_vectors(words, vectors, student.vector_width)
            facts["with_vector"] = sum(
                word is not None and (word in vectors or word.lower() in vectors) for word in words
            )
        elif student.embeddings == "teacher":
            start["embeddings"] = project(table, vocabulary.kept, student.vector_width).contiguous()
        if self._encoder is not None:
            write_json(folder / ENCODER, self._encoder)
        if vocabulary.token_map is not None:
            start["token_map"] = torch.from_numpy(vocabulary.token_map)
        return start, facts

    def read(self, output: Output) -> PreparedRecord:
        """The record of the shared beginnings."""
        facts = output.facts
        return PreparedRecord(
            path=output.path,
            digest=output.digest,
            vocabulary=facts["vocabulary"],
            embedding_size=facts["embedding_size"],
            max_length=self.max_length,
            covered=facts["covered"],
            with_vector=facts.get("with_vector"),
        )

    def summary(self, record: PreparedRecord) -> str:
        """Size of the vocabulary, and how much of unseen text it covers."""
        said = f"{record.vocabulary:,} tokens, which are {record.covered:.1%} of dev's"
        return said if record.with_vector is None else f"{said}; {record.with_vector:,} begin with a word's vector"


def _teacher_ids(vocabulary: "Vocabulary", tokenizer: "PreTrainedTokenizerBase") -> NDArray[np.int64]:
    """The teacher's token id of each id of the student's tokenizer; padding where it has none."""
    ids: NDArray[np.int64] = vocabulary.kept
    if vocabulary.token_map is not None:
        ids = np.arange(len(vocabulary.token_map))
        ids[ids >= len(tokenizer)] = -1
    return np.where(ids < 0, tokenizer.pad_token_id or 0, ids)


def _tokens_of_rows(vocabulary: "Vocabulary") -> list[str]:
    """The token that each row of the embedding table stands for; empty for a row of many."""
    tokens = [""] * len(vocabulary.kept)
    for token, id_ in vocabulary.tokenizer.get_vocab().items():
        row = id_ if vocabulary.token_map is None else int(vocabulary.token_map[id_])
        if vocabulary.token_map is None or vocabulary.kept[row] == id_:
            tokens[row] = token
    return tokens
