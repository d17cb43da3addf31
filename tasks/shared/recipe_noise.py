"""The parts of the recipe that put mistakes into texts: to learn from, and to test with."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from tasks.shared.recipe_section import Section, Seed

NoiseKind = Literal["keyboard", "misspelling", "ocr", "drop", "swap", "case", "punctuation", "spacing", "word-drop"]
NOISES: tuple[NoiseKind, ...] = get_args(NoiseKind)
Strength = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Augment(Section):
    """More transfer texts, made of those there are; the teacher labels each as it is."""

    copies: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Changed copies of each transfer text; 0 for none. Without it, as many as little text can bear, "
        "derived from the data and `effort`, and dev chooses between that and none, except with `effort: quick`.",
    )
    mask: Share = Field(0.1, description="Share of words replaced by the mask token (Tang et al. 2019).")
    same_class: Share = Field(
        0.1,
        description="Share of words replaced by one that stands among the same words: in place of Tang's parts of "
        "speech, and learnt from the texts themselves.",
    )
    neighbours: Share = Field(0.0, description="Share of words replaced by one of the closest in meaning (TinyBERT).")
    n_gram: Share = Field(0.25, description="Share of copies of which only one to five words in a row are kept.")
    noise: Share = Field(0.0, description="Share of words that a kind of noise changes before all else.")
    noises: list[NoiseKind] = Field(
        default_factory=lambda: list(NOISES),
        min_length=1,
        description="Kinds of noise, of which each copy has one; see robustness.noises.",
    )
    vectors: str | None = Field(
        None,
        min_length=1,
        description="Of neighbours: a file of word vectors as GloVe has them; without it, token vectors of the model "
        "whose tokenizer the student has.",
    )
    seed: Seed = Field(0, description="Seed of the copies.")

    @property
    def changes(self) -> bool:
        """Whether a copy differs from its text at all."""
        return bool(self.mask + self.same_class + self.neighbours + self.n_gram + self.noise)

    @model_validator(mode="after")
    def _changes_something(self) -> "Augment":
        replaced = self.mask + self.same_class + self.neighbours
        if replaced > 1 + 1e-9:  # what rounding may add
            raise ValueError(f"mask, same_class and neighbours replace {replaced:g} of the words; 1 is all")
        if self.copies and not self.changes:
            raise ValueError("copies would be the texts themselves; set mask, same_class, neighbours, n_gram or noise")
        return self


class Robustness(Section):
    """How models do on test texts with mistakes in them; only reported on."""

    texts: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Test texts, drawn by their hash, that every noise is put into; 0 for none. Without it, derived "
        "from `effort`.",
    )
    noises: list[NoiseKind] = Field(
        default_factory=lambda: list(NOISES),
        description="keyboard: a neighbouring key; misspelling; ocr: a sign taken for another; drop and swap of "
        "characters; case; punctuation; spacing; word-drop. Where no spaces part words, characters stand for words.",
    )
    strengths: list[Strength] = Field(
        default_factory=lambda: [0.05, 0.15, 0.3],
        min_length=1,
        max_length=20,
        description="Shares changed of the words a noise can change.",
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
        description="File with a word and its misspellings on each line; without it, about 500 common ones of English.",
    )
    seed: Seed = Field(0, description="Seed of the sample and of the noise.")

    @model_validator(mode="after")
    def _each_once(self) -> "Robustness":
        for name, values in (("noises", self.noises), ("strengths", self.strengths)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} holds a value twice")
        return self
