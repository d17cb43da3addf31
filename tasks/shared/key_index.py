"""Finding rows by the keys of their texts."""

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.bytes_]


class KeyIndex:
    """Where each of some distinct keys stands: 8 bytes a row beyond the keys themselves."""

    def __init__(self, keys: Keys) -> None:
        """Takes keys [rows]."""
        self.keys = keys
        self._order = np.argsort(keys)

    def __len__(self) -> int:
        """Rows."""
        return len(self.keys)

    def find(self, keys: Keys) -> NDArray[np.intp]:
        """The row of each key, -1 where there is none, [keys]."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.intp)
        places = np.searchsorted(self.keys, keys, sorter=self._order).clip(max=len(self.keys) - 1)
        rows = self._order[places]
        return np.where(self.keys[rows] == keys, rows, -1)
