"""The parts of the recipe about teachers and their soft labels."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.shared.errors import brief
from tasks.shared.recipe_section import Section, Seed, TrainingPrecision

LabellingPrecision = Literal["fp32", "bf16", "int8"]


class Teacher(Section):
    """A Hugging Face sequence classifier, fine-tuned here or taken as it is; or labels that were made elsewhere."""

    model: str = Field(
        "google-bert/bert-base-uncased",
        min_length=1,
        description="A folder, a hub id, sample:NAME, or what is registered: models:/NAME@ALIAS, models:/NAME/VERSION.",
    )
    labels: str | None = Field(
        None,
        min_length=1,
        description="Instead of a model, a file of soft labels made elsewhere (.csv, .tsv, .jsonl, .parquet, packed "
        "too): the text's column, and for each class one called probability_CLASS, logit_CLASS or CLASS; or what "
        "`stillhouse predict` wrote; or only the chosen class, in the label's column. Rows without a label are skipped "
        "and counted; a class in another case is that class, and told.",
    )
    epochs: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Passes over the gold rows; 0 takes the classifier as it is. Without it, derived from the data.",
    )
    batch_size: int | None = Field(
        None, ge=1, le=4096, description="Texts in a training batch; without it, derived from the data."
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak learning rate of AdamW; without it, derived from the data."
    )
    max_length: int | None = Field(
        None,
        ge=4,
        le=8192,
        description="Tokens read of a text; the rest is cut off and counted. Without it, derived from `effort`, and "
        "no more than the model has positions for.",
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that train it side by side on this machine, each on a GPU of its own where models run "
        "on GPUs; they share out each batch.",
    )
    precision: TrainingPrecision = "auto"
    floor: float = Field(0.0, ge=0, le=1, description="Accuracy on dev below which the run stops.")
    seed: Seed = Field(0, description="Seed of the new head, of dropout and of the order of the rows.")

    classes: Annotated[dict[str, str], Field(min_length=2)] | Literal["measure"] | None = Field(
        None,
        description="With epochs: 0, what the data call the classes of a model that names them otherwise: "
        "{LABEL_0: negative, LABEL_1: positive}; or measure, for the match that gets most of dev right, which is told.",
    )

    @model_validator(mode="after")
    def _names_are_of_a_model_as_it_is(self) -> "Teacher":
        if self.classes and self.epochs != 0:
            raise ValueError("classes names those of a model that is taken as it is; set epochs to 0 or remove classes")
        names = list(self.classes.values()) if isinstance(self.classes, dict) else []
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"classes calls two classes {brief(twice)}; give each a name of its own")
        return self

    @model_validator(mode="after")
    def _processes_train(self) -> "Teacher":
        if self.epochs == 0 and self.processes > 1:
            raise ValueError("epochs: 0 trains nothing, so several processes have nothing to do; remove processes")
        return self

    @model_validator(mode="after")
    def _labels_stand_alone(self) -> "Teacher":
        changed = self.changed(type(self).model_fields.keys() - {"labels", "floor"})
        if self.labels is not None and changed:
            raise ValueError(f"labels are not trained; remove {', '.join(changed)}")
        return self


class Labelling(Section):
    """How soft labels are computed."""

    precision: Literal["auto"] | LabellingPrecision = Field(
        "auto",
        description="Precision of the teacher's forward pass: auto takes bf16 where this machine multiplies it faster, "
        "else fp32; int8 is for CPUs. What it changes is measured on some of the texts and written down.",
    )
    tokens_per_batch: int | None = Field(
        None,
        ge=1,
        le=2**24,
        description="Tokens in a forward pass, padding counted. Without it, 1,024 on a CPU and 32,768 on a GPU; fewer "
        "where memory runs out.",
    )
    shards: int = Field(
        4,
        ge=1,
        le=256,
        description="With runner: ray, how many tasks the texts are shared out to, each on a GPU, or a core where "
        "there is none; no more than so many work at once.",
    )
    stored: Literal["float32", "float16"] = Field(
        "float32", description="Type of the logits on disk; float16 takes half the space and rounds in the third digit."
    )
    store: str | None = Field(
        None,
        min_length=1,
        description="Where soft labels are kept: a folder, or a URL that fsspec reaches, such as s3://bucket/labels or "
        "gs://bucket/labels; without it, in the workspace. Credentials come from the environment.",
    )

    @property
    def place(self) -> str:
        """Where soft labels are kept, as it is named from anywhere; empty for the workspace's own store."""
        if not self.store or "://" in self.store:
            return self.store or ""
        return str(Path(self.store).expanduser().absolute())

    def named_from_anywhere(self) -> Self:
        """The same with a store that other processes find, wherever they run."""
        return self.model_copy(update={"store": self.place or None})

    @field_validator("store")
    @classmethod
    def _no_login(cls, store: str | None) -> str | None:
        if store and "@" in store.partition("://")[2].partition("/")[0]:
            raise ValueError("holds a login, which would be written down with the recipe; set it in the environment")
        return store


class Fuse(Section):
    """How several teachers become one; a single teacher's soft labels stay as they are."""

    method: Literal["probabilities", "logits", "dev-score", "confidence", "gold"] = Field(
        "probabilities",
        description="probabilities: the mean of the teachers' probabilities; logits: of their logits; dev-score: of "
        "probabilities, weighed by accuracy on dev; confidence: weighed text by text by the probability of the class "
        "a teacher names; gold: weighed by 1 / (1 + cross-entropy) where a text has a gold label.",
    )
    calibrate: bool = Field(
        True, description="First give each teacher the temperature that makes its probabilities fit best on dev."
    )
