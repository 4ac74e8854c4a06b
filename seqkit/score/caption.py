"""BLEU, CIDEr-D and ROUGE-L of captions, equal to those of the COCO caption evaluation, and how varied captions are.

Texts become the tokens of `seqkit.score.ptb`: in lower case, without punctuation; where references are written without
spaces (`seqkit.score.language`), every character is a token. Values are COCO's figures times 100.
- `bleu1` to `bleu4` (Papineni et al. 2002) of the whole corpus: closest reference length, and in place of smoothing
  1e-15 added to every count of matches and 1e-9 to every divisor. `COCO_BLEU` replaces the metrics of these names when
  the tokenizer is `ptb`.
- `cider` (Vedantam et al. 2015, arXiv:1411.5726), the variant CIDEr-D: the mean over n-grams of one to four words and
  over references of the clipped cosine of tf-idf vectors, times a Gaussian of the difference in length (sigma 6
  words), times 10. Document frequencies are those of the references of the whole set, an item's references being
  one document. A caption equal to all its references scores 1000; a set of one item always scores 0.
- `rouge_l` (Lin 2004): F of the longest common subsequence with beta 1.2, from the best precision and the best recall
  over references.

CIDEr-D and ROUGE-L are means over items, so an item's statistics are its score and 1. An item's CIDEr-D is always
computed with the document frequencies of the whole set: resampling, and breaking a set down, keeps them fixed, so that
intervals and tests leave out how the frequencies vary.
An empty hypothesis scores 0, by ROUGE-L 100 against an empty reference.

N items, K counts an item, R corpora.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from seqkit.score.bleu import COUNTS, MAX_ORDER
from seqkit.score.language import by_character, separate_characters, tokenizer_for
from seqkit.score.language_names import SPACED
from seqkit.score.metric import Array, Metric, References, TextOptions
from seqkit.score.ptb import tokenize

Words = Sequence[str]
NGram = tuple[str, ...]

SIGMA = 6.0  # of CIDEr-D, in words
BETA = 1.2  # of ROUGE-L: how many times recall counts
_TINY, _SMALL = 1e-15, 1e-9  # of BLEU


class Frequencies(NamedTuple):
    """Document frequencies of n-grams: in how many items' references each is found."""

    items: int
    counts: Mapping[NGram, int]


class Weighted(NamedTuple):
    """The tf-idf vectors of a caption, as CIDEr-D compares them."""

    weights: tuple[dict[NGram, float], ...]  # tf-idf, of every order
    norms: tuple[float, ...]
    length: int  # in words


class Diversity(NamedTuple):
    """The diversity of captions; compared as tokens, so that case and punctuation make no difference."""

    novel: float  # percent of the captions that are not among the training captions
    distinct_words: int  # in all captions
    mean_length: float  # in words


def ngrams(words: Words) -> Counter[NGram]:
    """Counts the n-grams of one to four words."""
    orders = range(1, MAX_ORDER + 1)
    return Counter(tuple(words[i : i + n]) for n in orders for i in range(len(words) - n + 1))


def document_frequencies(references: Sequence[Sequence[Words]]) -> Frequencies:
    """Counts n-grams over items, each with the words of its references."""
    found = (set[NGram]().union(*(ngrams(words) for words in texts)) for texts in references)
    return Frequencies(len(references), Counter(ngram for item in found for ngram in item))


def weigh(words: Words, frequencies: Frequencies) -> Weighted:
    """Computes the tf-idf vectors of a caption; an n-gram in no reference weighs as one in a single item's."""
    weights: tuple[dict[NGram, float], ...] = tuple({} for _ in range(MAX_ORDER))
    squares, documents = [0.0] * MAX_ORDER, math.log(frequencies.items)
    for ngram, count in ngrams(words).items():
        weight = count * (documents - math.log(max(1, frequencies.counts.get(ngram, 0))))
        weights[len(ngram) - 1][ngram] = weight
        squares[len(ngram) - 1] += weight**2
    return Weighted(weights, tuple(map(math.sqrt, squares)), len(words))


def cider(hypothesis: Weighted, references: Sequence[Weighted]) -> float:
    """CIDEr-D of one caption on COCO's scale, from 0 to 10. Both sides are weighed with the same frequencies."""
    sums = [0.0] * MAX_ORDER
    for reference in references:
        penalty = math.e ** (-(float(hypothesis.length - reference.length) ** 2) / (2 * SIGMA**2))
        for order in range(MAX_ORDER):
            sums[order] += _clipped_cosine(hypothesis, reference, order) * penalty
    return sum(sums) / MAX_ORDER / len(references) * 10


def rouge_l(hypothesis: Words, references: Sequence[Words]) -> float:
    """ROUGE-L of one caption, from 0 to 1. As in COCO's script, an empty text is one empty word."""
    words = list(hypothesis) or [""]
    texts = [list(reference) or [""] for reference in references]
    common = [_common(text, words) for text in texts]
    precision = max(length / len(words) for length in common)
    recall = max(length / len(text) for length, text in zip(common, texts, strict=True))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def diversity(hypotheses: Sequence[str], training: Iterable[str]) -> Diversity:
    """Computes the diversity of hypotheses against the training captions. Raises ValueError for none."""
    if not hypotheses:
        raise ValueError("`hypotheses` must hold at least one caption, got none")
    characters = tokenizer_for(hypotheses) != SPACED
    captions = [caption_tokens(text, characters) for text in hypotheses]
    known = {caption_tokens(text, characters) for text in training}
    novel = sum(caption not in known for caption in captions)
    words = [word for caption in captions for word in caption]
    return Diversity(100 * novel / len(captions), len(set(words)), len(words) / len(captions))


