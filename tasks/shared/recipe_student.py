"""The part of the recipe about the student's shape."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.shared.recipe_section import Section

Family = Literal["lstm", "gru", "rnn", "transformer", "cnn", "bag"]
_RECURRENT = frozenset({"hidden_size", "layers", "bidirectional", "pooling"})
_OPTIONS: dict[Family, frozenset[str]] = {
    "lstm": _RECURRENT,
    "gru": _RECURRENT,
    "rnn": _RECURRENT,
    "transformer": frozenset({"hidden_size", "layers", "heads", "pooling", "configuration", "teacher_layers"}),
    "cnn": frozenset({"hidden_size", "kernel_sizes"}),
    "bag": frozenset({"hidden_size", "layers"}),
}
"""What each family takes besides what all do."""
_OF_SOME = frozenset().union(*_OPTIONS.values())
_FROM_ELSEWHERE = ("hidden_size", "layers", "heads")
"""What a configuration, or the teacher, says instead."""
Layer = Annotated[int, Field(ge=0, lt=1000)]


class Student(Section):
    """The small model."""

    family: Family = Field(
        "lstm",
        description="lstm, gru, rnn: recurrent; transformer; cnn: filters over neighbouring tokens (Kim 2014); bag: a "
        "weighted mean of token vectors and a small network, the fastest.",
    )
    embedding_size: int | None = Field(
        None, ge=1, le=4096, description="Width of the token vectors; without it, derived from `effort`."
    )
    hidden_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Width of the hidden state: of a recurrent student in each direction, of a cnn the filters of each "
        "width. Without it, derived from `effort`.",
    )
    layers: int = Field(1, ge=1, le=16, description="Layers; not of a cnn.")
    bidirectional: bool = Field(True, description="Of a recurrent student: read the text in both directions.")
    heads: int = Field(4, ge=1, le=64, description="Of a transformer: attention heads in each layer.")
    kernel_sizes: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        default_factory=lambda: [3, 4, 5], min_length=1, max_length=16, description="Of a cnn: widths of its filters."
    )
    pooling: Literal["last", "mean", "max", "attention"] | None = Field(
        None,
        description="How the states of a text's tokens become one vector; padding never counts. Without it, max of a "
        "recurrent student and mean of a transformer; a cnn takes max.",
    )
    configuration: str | None = Field(
        None,
        min_length=1,
        description="Of a transformer: a Hugging Face config.json, or the folder it is in, of an encoder without a "
        "decoder. One that padding changes is refused (up to 100 M parameters that is tried out).",
    )
    teacher_layers: list[Layer] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Of a transformer: layers, numbered from 0, that are copied from the model whose tokenizer it has, "
        "with its token vectors as they are.",
    )
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Dropout on embeddings, between layers and before the head; without it, derived from the data.",
    )
    embeddings: Annotated[str, Field(min_length=1)] = Field(
        "teacher",
        description="Start of the token vectors: teacher, a low-rank projection of the teacher's; random; or a file of "
        "word vectors as GloVe has them, a word and its numbers on each line, as many as embedding_size.",
    )
    tokenizer: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] = Field(
        0,
        description="The teacher, by position, whose tokenizer is cut down and whose embeddings are used; or a model "
        "of its own: a folder, a hub id, sample:NAME or models:/NAME@ALIAS.",
    )
    vocabulary: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Size of the vocabulary: all tokens of the transfer texts, filled up to so many with the teacher's "
        "most common others; 0 adds none. Without it, derived from `effort` and the start of the token vectors.",
    )
    max_length: int | None = Field(
        None, ge=4, le=8192, description="Tokens read of a text; without it, as many as that teacher reads, else 128."
    )

    @property
    def vectors_file(self) -> str | None:
        """The file of word vectors, where there is one."""
        return None if self.embeddings in ("teacher", "random") else self.embeddings

    @property
    def states(self) -> int | None:
        """How many states of its tokens a text has, token vectors included; None where only a file says."""
        if self.configuration:
            return None
        if self.teacher_layers:
            return 1 + len(self.teacher_layers)
        return {"cnn": 2, "bag": 1}.get(self.family, 1 + self.layers)

    def of_family(self) -> dict[str, object]:
        """The options that its family takes, those of all families left out."""
        options = {name: getattr(self, name) for name in sorted(_OPTIONS[self.family])}
        return {name: value for name, value in options.items() if value is not None}

    @model_validator(mode="after")
    def _options_of_its_family(self) -> "Student":
        foreign = self.changed(_OF_SOME - _OPTIONS[self.family])
        if foreign:
            raise ValueError(f"a {self.family} takes no {' and no '.join(foreign)}; remove that")
        if self.configuration and self.teacher_layers:
            raise ValueError("configuration and teacher_layers both say what the encoder is; remove one")
        if self.configuration or self.teacher_layers:
            name = "configuration" if self.configuration else "teacher_layers"
            idle = self.changed({*_FROM_ELSEWHERE, *(["embedding_size"] if self.teacher_layers else [])})
            if idle:
                raise ValueError(f"{name} says the encoder's shape already; remove {' and '.join(idle)}")
        elif self.family == "transformer" and self.hidden_size and self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of the {self.heads} heads")
        if self.teacher_layers and self.embeddings != "teacher":
            raise ValueError("teacher_layers were made for the teacher's token vectors; leave embeddings out")
        return self
