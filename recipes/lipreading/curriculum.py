"""Curriculum: single words, then phrases of up to k words, then whole sentences (needs word timings).

Chung et al. 2017, arXiv:1611.05358, section 3.1. In a stage of k words every sentence is cut anew each epoch into
segments of 1 to k words, so that an epoch has every word once. What an epoch holds depends on its number and the seed
alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from seqkit.data.manifest import Item
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range


@described
@dataclass(frozen=True)
class Curriculum:
    """The stages before whole sentences."""

    curriculum_words: Annotated[tuple[int, ...], Range(min=1)] = (1, 2, 3)
    """most words of a segment in each stage; []: whole sentences from the start"""
    curriculum_epochs: Annotated[tuple[int, ...], Range(min=1)] = (4, 2, 2)
    """epochs of each stage; an epoch has every word once"""

    def __post_init__(self) -> None:
        if len(self.curriculum_words) != len(self.curriculum_epochs):
            raise InputError(
                "`curriculum_words` and `curriculum_epochs` must have the same length, "
                f"got {self.curriculum_words} and {self.curriculum_epochs}"
            )

    def words(self, epoch: int) -> int:
        """Most words of a segment in an epoch; 0: whole sentences."""
        for words, end in zip(self.curriculum_words, np.cumsum(self.curriculum_epochs).tolist(), strict=True):
            if epoch < end:
                return words
        return 0


class Segment(NamedTuple):
    """`words` words of item number `item`, from word `first` on; the whole item where `words` is 0."""

    item: int
    text: str
    first: int = 0
    words: int = 0
    share: float = 1.0  # of the item's duration


def segments(
    curriculum: Curriculum, items: Sequence[Item], timed: Mapping[int, float], epoch: int, seed: int
) -> list[Segment]:
    """The training examples of an epoch. `timed`: numbers of the items whose words have times, with their durations;
    the other items are left to the epochs of whole sentences."""
    most = curriculum.words(epoch) if timed else 0
    if not most:
        return [Segment(number, item.references[0]) for number, item in enumerate(items)]
    rng = np.random.default_rng((seed, epoch))
    found = []
    for number, seconds in timed.items():
        first, words = 0, items[number].words
        while first < len(words):
            count = min(int(rng.integers(1, most + 1)), len(words) - first)
            chosen = words[first : first + count]
            share = (chosen[-1][2] - chosen[0][1]) / seconds
            found.append(Segment(number, " ".join(word for word, _, _ in chosen), first, count, share))
            first += count
    return found
