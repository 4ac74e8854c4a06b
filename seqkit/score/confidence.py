"""Bootstrap confidence intervals, and paired significance tests between systems on the same items.

Everything works on the items' counts, which add up over a corpus, and on a function from sums to values, so
that a resample costs one row of a matrix product. Draws depend on the seed and the number of items alone: two
systems resampled with one seed are resampled alike.

Items of one group, such as the utterances of a speaker, are not independent: resampled and exchanged as whole groups
(`by_group`), they give the interval and the p-value of other speakers instead of other utterances of these.
Several systems tested against one baseline are several chances of a small p-value; `holm` makes up for them.

Sources: Efron and Tibshirani 1993, chapter 13 (percentile interval); Koehn 2004 (bootstrap of test sets);
Noreen 1989 and Riezler and Maxwell 2005 (approximate randomization); Davison and Hinkley 1997, section 3.8 (bootstrap
of clusters); Holm 1979 (step-down correction).

G groups, N items, K counts an item, R resamples, B resamples drawn at once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.score.metric import Array

Value = Callable[[Array], Array]  # sums (R, K) to values (R,)

RESAMPLES = 1000
LEVEL = 95.0  # percent
_ROWS = 2**14  # of the counts of items, added at once
_ENTRIES = 2**18  # of the random matrix (B, N) held at once: few megabytes, which stay in the cache


class Difference(NamedTuple):
    """The difference of the second system from the first, its bootstrap interval, and the two-sided p-value."""

    value: float
    low: float
    high: float
    p_value: float
    p_holm: float | None = None  # corrected for the other systems tested by the same metric, where that was done


def by_group(statistics_NK: Array, groups_N: NDArray[np.intp] | None) -> Array:
    """Sums the counts of each group, numbered from 0: (G, K), or (N, K) as they are where every item is by itself."""
    if groups_N is None:
        return statistics_NK
    order_N = np.argsort(groups_N, kind="stable")
    firsts_G = np.flatnonzero(np.diff(groups_N[order_N], prepend=-1))
    sums_GK: Array = np.add.reduceat(statistics_NK[order_N], firsts_G, axis=0)
    return sums_GK


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects the p-values of several tests so that one of them is at most p with probability at most p."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, test in enumerate(sorted(range(len(p_values)), key=lambda test: p_values[test])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[test]))
        adjusted[test] = largest
    return adjusted


def resampled_sums(statistics_NK: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Draws corpora of N items with replacement; returns the sums (R, K) of their counts.

    Raises ValueError for no items or no resamples.
    """
    items, generator = len(statistics_NK), np.random.default_rng(seed)
    sums = [np.zeros((0, statistics_NK.shape[1]))]
    for block in _blocks(items, resamples):
        drawn_BN = generator.integers(items, size=(block, items)) + np.arange(block)[:, None] * items
        times_BN = np.bincount(drawn_BN.ravel(), minlength=block * items).reshape(block, items)
        sums.append(times_BN.astype(np.float64) @ statistics_NK)
    return np.concatenate(sums)


def swapped_sums(
    first_NK: Array, second_NK: Array, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Array, Array]:
    """Swaps the two systems' items with probability one half; returns the sums of both, (R, K) each."""
    items, generator = len(first_NK), np.random.default_rng(seed)
    excess_NK, sums = second_NK - first_NK, [np.zeros((0, first_NK.shape[1]))]
    for block in _blocks(items, resamples):
        swapped_BN = generator.integers(2, size=(block, items), dtype=np.int8)
        sums.append(swapped_BN.astype(np.float64) @ excess_NK)
    moved_RK = np.concatenate(sums)
    return first_NK.sum(0) + moved_RK, second_NK.sum(0) - moved_RK


def interval(values_R: Array, level: float = LEVEL) -> tuple[float, float]:
    """Computes the percentile interval that holds the middle `level` percent of the values."""
    low, high = np.percentile(values_R, [(100 - level) / 2, (100 + level) / 2])
    return float(low), float(high)


def bootstrap(statistics_NK: Array, value: Value, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """Computes the 95 % percentile bootstrap interval of `value`."""
    return interval(value(resampled_sums(statistics_NK, resamples=resamples, seed=seed)))


def paired_test(
    first_NK: Array,
    second_NK: Array,
    value: Value,
    *,
    groups_N: NDArray[np.intp] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Tests two systems on the same items, in the same order; whole groups are resampled and exchanged where given.

    The interval is that of a paired bootstrap. The p-value, of approximate randomization, is the share of random
    exchanges of the two systems' items that differ at least as much as the systems do (the systems themselves
    counted among them): 1 for a system against itself, never below 1 / (resamples + 1).
    Raises ValueError when the systems have not the same number of items.
    """
    if first_NK.shape != second_NK.shape:
        raise ValueError(f"`second_NK` must be of shape {first_NK.shape} as `first_NK`, got {second_NK.shape}")
    pair_RK = value(np.stack([total(first_NK), total(second_NK)]))
    observed = float(pair_RK[1] - pair_RK[0])
    pair = by_group(first_NK, groups_N), by_group(second_NK, groups_N)
    resampled = [value(resampled_sums(counts, resamples=resamples, seed=seed)) for counts in pair]
    swapped = [value(sums) for sums in swapped_sums(*pair, resamples=resamples, seed=seed)]
    rounding = 1e-9 * max(1.0, abs(observed))
    as_large = np.abs(swapped[1] - swapped[0]) >= abs(observed) - rounding
    p_value = (1 + int(as_large.sum())) / (1 + resamples)
    return Difference(observed, *interval(resampled[1] - resampled[0]), p_value)


def total(statistics_NK: Array) -> Array:
    """Sums (K,) over items, added in their order as sacrebleu does, so that fractions agree to the last digit."""
    sums_K: Array = np.zeros(statistics_NK.shape[1])
    for first in range(0, len(statistics_NK), _ROWS):
        sums_K = np.cumsum(np.vstack([sums_K, statistics_NK[first : first + _ROWS]]), axis=0)[-1]
    return sums_K


def _blocks(items: int, resamples: int) -> Iterator[int]:
    if items < 1 or resamples < 1:
        raise ValueError(f"items and `resamples` must be at least 1, got {items} and {resamples}")
    size = max(1, _ENTRIES // items)
    for first in range(0, resamples, size):
        yield min(size, resamples - first)
