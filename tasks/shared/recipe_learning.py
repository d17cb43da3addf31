"""The parts of the recipe about the student and how it learns."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.shared.recipe_section import Section


class Student(Section):
    """The small model."""

    family: Literal["rnn", "lstm", "gru"] = Field("lstm", description="Kind of recurrent cell.")
    embedding_size: int = Field(64, ge=1, le=4096, description="Width of the token vectors.")
    hidden_size: int = Field(64, ge=1, le=4096, description="Width of the hidden state, in each direction.")
    layers: int = Field(1, ge=1, le=16, description="Recurrent layers.")
    bidirectional: bool = Field(True, description="Read the text in both directions.")
    pooling: Literal["last", "mean", "max", "attention"] = Field(
        "max", description="How the hidden states of a text's tokens become one vector; padding never counts."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout on embeddings, between layers and before the head.")
    embeddings: Literal["teacher", "random"] = Field(
        "teacher", description="Start of the token vectors: a low-rank projection of the teacher's, or random."
    )
    tokenizer: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] = Field(
        0,
        description="The teacher, by position, whose tokenizer is cut down and whose embeddings are used; or a model "
        "of its own: a folder, a hub id, sample:NAME or models:/NAME@ALIAS.",
    )
    max_length: int | None = Field(
        None, ge=4, le=8192, description="Tokens read of a text; without it, as many as that teacher reads, else 128."
    )


class Term(Section):
    """One term of the training objective."""

    term: Literal["soft", "hard", "logits"] = Field(
        description="soft: softened cross-entropy with the teacher, times T squared; "
        "hard: cross-entropy with the gold label; logits: mean squared error to the teacher's logits."
    )
    weight: float = Field(1.0, gt=0, le=1e6, description="Factor of this term in the sum.")
    temperature: float = Field(1.0, gt=0, le=100, description="T of the soft term.")

    @model_validator(mode="after")
    def _temperature_is_for_soft(self) -> "Term":
        if self.term != "soft" and "temperature" in self.model_fields_set and self.temperature != 1.0:
            raise ValueError(f"temperature belongs to the soft term, not to {self.term}")
        return self


class Training(Section):
    """How students and twins are trained."""

    epochs: int = Field(6, ge=1, le=10000, description="Passes of the student over the transfer set.")
    batch_size: int = Field(32, ge=1, le=65536, description="Texts in a training batch.")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Peak learning rate; one cycle up and down.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW.")
    evaluations: int = Field(6, ge=1, le=1000, description="Looks at dev; the best weights seen are kept.")
