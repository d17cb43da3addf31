"""Step train_twin: the same small model trained on gold labels alone, as the student's measure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tasks.shared.steps import Context
from tasks.train_student import TrainSmall

if TYPE_CHECKING:
    from models.training import Examples


@dataclass(frozen=True)
class TrainTwin(TrainSmall):
    """Shares all with the student but the soft labels and the unlabelled text."""

    name: ClassVar[str] = "train_twin"
    role: ClassVar[str] = "twin"

    def learn_from(self, context: Context) -> "Examples":
        """The gold texts and their labels."""
        return self.examples("gold")
