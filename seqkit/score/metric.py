"""Metric: statistics of every item that add up over a corpus, and a function from their sums to the value.

Because the counts add up, a resampled corpus is scored by summing counts again, never by comparing texts
again. N items, K counts an item, R corpora scored at once (one, or one a resample).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit import __version__
from seqkit.data.text import normalize_whitespace
from seqkit.score.normalizer import normalized, tag, without_punctuation

Array = NDArray[np.float64]
References = Sequence[Sequence[str]]  # of every item its one or more references


class TextOptions(NamedTuple):
    """How references and hypotheses are compared; all of it is in the signature."""

    lowercase: bool = False
    punctuation: bool = True  # False removes every character of the Unicode categories P*
    tokenizer: str | None = None  # of BLEU and captions; None follows the references (`seqkit.score.language`)
    vqa_script: str = "2021"  # of `vqa_accuracy` only; one of `seqkit.score.vqa.SCRIPTS`
    wordnet: Path | None = None  # of `wups_*` only; a folder with WordNet's index.noun, data.noun and noun.exc
    raw: bool = False  # compare texts as they are, not in NFC with single spaces as models learn them
    normalizers: tuple[str, ...] = ()  # applied in this order first; names of `seqkit.score.normalizer`
    language: str | None = None  # of the references, by any name; chooses the tokenizer where that is open


AS_IT_IS = TextOptions()


class Metric(NamedTuple):
    """A metric as functions of texts and counts; `seqkit.score.evaluate.METRICS` lists all."""

    statistics: Callable[[References, Sequence[str], TextOptions], Array]  # (N, K)
    value: Callable[[Array], Array]  # sums (R, K) to values (R,), on 0 to 100 where 100 is all right or all wrong
    settings: Callable[[str, TextOptions], dict[str, str]]  # number of references ("var": it varies) to signature
    counts: tuple[str, ...]  # the names of the K sums
    lower_is_better: bool = False
    lowercases: bool = False  # it lowercases its tokens itself, after tokenizing: `lowercase` does not apply to it
    item_value: Callable[[Array], Array] | None = None  # of single items, where `value` suits only a corpus
    in_parts: bool = False  # an item's statistics are the same whichever other items are beside it


class Score(NamedTuple):
    """The value of one metric on a corpus; `low` and `high` bound its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    signature: str
    counts: dict[str, float]


def normalize(text: str, options: TextOptions) -> str:
    """Normalizes a text for comparison: NFC and single spaces, then as the options say."""
    if not options.raw:
        text = normalize_whitespace(text)
    for name in options.normalizers:
        text = normalized(text, name)
    if options.lowercase:
        text = text.lower()
    if not options.punctuation:
        text = without_punctuation(text)
    return text


def signature(name: str, metric: Metric, references: References, options: TextOptions) -> str:
    """Makes the signature `name|key:value|...`, as sacrebleu does: all that must be equal to compare two scores."""
    numbers = {len(texts) for texts in references}
    settings = metric.settings(str(*numbers) if len(numbers) == 1 else "var", options)
    if not options.punctuation:
        settings["punct"] = "no"
    if options.normalizers:
        settings["normalizer"] = "+".join(map(tag, options.normalizers))
    settings["text"] = "raw" if options.raw else "nfc+space"
    settings["seqkit"] = __version__
    return "|".join([name, *(f"{key}:{value}" for key, value in settings.items())])
