"""Step train_unaugmented: a student without the augmented texts, as a measure of what they are worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tasks.shared.outputs import Json
from tasks.shared.steps import Context
from tasks.train_student import TrainStudent

if TYPE_CHECKING:
    from models.training import Examples


@dataclass(frozen=True)
class TrainUnaugmented(TrainStudent):
    """A student that learns from the transfer texts as they came, for as many steps, without the augmented ones."""

    name: ClassVar[str] = "train_unaugmented"
    role: ClassVar[str] = "unaugmented"

    def inputs(self) -> Mapping[str, Json]:
        """What the student depends on, and where the augmented texts begin."""
        return {**super().inputs(), "given": self.data.given}

    def learn_from(self, context: Context) -> "Examples":
        """The first of the transfer texts: copies come behind them."""
        return super().learn_from(context).first(self.data.given)
