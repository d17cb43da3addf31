"""The scorecard's files and their schema: quality.json, which follows from model and data, and cost.json, which not.

A reader refuses a version that it does not know, so that a number never means something else than it says.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.shared.errors import StillhouseError, brief_path

QUALITY, COST = "quality.json", "cost.json"

_BUSY = 0.1
"""Of the time: what is lost to others on an idle machine is a hundredth."""

_IMBALANCE = 2

Share = Annotated[float, Field(ge=0, le=1)]
Card = TypeVar("Card", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassScore(_Part):
    """One class on test."""

    name: str = Field(description="Name of the class.")
    precision: Share = Field(description="Share of what is said to be of it that is; 0 if nothing is.")
    recall: Share = Field(description="Share of its rows that is found; 0 if it has none.")
    f1: Share = Field(description="Harmonic mean of the two.")
    rows: int = Field(ge=0, description="Its rows in test.")


class ReliabilityBin(_Part):
    """Rows of similar confidence: the probability of the class that is named."""

    low: Share = Field(description="Confidence above which the bin begins.")
    high: Share = Field(description="Confidence at which it ends.")
    rows: int = Field(ge=0, description="Rows in it.")
    confidence: Share | None = Field(description="Their mean confidence; null without a row.")
    accuracy: Share | None = Field(description="Share of them that is right; null without a row.")


class Calibration(_Part):
    """What the probabilities softmax(logits / temperature) are worth on test."""

    temperature: float = Field(gt=0, description="Divides the logits.")
    log_loss: float | None = Field(description="Mean of -ln of the gold class's probability; null without gold labels.")
    brier: float | None = Field(description="Mean squared error summed over classes, 0 to 2 (Brier 1950).")
    ece: Share | None = Field(description="Expected calibration error (Guo et al. 2017) over the bins.")
    bins: list[ReliabilityBin] = Field(description="Fifteen bins of equal width.")


class Coverage(_Part):
    """What comes of declining the rows it is least sure of; the threshold is dev's."""

    coverage: Share = Field(description="Share of dev that reaches the threshold.")
    threshold: Share = Field(description="Confidence below which it declines.")
    covered: Share = Field(description="Share of test that reaches it.")
    accuracy: Share | None = Field(description="Share of those rows that is right; null if there is none.")


class Loyalty(_Part):
    """How much a student says what its teachers say, on test (Xu et al. 2021)."""

    label: Share = Field(description="Share of rows for which both name the same class.")
    probability: float = Field(ge=-1e-9, le=1, description="Mean of 1 - sqrt(Jensen-Shannon divergence to base 2).")


class NoisyScore(_Part):
    """Accuracy on disturbed test texts."""

    noise: str = Field(description="Kind of noise, or `adversary`.")
    strength: float = Field(ge=0, description="Share of words that it changes; of the adversary, the number of edits.")
    rows: int = Field(ge=0, description="Texts.")
    accuracy: Share = Field(description="Share that is right.")
    clean: Share = Field(description="The same of these texts undisturbed.")


class ExtraScore(_Part):
    """A further test file."""

    name: str = Field(description="As the recipe calls it.")
    rows: int = Field(ge=0, description="Rows with a gold label.")
    accuracy: Share | None = Field(description="Share that is right; null without gold labels.")
    macro_f1: Share | None = Field(description="Mean F1 over all classes.")


