"""The most frequent confusions: which words, or characters, are taken for which, left out and put in.

Counted over the alignments of the error rates, of every item's closest reference.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from seqkit.score.error_rate import Pair, Unit, align_all
from seqkit.score.language import options_for
from seqkit.score.metric import AS_IT_IS, TextOptions, normalize

Row = TypeVar("Row", tuple[str, int], tuple[str, str, int])


class Confusions(NamedTuple):
    """Counts, the most frequent first, of equals in the order of the alphabet."""

    substitutions: list[tuple[str, str, int]]  # of the reference, of the hypothesis, how often
    deletions: list[tuple[str, int]]  # of the reference, missing in the hypothesis
    insertions: list[tuple[str, int]]  # of the hypothesis, in no place of the reference


def confusions(
    references: Sequence[str | Sequence[str]],
    hypotheses: Sequence[str],
    options: TextOptions = AS_IT_IS,
    *,
    unit: Unit = "word",
    most: int | None = None,
) -> Confusions:
    """Counts the confusions of a corpus; at most `most` of each kind. Texts are compared as `options` say.

    Raises ValueError where the numbers of references and hypotheses differ.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"`hypotheses` must be one an item of {len(references)} items, got {len(hypotheses)}")
    several = [[texts] if isinstance(texts, str) else list(texts) for texts in references]
    options = options_for(several, options)
    normalized = [[normalize(text, options) for text in texts] for texts in several]
    aligned = align_all(normalized, [normalize(text, options) for text in hypotheses], unit)
    pairs: Counter[Pair] = Counter(pair for item in aligned for pair in item)
    substitutions = [(a, b, n) for (a, b), n in pairs.items() if a is not None and b is not None and a != b]
    deletions = [(a, n) for (a, b), n in pairs.items() if a is not None and b is None]
    insertions = [(b, n) for (a, b), n in pairs.items() if a is None and b is not None]
    return Confusions(_first(substitutions, most), _first(deletions, most), _first(insertions, most))


def _first(rows: Iterable[Row], most: int | None) -> list[Row]:
    return sorted(rows, key=lambda row: (-int(row[-1]), row[:-1]))[:most]