@lru_cache(maxsize=2**16)
def caption_tokens(text: str, characters: bool = False) -> tuple[str, ...]:
    """Tokenizes a caption, cached since several metrics read the same references."""
    if not characters:
        return tuple(tokenize(text))
    tokens = tokenize(separate_characters(text))
    return tuple(t for t in tokens if not all(unicodedata.category(c)[0] in "PS" for c in t))


def caption_words(text: str, characters: bool = False) -> Words:
    """Tokens as the n-gram metrics read them: at the no-break space in a token they see two words."""
    return " ".join(caption_tokens(text, characters)).split()


def _clipped_cosine(hypothesis: Weighted, reference: Weighted, order: int) -> float:
    theirs, product = reference.weights[order], 0.0
    for ngram, weight in hypothesis.weights[order].items():
        if ngram in theirs:
            product += min(weight, theirs[ngram]) * theirs[ngram]
    norm = hypothesis.norms[order] * reference.norms[order]
    return product / norm if norm else product


def _common(first: Words, second: Words) -> int:
    """The length of the longest common subsequence."""
    best = [0] * (len(second) + 1)
    for word in first:
        before = best[:]
        for place, other in enumerate(second):
            best[place + 1] = before[place] + 1 if word == other else max(before[place + 1], best[place])
    return best[-1]


def _bleu_statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    rows, words_of = [], partial(caption_words, characters=by_character(options))
    for texts, hypothesis in zip(references, hypotheses, strict=True):
        words, others = words_of(hypothesis), [words_of(text) for text in texts]
        most = Counter[NGram]()
        for other in others:
            most |= ngrams(other)
        matches = [0] * MAX_ORDER
        for ngram, count in ngrams(words).items():
            matches[len(ngram) - 1] += min(count, most[ngram])
        closest = min((abs(len(other) - len(words)), len(other)) for other in others)[1]
        rows.append([len(words), closest, *matches, *(max(0, len(words) - n) for n in range(MAX_ORDER))])
    return np.array(rows, dtype=np.float64)


def _bleu_value(sums_RK: Array, *, order: int, effective_order: bool = False) -> Array:
    """With effective order, orders of which the hypothesis has no n-gram are left out."""
    values = []
    for hypothesis_length, reference_length, *counts in sums_RK.tolist():
        product = 1.0
        pairs = list(zip(counts[:order], counts[MAX_ORDER:], strict=False))
        if effective_order:
            pairs = [(matches, total) for matches, total in pairs if total] or pairs[:1]
        for matches, total in pairs:
            product *= (matches + _TINY) / (total + _SMALL)
        ratio = (hypothesis_length + _TINY) / (reference_length + _SMALL)
        values.append(100 * (product ** (1 / len(pairs)) * (math.exp(1 - 1 / ratio) if ratio < 1 else 1.0)))
    return np.array(values)


def _cider_statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    words_of = partial(caption_words, characters=by_character(options))
    words = [[words_of(text) for text in texts] for texts in references]
    frequencies = document_frequencies(words)
    scores = [
        cider(weigh(words_of(hypothesis), frequencies), [weigh(text, frequencies) for text in texts])
        for texts, hypothesis in zip(words, hypotheses, strict=True)
    ]
    return np.array([[score, 1.0] for score in scores])


def _rouge_statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    tokens_of = partial(caption_tokens, characters=by_character(options))
    pairs = zip(references, hypotheses, strict=True)
    return np.array([[rouge_l(tokens_of(text), list(map(tokens_of, texts))), 1.0] for texts, text in pairs])


def _mean(sums_R2: Array) -> Array:
    mean_R: Array = sums_R2[:, 0] / sums_R2[:, 1]
    return 100 * mean_R


def _settings(references: str, options: TextOptions, **own: str) -> dict[str, str]:
    if by_character(options):
        text = {"nrefs": references, "case": "lc", "tok": "ptb+char", "punct": "no"}
        return text | own | {"library": "seqkit"}
    text = {"nrefs": references, "case": "lc", "tok": "ptb", "punct": "coco"}
    return text | own | {"library": "seqkit", "equals": "pycocoevalcap-1.2"}


def _up_to(order: int) -> Metric:
    settings = partial(_settings, order=str(order), ref="closest", smooth="add-1e-15-over-1e-9")
    value = partial(_bleu_value, order=order)
    by_item = partial(value, effective_order=True)
    return Metric(_bleu_statistics, value, settings, COUNTS, lowercases=True, item_value=by_item)


COCO_BLEU: dict[str, Metric] = {f"bleu{order}": _up_to(order) for order in range(1, MAX_ORDER + 1)}
CAPTION_METRICS: dict[str, Metric] = {
    "cider": Metric(
        _cider_statistics,
        _mean,
        partial(_settings, variant="d", order=str(MAX_ORDER), sigma=f"{SIGMA:g}", df="set"),
        ("cider_sum", "captions"),
        lowercases=True,
    ),
    "rouge_l": Metric(
        _rouge_statistics, _mean, partial(_settings, beta=f"{BETA:g}"), ("rouge_l_sum", "captions"), lowercases=True
    ),
}
