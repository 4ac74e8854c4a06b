"""Rows of token ids of a whole corpus in one array: 2 bytes a token, where a vocabulary has no more than 65,536.

N rows.
"""

from array import array
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class TokenRows(Sequence[list[int]]):
    """Lists of ids, appended one after the other. It can be passed to other processes."""

    def __init__(self, vocab_size: int) -> None:
        self.ids, self.ends = array("H" if vocab_size <= 1 << 16 else "i"), array("q")

    def append(self, row: Sequence[int]) -> None:
        self.ids.extend(row)
        self.ends.append(len(self.ids))

    def lengths(self) -> NDArray[np.int32]:
        """The length of every row (N,)."""
        return np.diff(np.frombuffer(self.ends, np.int64), prepend=0).astype(np.int32)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> list[int]: ...

    @overload
    def __getitem__(self, place: slice) -> list[list[int]]: ...

    def __getitem__(self, place: int | slice) -> list[int] | list[list[int]]:
        if isinstance(place, slice):
            return [self[n] for n in range(len(self))[place]]
        number = range(len(self))[place]
        return self.ids[self.ends[number - 1] if number else 0 : self.ends[number]].tolist()
