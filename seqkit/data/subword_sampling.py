"""Random splits of text into the pieces of a sentencepiece model, drawn from a generator of the caller's.

sentencepiece draws from a state of its own, which repeats in one process at best. Here a split is a function of the
generator alone, in any process and with any version of sentencepiece; the distributions are sentencepiece's.

`BpeSampler`, BPE-dropout (Provilkov et al. 2020, arXiv:1910.13267): merges are tried best first, those of one rank from
left to right, and each is left out with probability `dropout`. One that was left out comes back only if a neighbor
changes (in the paper all are drawn again after every merge). With 0 this is BPE.
`UnigramSampler`, subword regularization (Kudo 2018, arXiv:1804.10959, section 3): a split is drawn with probability
proportional to that of its pieces to the power `sharpness`, by forward filtering and backward sampling.

No piece reaches over the beginning of a word, so words are split one by one, and what was computed once is kept.
"""

import bisect
import heapq
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from typing import Any

import numpy as np

from seqkit.errors import InputError

SPACE = "▁"  # sentencepiece's sign of a space, at the beginning of a piece
KEPT = 1 << 16  # splits that are remembered
CHUNK = 16  # random numbers drawn at once
UNKNOWN_PENALTY = 10.0  # of an unknown character, below the least likely piece


class BpeSampler:
    """BPE-dropout over the pieces of a model. `scores`: of every piece, higher merges earlier."""

    def __init__(self, scores: Mapping[str, float], ids: Mapping[str, int], unknown: int) -> None:
        self.scores, self.ids, self.unknown = scores, ids, unknown
        self._split = lru_cache(KEPT)(self.split)

    def sample(self, text: str, dropout: float, rng: np.random.Generator) -> list[int]:
        """Ids of a random split of normalized `text`.

        Instead of a number for every merge, the number of merges until the next one left out is drawn.
        """
        gaps = _gaps(dropout, rng)
        gap, ids = next(gaps), list[int]()
        for word in words(text):
            skipped: tuple[int, ...] = ()
            tried, found = self._split(word, skipped)
            place = 0  # merges of this word that are decided
            while place + gap < tried:
                skipped += (place + gap,)
                place, gap = place + gap + 1, next(gaps)
                tried, found = self._split(word, skipped)
            gap -= tried - place
            ids += found
        return one_unknown(ids, self.unknown)

    def split(self, word: str, skipped: tuple[int, ...] = ()) -> tuple[int, tuple[int, ...]]:
        """The number of merges tried, and the ids when those of the numbers `skipped` are left out."""
        pieces: list[str] = list(word)
        after, before = list(range(1, len(word) + 1)), list(range(-1, len(word) - 1))
        agenda: list[tuple[float, int, int, str]] = []

        def add(left: int, right: int) -> None:
            merged = pieces[left] + pieces[right]
            if merged in self.scores:
                heapq.heappush(agenda, (-self.scores[merged], left, right, merged))

        for left, right in pairwise(range(len(word))):
            add(left, right)
        tried = 0
        while agenda:
            _, left, right, merged = heapq.heappop(agenda)
            if not pieces[left] or not pieces[right] or len(pieces[left]) + len(pieces[right]) != len(merged):
                continue  # one of the two has been merged with another
            tried += 1
            if tried - 1 in skipped:
                continue
            pieces[left], pieces[right] = merged, ""
            after[left] = after[right]
            if before[left] >= 0:
                add(before[left], left)
            if after[right] < len(word):
                before[after[right]] = left
                add(left, after[right])
        return tried, tuple(self.ids.get(piece, self.unknown) for piece in pieces if piece)


class UnigramSampler:
    """Subword regularization over the pieces of a model. `scores`: the log-probability of every piece."""

    def __init__(self, scores: Mapping[str, float], ids: Mapping[str, int], unknown: int) -> None:
        self.scores, self.ids, self.unknown = scores, ids, unknown
        self.longest = max(map(len, scores), default=0)
        self.unknown_score = min(scores.values(), default=0.0) - UNKNOWN_PENALTY
        self._lattice = lru_cache(KEPT)(self.lattice)

    def sample(self, text: str, sharpness: float, rng: np.random.Generator) -> list[int]:
        """Ids of a random split of normalized `text`."""
        drawn, ids = _uniform(rng), list[int]()
        for word in words(text):
            lattice, end, found = self._lattice(word, sharpness), len(word), list[int]()
            while end:
                starts, ids_K, shares = lattice[end]
                chosen = min(bisect.bisect(shares, next(drawn) * shares[-1]), len(shares) - 1)
                found.append(ids_K[chosen])
                end = starts[chosen]
            ids += reversed(found)
        return one_unknown(ids, self.unknown)

    def lattice(self, word: str, sharpness: float) -> list[tuple[list[int], list[int], list[float]]]:
        """For every end in the word: where its last piece may start, the piece's id, the running sum of its shares."""
        totals, lattice = [0.0], [(list[int](), list[int](), list[float]())]
        for end in range(1, len(word) + 1):
            starts, ids, scores = [], [], []
            for start in range(max(0, end - self.longest), end):
                piece = word[start:end]
                if piece in self.scores or end - start == 1:
                    starts.append(start)
                    ids.append(self.ids.get(piece, self.unknown))
                    scores.append(totals[start] + sharpness * self.scores.get(piece, self.unknown_score))
            best = max(scores)
            shares = list(accumulate(math.exp(score - best) for score in scores))
            totals.append(best + math.log(shares[-1]))
            lattice.append((starts, ids, shares))
        return lattice


def words(text: str) -> list[str]:
    """The words of normalized text, each with the sign of the space before it."""
    first, *others = text.split(SPACE)
    return [*([first] if first else []), *(SPACE + word for word in others)]


def one_unknown(ids: list[int], unknown: int) -> list[int]:
    """The ids with every run of unknown ones as a single one, as sentencepiece has it."""
    if unknown not in ids:
        return ids
    return [i for key, run in groupby(ids) for i in ([key] if key == unknown else run)]


def _gaps(dropout: float, rng: np.random.Generator) -> Iterator[int]:
    """Numbers of merges made before the next one that is left out."""
    while dropout <= 0:
        yield 1 << 62
    while True:
        yield from (rng.geometric(dropout, CHUNK) - 1).tolist()


def _uniform(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(CHUNK).tolist()


def make_sampler(pieces: Any) -> BpeSampler | UnigramSampler:
    """The sampler of a sentencepiece processor. Its scores tell its kind: ranks are BPE's, log-probabilities unigram's.

    Raises InputError for a model with pieces that are neither, bytes or symbols of the user's.
    """
    plain = [i for i in range(len(pieces)) if not (pieces.is_control(i) or pieces.is_unknown(i))]
    ids = {pieces.id_to_piece(i): i for i in plain}
    scores = {piece: float(pieces.get_score(i)) for piece, i in ids.items()}
    ranked = all(score == -place for place, score in enumerate(scores.values()))
    if not ranked and max(scores.values()) >= 0:
        raise InputError("`sample` must be 0 for a model with pieces that are bytes or symbols of a user, got more")
    return (BpeSampler if ranked else UnigramSampler)(scores, ids, pieces.unk_id())
