"""What defaults are derived from: facts of the data, of the teachers' models and of the machine."""

from dataclasses import dataclass

from tasks.shared.recipe_section import Precision

BYTES_PER_TOKEN = 5.0
"""UTF-8 bytes of text that make a token, about: four letters and a space in English, two characters in Chinese."""


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data once it is split.

    Attributes:
        classes: how many there are.
        gold: rows with a label that are learnt from, dev not counted.
        dev: rows that choose.
        transfer: texts that the teacher labels, gold's included, without changed copies.
        tokens: of a transfer text, in the mean, by its bytes.
    """

    classes: int
    gold: int
    dev: int
    transfer: int
    tokens: float


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a teacher's model before it is loaded.

    Attributes:
        width: of its hidden states; None where nobody knows yet.
        positions: tokens of a text that it has positions for; None where that is not known, or without a bound.
    """

    width: int | None = None
    positions: int | None = None


@dataclass(frozen=True)
class Facts:
    """All that defaults are derived from besides the recipe.

    Attributes:
        data: of the first draw of labels.
        models: of the teachers, in the recipe's order.
        precision: in which this machine computes fastest.
        vectors: width of the file of word vectors that students start from, where there is one.
    """

    data: DataFacts
    models: tuple[ModelFacts, ...]
    precision: Precision
    vectors: int | None = None