class Quality(_Part):
    """quality.json: how good a model is on test. It follows from the model and the data alone."""

    version: Literal[2] = Field(2, description="Of this schema.")
    rows: int = Field(ge=0, description="Rows of test.")
    labelled: int = Field(ge=0, description="Those that have a gold label; null below means there is none.")
    accuracy: Share | None = Field(description="Share of them that is right.")
    macro_f1: Share | None = Field(description="Mean F1 over all classes; one that is never there nor named counts 0.")
    mcc: float | None = Field(ge=-1, le=1, description="Matthews' correlation; 0 where all is one class, or called so.")
    classes: list[ClassScore] = Field(description="Each class.")
    calibration: Calibration = Field(description="As the model says it.")
    calibrated: Calibration = Field(description="At the temperature that fits dev best by log loss.")
    selective: list[Coverage] = Field(description="Where it may decline.")
    loyalty: Loyalty | None = Field(description="To its teachers together; null of a teacher, and of labels alone.")
    noise: list[NoisyScore] = Field(description="Robustness.")
    tests: list[ExtraScore] = Field(description="The recipe's further test files.")

    @property
    def commonest(self) -> ClassScore:
        """The class with most rows in test; of equals the first."""
        return max(self.classes, key=lambda one: one.rows)

    @property
    def trivial(self) -> float:
        """The accuracy of always naming the commonest class; 0 without gold labels."""
        return self.commonest.rows / self.labelled if self.labelled else 0.0

    @property
    def rarest(self) -> ClassScore | None:
        """The rarest class where the commonest has twice its rows in test or more; else None.

        Accuracy then says little of it. Of equals the first; classes without a row do not count.
        """
        there = [one for one in self.classes if one.rows]
        least = min(there, key=lambda one: one.rows, default=None)
        return least if least and self.commonest.rows >= _IMBALANCE * least.rows else None


class Training(_Part):
    """What it took to train the model."""

    steps: int = Field(ge=0, description="Optimiser steps.")
    seconds: float = Field(ge=0, description="Looks at dev included.")
    device: str = Field(description="`cpu`, `cuda` or `mps`.")


class Cost(_Part):
    """cost.json: what a model costs on the machine it names."""

    version: Literal[2, 3] = Field(3, description="Of this schema; 2 lacks what is null there.")
    parameters: int = Field(ge=0, description="All of them.")
    parameters_without_embeddings: int = Field(ge=0, description="Without the embedding tables'.")
    bytes: int = Field(ge=0, description="Of the weights' files.")
    ms_per_text: float = Field(ge=0, description="Median time of a single text on one thread, tokenising included.")
    ms_per_text_p95: float = Field(ge=0, description="The same, 95th percentile.")
    cpu_ms_per_text: float | None = Field(None, ge=0, description="Median of the time that the thread had a core.")
    waited: Share | None = Field(None, description="Share of those times in which other processes had the core.")
    load: float | None = Field(None, ge=0, description="Processes per core that wanted one in the minute before.")
    single_texts: int = Field(ge=1, description="How many texts those are of.")
    texts_per_second: float = Field(ge=0, description="Batches on all threads, tokenising included.")
    texts: int = Field(ge=1, description="How many texts that is of.")
    batch_size: int = Field(ge=1, description="Texts in a batch.")
    max_length: int = Field(ge=1, description="Tokens read of a text.")
    flops_per_text: float = Field(ge=0, description="Of matrix products; a multiplication and an addition are two.")
    peak_memory_bytes: int = Field(ge=0, description="Weights, and the tensors that live at once in a batch.")
    training: Training | None = Field(
        description="Null of a model that was taken as it is, or stands for all of its shape."
    )
    machine: dict[str, str | int | float] = Field(description="What measured.")


def busy(waited: Sequence[float | None]) -> str:
    """What is said of times that were measured while others had the cores; nothing where the machine was idle.

    Args:
        waited: share of the time in which each model had no core, as cost.json has it.
    """
    known = [share for share in waited if share is not None]
    share = max(known, default=0.0)
    if share < _BUSY:
        return ""
    return (
        f"the machine was busy: other processes had the core for up to {share:.0%} of the time in which models were "
        "timed, so their times are too long; cost.json also has the CPU time"
    )


def write_card(file: Path, card: BaseModel) -> None:
    """Writes a card, checked."""
    from tasks.shared.outputs import write_json

    write_json(file, card.model_dump(mode="json"))


def read_card(file: Path, kind: type[Card]) -> Card:
    """Reads a card.

    Raises:
        StillhouseError: it is gone, damaged, or of another version.
    """
    try:
        return kind.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StillhouseError(f"{brief_path(file)} cannot be read ({error.strerror}); run the recipe again") from None
    except (ValidationError, ValueError):
        known = kind.model_fields["version"].default
        raise StillhouseError(
            f"{brief_path(file)} is damaged or not of version {known}; run the recipe again to make it anew"
        ) from None
