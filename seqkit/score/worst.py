"""The worst items of a system by one metric, aligned with their closest references."""

from collections.abc import Sequence
from typing import NamedTuple

from seqkit.score.error_rate import Pair, Unit, align_all
from seqkit.score.evaluate import Statistics, item_values, worst_first
from seqkit.score.metric import References, TextOptions, normalize


class AlignedItem(NamedTuple):
    """One item: its own value by the metric, and its alignment."""

    id: str
    value: float
    pairs: Sequence[Pair]
    unit: Unit


def unit_of(metric: str) -> Unit:
    """What alignments beside a metric are of."""
    return "character" if metric == "cer" else "word"


def worst_items(
    ids: Sequence[str],
    references: References,
    hypotheses: Sequence[str],
    tallied: tuple[str, Statistics],
    options: TextOptions,
    most: int,
) -> list[AlignedItem]:
    """Lists the worst `most` items by the metric of the name and statistics `tallied`."""
    name, statistics = tallied
    texts = [[normalize(text, options) for text in several] for several in references]
    answers, value_N, unit = [normalize(text, options) for text in hypotheses], item_values(statistics), unit_of(name)
    rows = worst_first(statistics, texts, answers)[:most].tolist()
    aligned = align_all([texts[n] for n in rows], [answers[n] for n in rows], unit) if rows else []
    return [AlignedItem(ids[n], float(value_N[n]), pairs, unit) for n, pairs in zip(rows, aligned, strict=True)]
