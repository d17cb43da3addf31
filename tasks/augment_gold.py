"""Step augment_gold: changed copies of gold texts with their texts' labels, for twins to learn from."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tasks.augment import Augment


@dataclass(frozen=True)
class AugmentGold(Augment):
    """Copies as those of transfer texts are made, of gold alone."""

    name: ClassVar[str] = "augment_gold"
    part: ClassVar[Literal["transfer", "gold"]] = "gold"
