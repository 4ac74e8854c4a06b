"""Times of items and their words: seconds from the beginning of the item, whether it is a whole file or a cut of one.

`start` and `end` alone are on the clock of the file. The same meaning holds in `seqkit check`, training, evaluation and
output.
"""

from collections.abc import Sequence

import numpy as np

from seqkit.data.manifest import Item
from seqkit.train.distributed import print0

Words = tuple[tuple[str, float, float], ...]  # word, start and end in seconds
OVERHANG = 0.5  # seconds by which a word may reach past the end of its item
NAMED = 5  # items that a remark names
CUTS = ("rows", "start", "end", "seconds", "words", "speaker")  # optional keys of items of both recipes


def duration(item: Item) -> float:
    """Seconds of an item, as far as is known."""
    if item.end is not None:
        return item.end - (item.start or 0.0)
    return item.seconds or item.words[-1][2]


def shift_times(words: Words, seconds: float) -> Words:
    """The words, each so much later."""
    return tuple((word, start + seconds, end + seconds) for word, start, end in words)


def has_word_times(item: Item) -> bool:
    """Whether the item's words have times, each of some length and all of them within the item."""
    return len(item.words) > 0 and all(start < end for _, start, end in item.words) and not words_outside(item)


def words_outside(item: Item) -> bool:
    """Whether a word begins after the end of its item: its times are those of the whole file, or of another one."""
    return any(start >= duration(item) or end > duration(item) + OVERHANG for _, start, end in item.words)


def remark_words_outside(place: str, items: Sequence[Item]) -> None:
    """Names the items whose words are outside them, so that their times are not used."""
    if outside := [item.id for item in items if item.words and words_outside(item)]:
        more = f" and {len(outside) - NAMED} more" if len(outside) > NAMED else ""
        print0(
            f"{place}: words of {', '.join(outside[:NAMED])}{more} are outside their items, so that their times are "
            "not used; `words` counts from the beginning of the item, not of the file"
        )


def feature_rate(items: Sequence[Item], counts: Sequence[int]) -> float | None:
    """Rows of precomputed features a second: the median over items, of so many rows each, whose length is known."""
    rates = [
        count / duration(item)
        for item, count in zip(items, counts, strict=True)
        if (item.end or item.seconds) and duration(item) > 0
    ]
    return float(np.median(rates)) if rates else None
