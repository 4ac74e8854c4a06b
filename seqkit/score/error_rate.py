"""Word, character and sentence error rates.

Word and character error rates are edits over reference length, both summed over the corpus (not a mean of items). The
sentence error rate, `ser`, is the share of items whose words are those of no reference.

Edits are those of jiwer's alignment: substitutions S, deletions D, insertions I, hits H. With its default
transforms, outer white space is removed from every text; words are separated by spaces; characters are
Unicode code points, inner spaces among them. The rate is 100 (S + D + I) / (S + D + H), and may pass 100.

Where the definition leaves a choice:
- Several references: the closest counts, that with the fewest edits, of equals the longest, of equals the first.
- Empty references: the divisor is at least 1, so that a corpus whose references are all empty scores 0 when the
  hypotheses are empty too and 100 for every insertion otherwise (jiwer's figures). Among other items an empty
  reference adds its insertions to the edits and nothing to the length.

N items, P pairs of an item and one of its references, R corpora.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from typing import Literal

import jiwer
import numpy as np

from seqkit.score.metric import Array, Metric, References, TextOptions

Unit = Literal["word", "character"]
Pair = tuple[str | None, str | None]  # a token of the reference and of the hypothesis; None where one has no partner

_PROCESS: dict[Unit, Callable[..., jiwer.WordOutput | jiwer.CharacterOutput]] = {
    "word": jiwer.process_words,
    "character": jiwer.process_characters,
}
_COLUMNS = {"substitute": 0, "delete": 1, "insert": 2, "equal": 3}
_COUNTS = ("substitutions", "deletions", "insertions", "hits", "reference_length")


def edit_counts(references: References, hypotheses: Sequence[str], unit: Unit) -> Array:
    """Counts (N, 5): substitutions, deletions, insertions, hits and length, by each item's closest reference."""
    pairs_P = [(text, hypothesis) for texts, hypothesis in zip(references, hypotheses, strict=True) for text in texts]
    items_P = np.repeat(np.arange(len(references)), [len(texts) for texts in references])
    output = _PROCESS[unit]([reference for reference, _ in pairs_P], [hypothesis for _, hypothesis in pairs_P])
    counts_P5 = np.zeros((len(items_P), 5))
    for row, chunks in zip(counts_P5, output.alignments, strict=True):
        for chunk in chunks:
            length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            row[_COLUMNS[chunk.type]] += length
    counts_P5[:, 4] = counts_P5[:, [0, 1, 3]].sum(1)
    order_P = np.lexsort((-counts_P5[:, 4], counts_P5[:, :3].sum(1), items_P))  # stable: of equals the first
    return counts_P5[order_P[np.unique(items_P, return_index=True)[1]]]


def align(references: Sequence[str], hypothesis: str, unit: Unit = "word") -> list[Pair]:
    """Aligns the tokens of the closest reference of one item with those of its hypothesis."""
    return align_all([references], [hypothesis], unit)[0]


def align_all(references: References, hypotheses: Sequence[str], unit: Unit = "word") -> list[list[Pair]]:
    """Aligns every item's closest reference with its hypothesis."""
    pairs_P = [(text, hypothesis) for texts, hypothesis in zip(references, hypotheses, strict=True) for text in texts]
    output = _PROCESS[unit]([reference for reference, _ in pairs_P], [hypothesis for _, hypothesis in pairs_P])
    aligned = zip(output.references, output.hypotheses, output.alignments, strict=True)
    candidates = iter([_pairs(reference, words, chunks) for reference, words, chunks in aligned])
    several = [[next(candidates) for _ in texts] for texts in references]
    return [min(own, key=lambda pairs: (errors(pairs), -sum(word is not None for word, _ in pairs))) for own in several]


def errors(pairs: Sequence[Pair]) -> int:
    """Counts the aligned tokens that differ or have no partner."""
    return sum(reference != hypothesis for reference, hypothesis in pairs)


def _pairs(reference: list[str], hypothesis: list[str], chunks: list[jiwer.AlignmentChunk]) -> list[Pair]:
    pairs: list[Pair] = []
    for chunk in chunks:
        left: list[str | None] = list(reference[chunk.ref_start_idx : chunk.ref_end_idx])
        right: list[str | None] = list(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx])
        pairs += zip(left or [None] * len(right), right or [None] * len(left), strict=True)
    return pairs


def _statistics(references: References, hypotheses: Sequence[str], _: TextOptions, *, unit: Unit) -> Array:
    return edit_counts(references, hypotheses, unit)


def _rate(sums_R5: Array) -> Array:
    rate_R: Array = sums_R5[:, :3].sum(1) / np.maximum(sums_R5[:, 4], 1)
    return 100 * rate_R


def _settings(references: str, options: TextOptions, *, unit: Unit) -> dict[str, str]:
    case = "lc" if options.lowercase else "mixed"
    version = metadata.version("jiwer")
    return {"nrefs": references, "case": case, "tok": unit, "version": version, "punct": "yes", "library": "jiwer"}


def _error_rate(unit: Unit) -> Metric:
    functions = partial(_statistics, unit=unit), _rate, partial(_settings, unit=unit)
    return Metric(*functions, _COUNTS, lower_is_better=True, in_parts=True)


def _sentence_statistics(references: References, hypotheses: Sequence[str], _: TextOptions) -> Array:
    """Counts (N, 2): whether the words, as jiwer splits a text, are those of no reference; and 1."""
    split = jiwer.transformations.wer_default
    words_N, words_P = split(list(hypotheses)), iter(split([text for texts in references for text in texts]))
    right = [words in [next(words_P) for _ in texts] for words, texts in zip(words_N, references, strict=True)]
    return np.stack([1.0 - np.array(right), np.ones(len(right))], 1)


def _share(sums_R2: Array) -> Array:
    share_R: Array = sums_R2[:, 0] / sums_R2[:, 1]
    return 100 * share_R


ERROR_RATES: dict[str, Metric] = {
    "wer": _error_rate("word"),
    "cer": _error_rate("character"),
    "ser": Metric(
        _sentence_statistics,
        _share,
        partial(_settings, unit="word"),
        ("sentence_errors", "sentences"),
        lower_is_better=True,
        in_parts=True,
    ),
}
