"""Cleaning of parallel text by length: in words, or in characters where a side is written without spaces."""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from seqkit.data.text import is_blank
from seqkit.data_prep.common.holdout import stable_hash

SAMPLE = 1000  # pairs that tell how a corpus is written
LONG_TOKENS = 10  # characters between spaces, on average: hardly any spaces, whatever the script
TOKENS = 5  # the same for scripts without spaces, whose words, where they are cut, are shorter
CHARACTERS_PER_WORD = 6  # the longest side in characters, for a limit in words
UNSPACED_SCRIPTS = (  # Thai and Lao, Tibetan and Myanmar, Khmer, kana, CJK ideographs
    (0x0E00, 0x0EFF),
    (0x0F00, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


class Writing(NamedTuple):
    """How the two sides of a corpus are written."""

    unspaced: tuple[bool, bool] = (False, False)
    ratio: float = 1.0  # usual length of the target in characters over that of the source


def is_unspaced(texts: Sequence[str]) -> bool:
    """Whether the texts have hardly any spaces."""
    tokens = sum(len(text.split()) for text in texts)
    characters = [ord(char) for text in texts for char in text if not char.isspace()]
    if not tokens:
        return False
    length = len(characters) / tokens
    in_script = sum(any(first <= code <= last for first, last in UNSPACED_SCRIPTS) for code in characters)
    return length >= LONG_TOKENS or (length >= TOKENS and 2 * in_script > len(characters))


def writing_of(pairs: Iterable[tuple[str, str]]) -> Writing:
    """Judges by the first pairs of a corpus."""
    sample = [pair for pair in itertools.islice(pairs, SAMPLE) if all(pair)]
    source, target = ([pair[side] for pair in sample] for side in (0, 1))
    unspaced = is_unspaced(source), is_unspaced(target)
    ratios = [len(theirs) / len(ours) for ours, theirs in sample]
    return Writing(unspaced, statistics.median(ratios) if ratios and any(unspaced) else 1.0)


def empty_side(source: str, target: str) -> str | None:
    """A pair with an empty side can be neither translated nor scored."""
    return "empty_source" if is_blank(source) else "empty_target" if is_blank(target) else None


@dataclass
class Cleaning:
    """Why a training pair is dropped: an empty side, too long, too unequal, or seen before."""

    max_length: int = 100  # words, or characters with `characters`
    max_ratio: float = 3.0
    characters: bool = False  # count these in any corpus
    dedupe: bool = False
    seen: set[bytes] = field(default_factory=set)

    def reject(self, source: str, target: str, writing: Writing) -> str | None:
        """The reason, or None. Where a side is unspaced, lengths are characters, and their ratio is to the usual."""
        reason = empty_side(source, target)
        if reason:
            return reason
        limit, ratio = self.max_length, 1.0
        if self.characters or any(writing.unspaced):
            ours, theirs = float(len(source)), float(len(target))
            if not self.characters:
                limit, ratio = limit * CHARACTERS_PER_WORD, writing.ratio
        else:
            ours, theirs = float(len(source.split())), float(len(target.split()))
        if max(ours, theirs) > limit:
            return "too_long"
        theirs /= ratio
        if max(ours, theirs) > self.max_ratio * min(ours, theirs):
            return "too_unequal"
        if self.dedupe:
            key = stable_hash(f"{source}\0{target}")[:8]
            if key in self.seen:
                return "repeated"
            self.seen.add(key)
        return None
