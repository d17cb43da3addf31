"""The recipe: one validated document that is the whole experiment, and the single parameter of the flow.

Each field's description is what the docs' option table and the orchestrator's form show.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from tasks.shared.rows import LONGEST_TEXT

Seed = Annotated[int, Field(ge=0, lt=2**32)]
TestName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class Section(BaseModel):
    """A part of the recipe: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - not validated yet
        # Pydantic would take true for 1; and YAML reads the names yes, no, on and off as true and false.
        given = value if isinstance(value, list) else [value]
        if cls.model_fields[str(info.field_name)].annotation is not bool and any(isinstance(v, bool) for v in given):
            raise ValueError("holds true or false (yes, no, on and off mean that); put names in quotation marks")
        return value


class Data(Section):
    """Where the examples are and how many of their gold labels may be used."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # columns and classes may be numbers

    train: str = Field(
        min_length=1,
        description="Training rows: a file or glob (.csv, .tsv, .jsonl, .parquet), "
        "hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT (all but the name optional), or sample:NAME. "
        "Rows without a label become unlabelled transfer text.",
    )
    test: str = Field(min_length=1, description="Test rows, only reported on; same kinds of source as train.")
    dev: str | None = Field(None, description="Rows for every choice; without it, a fifth of the gold rows by class.")
    gate: str | None = Field(
        None,
        description="Rows on which a registered model is compared with the champion before it takes that alias, "
        "kept out of everything else like test; same kinds of source as train. Without it, dev is used.",
    )
    tests: dict[TestName, str] = Field(
        default_factory=dict,
        description="More test rows by a name of yours, only reported on: out of domain, contrast sets; same kinds of "
        "source as train.",
    )
    unlabelled: list[str] = Field(
        default_factory=list, description="More transfer texts; also .txt files with one text a line."
    )
    text: str = Field(
        "text",
        min_length=1,
        description=f"Column of the text. A text of more than {LONGEST_TEXT:,} bytes in UTF-8 is refused.",
    )
    text_pair: str | None = Field(None, description="Column of the second text, for pairs.")
    label: str = Field("label", min_length=1, description="Column of the gold label, a name or a number.")
    classes: list[str] | None = Field(
        None,
        min_length=2,
        description="Names of the classes. Where the labels are numbers, the name at position n stands for number n. "
        "A class without a usable row in train is refused, and so is a label that is not here. "
        "Without it, the classes are the labels found in train, sorted.",
    )
    labels_per_class: int | None = Field(
        None,
        ge=3,
        description="Keep this many gold labels a class, dev included; the other rows become unlabelled transfer text. "
        "Without it all are kept.",
    )
    minimum_rows: int | None = Field(
        None,
        ge=1,
        description="Fewer rows of train with a text are refused. Set it and `classes` for a run by schedule: "
        "together they keep it from training on a delivery that was cut short or lost a class.",
    )
    encoding: str = Field("utf-8", description="Character encoding of text files.")
    separator: str | None = Field(
        None, min_length=1, max_length=1, description="Column separator of .csv and .tsv; without it, comma and tab."
    )
    header: bool = Field(
        True, description="Whether .csv and .tsv start with a line of column names; if not, columns are 0, 1, 2 ..."
    )
    seed: Seed = Field(0, description="Seed of the draw of labels and of dev; not the students' seeds.")

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, classes: list[str] | None) -> list[str] | None:
        if classes and len(set(classes)) != len(classes):
            raise ValueError("holds a name twice")
        if classes and not all(name.strip() for name in classes):
            raise ValueError("holds a name without a letter; a row with a blank label counts as one without")
        return classes

    @model_validator(mode="after")
    def _columns_differ(self) -> "Data":
        columns = [name for name in (self.text, self.text_pair, self.label) if name is not None]
        if len(set(columns)) != len(columns):
            raise ValueError("text, text_pair and label name one column twice")
        return self


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
        description="Instead of a model, a file of soft labels made elsewhere (.csv, .tsv, .jsonl, .parquet): the "
        "text's column, and for each class one called probability_CLASS, logit_CLASS or CLASS; or only the chosen "
        "class, in the label's column.",
    )
    epochs: int = Field(3, ge=0, le=1000, description="Passes over the gold rows; 0 takes the classifier as it is.")
    batch_size: int = Field(16, ge=1, le=4096, description="Texts in a training batch.")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="Peak learning rate of AdamW.")
    max_length: int = Field(128, ge=4, le=8192, description="Tokens read of a text; the rest is cut off and counted.")
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that train it side by side on this machine, each on a GPU of its own where models run "
        "on GPUs; they share out each batch.",
    )
    floor: float = Field(0.0, ge=0, le=1, description="Accuracy on dev below which the run stops.")
    seed: Seed = Field(0, description="Seed of the new head, of dropout and of the order of the rows.")

    @model_validator(mode="after")
    def _processes_train(self) -> "Teacher":
        if self.epochs == 0 and self.processes > 1:
            raise ValueError("epochs: 0 trains nothing, so several processes have nothing to do; remove processes")
        return self

    @model_validator(mode="after")
    def _labels_stand_alone(self) -> "Teacher":
        idle = sorted(self.model_fields_set - {"labels", "floor"})
        defaults = {name: field.get_default() for name, field in type(self).model_fields.items()}
        changed = [name for name in idle if getattr(self, name) != defaults[name]]
        if self.labels is not None and changed:
            raise ValueError(f"labels are not trained; remove {', '.join(changed)}")
        return self


class Labelling(Section):
    """How soft labels are computed."""

    precision: Literal["fp32", "bf16", "int8"] = Field(
        "fp32",
        description="Precision of the teacher's forward pass; int8 is for CPUs. What it changes is measured on some of "
        "the texts and written down.",
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

    def named_from_anywhere(self) -> "Labelling":
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


NoiseKind = Literal["keyboard", "misspelling", "ocr", "drop", "swap", "case", "punctuation", "spacing", "word-drop"]
NOISES: tuple[NoiseKind, ...] = get_args(NoiseKind)
Strength = Annotated[float, Field(gt=0, le=1)]


class Augment(Section):
    """More transfer texts, made of those there are."""

    copies: int = Field(0, ge=0, le=100, description="Noised copies of each transfer text; 0 for none.")
    noises: list[NoiseKind] = Field(
        default_factory=lambda: list(NOISES),
        min_length=1,
        description="Kinds of noise, of which each copy has one; see robustness.noises.",
    )
    strength: Strength = Field(0.15, description="Share of words that a copy's noise changes.")
    seed: Seed = Field(0, description="Seed of the noise.")


class Robustness(Section):
    """How models do on test texts with mistakes in them; only reported on."""

    texts: int = Field(
        200,
        ge=0,
        le=1_000_000,
        description="Test texts, drawn by their hash, that every noise is put into; 0 for none.",
    )
    noises: list[NoiseKind] = Field(
        default_factory=lambda: list(NOISES),
        description="keyboard: a neighbouring key; misspelling; ocr: a sign taken for another; drop and swap of "
        "characters; case; punctuation; spacing; word-drop. Where no spaces part words, characters stand for words.",
    )
    strengths: list[Strength] = Field(
        default_factory=lambda: [0.05, 0.15, 0.3], min_length=1, max_length=20, description="Shares of words changed."
    )
    adversary: int = Field(
        30,
        ge=0,
        le=1_000_000,
        description="Of those texts, how many an adversary attacks, who picks the worst one and two edits of a "
        "character for each model; 0 for none.",
    )
    candidates: int = Field(40, ge=1, le=10_000, description="Edits that the adversary tries at a time.")
    misspellings: str | None = Field(
        None,
        min_length=1,
        description="File with a word and its misspellings on each line; without it, 300 common ones of English.",
    )
    seed: Seed = Field(0, description="Seed of the sample and of the noise.")

    @model_validator(mode="after")
    def _each_once(self) -> "Robustness":
        for name, values in (("noises", self.noises), ("strengths", self.strengths)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} holds a value twice")
        return self


RegisteredName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class Names(Section):
    """What the models are called in MLflow's Model Registry."""

    student: RegisteredName | None = Field(
        None,
        description="Name of the student that does best on dev: letters, digits, '.', '_' and '-', 128 at most. "
        "Without it, the recipe's name and `-student`.",
    )
    teacher: RegisteredName | None = Field(
        None, description="Name of the teacher, of the same signs; without it, the recipe's name and `-teacher`."
    )


