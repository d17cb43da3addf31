"""A share of the texts, so that several machines label one data set without speaking to each other."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.shared.errors import StillhouseError, brief

if TYPE_CHECKING:
    from tasks.shared.key_index import Keys

_SPELLING = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True)
class Shard:
    """Number `index` of `count` shares, counted from 0; which share a text is in follows from its key alone."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Reads `I/N`.

        Raises:
            StillhouseError: that is no share.
        """
        found = _SPELLING.fullmatch(text)
        if not found or not int(found[1]) < int(found[2]):
            raise StillhouseError(f"--shard {brief(text)}: write I/N, with I from 0 to N - 1, such as 0/4")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """As it is parsed."""
        return f"{self.index}/{self.count}"

    def of(self, keys: "Keys") -> "Keys":
        """Those of some keys that are in this share, in order."""
        import numpy as np  # this file is read before a command line is known to be right

        first_words = np.ascontiguousarray(keys).view(">u8").reshape(-1, 4)[:, 0]
        mine: Keys = keys[first_words % np.uint64(self.count) == self.index]
        return mine
