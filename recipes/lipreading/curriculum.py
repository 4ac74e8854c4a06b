"""The order in which sentences are learnt: single words first, by their times, then growing phrases, then the whole.

Chung et al. 2017, arXiv:1611.05358, section 3.1. In a stage of k words every sentence is cut anew each epoch into
pieces of 1 to k words, so that an epoch sees every word once. Stages last a given number of epochs; what an epoch holds
depends on its number and the seed alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seqkit.data.manifest import Item
from seqkit.errors import InputError
from seqkit.recipes.lipreading.data import length, part, spoken


@dataclass(frozen=True)
class Course:
    """The curriculum."""

    stages: tuple[int, ...] = (1, 2, 3)
    """most words of a piece in each stage before whole sentences; none: whole sentences from the start"""
    stage_epochs: tuple[int, ...] = (4, 2, 2)
    """epochs that each stage lasts, passes over all its words"""

    def __post_init__(self) -> None:
        if len(self.stages) != len(self.stage_epochs) or min((*self.stages, *self.stage_epochs), default=1) < 1:
            raise InputError(
                "`stages` and `stage_epochs` must be as many, each at least 1, "
                f"got {self.stages} and {self.stage_epochs}"
            )

    def words(self, epoch: int) -> int:
        """Most words of a piece in an epoch; 0: whole sentences."""
        for words, last in zip(self.stages, np.cumsum(self.stage_epochs).tolist(), strict=True):
            if epoch < last:
                return words
        return 0

    @property
    def epochs(self) -> int:
        return sum(self.stage_epochs)

    def through(self, items: Sequence[Item]) -> "Course":
        """The course that can be taken with these sentences: whole ones from the start where no word has times."""
        return self if any(spoken(item) for item in items) else Course((), ())


class Piece(NamedTuple):
    """`count` words of the item of a number, from `first` on; all of it where `count` is 0."""

    item: int
    first: int = 0
    count: int = 0

    def of(self, items: Sequence[Item]) -> Item:
        return part(items[self.item], self.first, self.count) if self.count else items[self.item]

    def share(self, items: Sequence[Item]) -> float:
        """Of the item's length, about."""
        if not self.count:
            return 1.0
        words = items[self.item].words
        return (words[self.first + self.count - 1][2] - words[self.first][1]) / length(items[self.item])


def pieces(course: Course, items: Sequence[Item], epoch: int, seed: int) -> list[Piece]:
    """What an epoch is made of. Sentences whose words have no times are left to the epochs of whole sentences."""
    most = course.words(epoch)
    if not most:
        return [Piece(n) for n in range(len(items))]
    rng = np.random.default_rng((seed, epoch))
    found = []
    for n in (n for n, item in enumerate(items) if spoken(item)):
        first, words = 0, len(items[n].words)
        while first < words:
            count = min(int(rng.integers(1, most + 1)), words - first)
            found.append(Piece(n, first, count))
            first += count
    return found