class Recipe(Section):
    """The whole experiment."""

    name: str = Field(
        "distill",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the experiment: letters, digits, '.', '_' and '-', 64 at most.",
    )
    task: Literal["single-label"] = Field("single-label", description="Kind of task: one class a text.")
    data: Data
    teachers: list[Teacher] = Field(
        default_factory=lambda: [Teacher()],
        min_length=1,
        max_length=16,
        description="The teachers; what several say is fused.",
    )
    labelling: Labelling = Labelling()
    fuse: Fuse = Fuse()
    student: Student = Student()
    objective: list[Term] = Field(
        default_factory=lambda: [Term(term="soft", temperature=2.0)],
        min_length=1,
        description="Terms of the student's objective, summed. The twin's is always the hard term alone.",
    )
    training: Training = Training()
    augment: Augment = Augment()
    robustness: Robustness = Robustness()
    seeds: list[Seed] = Field(
        default_factory=lambda: [0, 1, 2, 3, 4],
        min_length=1,
        max_length=100,
        description="One student and one twin for each; the verdict needs at least two.",
    )
    draws: int = Field(
        1,
        ge=1,
        le=100,
        description="Draws of labels over which all is repeated, teacher included, for a verdict on the method "
        "instead of on this teacher and these labels; data.seed counts up. What is registered is of the first.",
    )
    baselines: list[Literal["scratch", "unaugmented"]] | None = Field(
        None,
        description="More models to compare the students with, one for each seed. scratch: a twin with a tokenizer and "
        "token vectors of its own instead of the teacher's; unaugmented: a student without augment's texts. Without "
        "it, unaugmented where there are such texts.",
    )
    worthwhile: float = Field(
        0.005, ge=0, le=1, description="Gain in accuracy worth having; below it the verdict can be NO BETTER."
    )
    registry: Names = Names()
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where models run; auto takes a GPU if there is one."
    )
    runner: Literal["local", "ray"] = Field(
        "local",
        description="Where texts are labelled: local, in this process; ray, as shares on the cluster of RAY_ADDRESS, "
        "or else on this machine. Its machines see the workspace at the same path. All else is local.",
    )

    @property
    def registered_student(self) -> str:
        """Name of the student in the registry."""
        return self.registry.student or f"{self.name}-student"

    @property
    def registered_teacher(self) -> str:
        """Name of the teacher in the registry."""
        return self.registry.teacher or f"{self.name}-teacher"

    @property
    def compared_with(self) -> list[str]:
        """The baselines."""
        if self.baselines is not None:
            return list(self.baselines)
        return ["unaugmented"] if self.augment.copies else []

    def of_draw(self, number: int) -> "Recipe":
        """The recipe of one draw of labels; those after the first only tell of the method, and test no noise."""
        if not number:
            return self
        data = self.data.model_copy(update={"seed": (self.data.seed + number) % 2**32})
        calm = self.robustness.model_copy(update={"texts": 0})
        return self.model_copy(update={"data": data, "robustness": calm, "baselines": []})

    @model_validator(mode="after")
    def _baselines_differ(self) -> "Recipe":
        if self.baselines and len(set(self.baselines)) != len(self.baselines):
            raise ValueError("baselines holds a value twice")
        if "unaugmented" in self.compared_with and not self.augment.copies:
            raise ValueError("baselines: unaugmented would be the student itself, as augment.copies is 0")
        if self.augment.copies and any(teacher.labels is not None for teacher in self.teachers):
            raise ValueError("augment makes texts that labels made elsewhere know nothing of; set augment.copies to 0")
        if self.draws > 1 and self.data.dev and not self.data.labels_per_class:
            raise ValueError("draws would all be the same: set data.labels_per_class, or leave data.dev to the draw")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        tokenizer = self.student.tokenizer
        if isinstance(tokenizer, int) and tokenizer >= len(self.teachers):
            raise ValueError(f"student.tokenizer is {tokenizer}, but teachers are numbered from 0")
        if isinstance(tokenizer, int) and self.teachers[tokenizer].labels is not None:
            raise ValueError(
                f"student.tokenizer is {tokenizer}, but teachers.{tokenizer} is a file of labels; name a model, "
                "such as sample:minilm-l6"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds holds a number twice")
        if self.registered_student == self.registered_teacher:
            raise ValueError(f"registry calls student and teacher both {self.registered_student}")
        return self
