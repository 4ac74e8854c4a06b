"""The statistics of all items, computed for some of them at a time where a metric allows it, so that a million lines
need little more memory than their texts."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from seqkit.score.metric import Array, Metric, References, TextOptions, normalize

Counter = Callable[[References, Sequence[str], TextOptions], Array]
PART = 5000  # items at a time: what their statistics take is then forgotten


def item_counts(
    metrics: Sequence[Metric], references: References, hypotheses: Sequence[str], options: TextOptions
) -> dict[Counter, Array]:
    """Computes what the `statistics` of every metric give for the normalized texts; those that several metrics share
    are computed once."""
    found: dict[Counter, Array] = {}
    for in_parts, size in ((True, PART), (False, len(hypotheses))):
        counters = {metric.statistics: metric.lowercases for metric in metrics if metric.in_parts == in_parts}
        found |= _counted(counters, references, hypotheses, options, size)
    return found


def _counted(
    counters: Mapping[Counter, bool], references: References, hypotheses: Sequence[str], options: TextOptions, size: int
) -> dict[Counter, Array]:
    """Computes statistics of so many items at a time; `counters` say whether they lowercase by themselves."""
    found: dict[Counter, list[Array]] = {counter: [] for counter in counters}
    for first in range(0, len(hypotheses) if counters else 0, size):
        part = references[first : first + size], hypotheses[first : first + size]
        texts = {lowercases: _normalized(*part, options, lowercases) for lowercases in counters.values()}
        for counter, lowercases in counters.items():
            found[counter].append(counter(*texts[lowercases], options))
    return {counter: np.concatenate(parts) for counter, parts in found.items()}


def _normalized(
    references: References, hypotheses: Sequence[str], options: TextOptions, lowercases: bool
) -> tuple[References, list[str]]:
    """Normalizes both for a metric; one that lowercases by itself is left to do it."""
    options = options._replace(lowercase=False) if lowercases else options
    theirs = [[normalize(text, options) for text in texts] for texts in references]
    return theirs, [normalize(text, options) for text in hypotheses]
