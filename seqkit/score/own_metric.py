"""Metrics of one's own, named `module:NAME`.

NAME is a `seqkit.score.Metric`, or a function of the references of one item and of its hypothesis that gives a number,
of which the mean over the items is taken as it is. The function's attribute `lower_is_better` may be true.

    def first_word(references: list[str], hypothesis: str) -> float:
        return 100 * any(text.split()[:1] == hypothesis.split()[:1] for text in references)

N items, R corpora.
"""

import hashlib
import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from seqkit.errors import InputError
from seqkit.score.import_object import import_object
from seqkit.score.metric import Array, Metric, References, TextOptions


@lru_cache
def own_metric(name: str) -> Metric:
    """Makes a metric of what `name`, `module:NAME`, is. Raises InputError where it is neither metric nor function."""
    found = import_object(name, "a metric of your own")
    if isinstance(found, Metric):
        return found
    if not callable(found):
        raise InputError(f"{name!r} must be a function or a seqkit.score.Metric, got {type(found).__name__}")
    source = Path(getattr(sys.modules[name.partition(":")[0]], "__file__", None) or "")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8] if source.is_file() else "unknown"
    settings = partial(_settings, digest=digest)
    lower = bool(getattr(found, "lower_is_better", False))
    return Metric(partial(_statistics, name=name, function=found), _mean, settings, ("sum", "items_scored"), lower)


def _statistics(
    references: References,
    hypotheses: Sequence[str],
    _: TextOptions,
    *,
    name: str,
    function: Callable[[list[str], str], float],
) -> Array:
    """Raises InputError for what is no finite number."""
    rows = []
    for item, (texts, hypothesis) in enumerate(zip(references, hypotheses, strict=True), 1):
        value = function(list(texts), hypothesis)
        if not isinstance(value, int | float | np.number) or not math.isfinite(value):
            raise InputError(f"{name!r} must give a finite number for every item, got {value!r} for item {item}")
        rows.append([float(value), 1.0])
    return np.array(rows)


def _mean(sums_R2: Array) -> Array:
    mean_R: Array = sums_R2[:, 0] / sums_R2[:, 1]
    return mean_R


def _settings(references: str, options: TextOptions, *, digest: str) -> dict[str, str]:
    case = "lc" if options.lowercase else "mixed"
    return {"nrefs": references, "case": case, "punct": "yes", "library": "own", "source": digest}
