"""Perplexity and bits per character, as metrics of a report.

N texts, K counts, R corpora.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqkit import __version__
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.recipes.language_model.data import TextConfig
from seqkit.recipes.language_model.model import ScoredText
from seqkit.score.evaluate import Statistics
from seqkit.score.metric import Array, Metric, References, TextOptions


@described
class Counts(NamedTuple):
    """What is counted of each text."""

    nats: float
    """-log p of all its symbols and its end"""
    symbols: int
    """and 1 for the end"""
    known_nats: float
    """of the symbols that the model knows, and the end"""
    known_symbols: int
    characters: int
    """and 1 for the end"""
    unknown: int


VALUES = {
    "perplexity": lambda sums_RK: np.exp(sums_RK[:, 0] / sums_RK[:, 1]),
    "perplexity_known": lambda sums_RK: np.exp(sums_RK[:, 2] / sums_RK[:, 3]),
    "bits_per_character": lambda sums_RK: sums_RK[:, 0] / math.log(2) / sums_RK[:, 4],
}


def statistics(text: TextConfig, texts: Sequence[str], scored: Sequence[ScoredText]) -> dict[str, Statistics]:
    """The counts of every text under each metric's name."""
    counts = []
    for line, (_, logprobs, known) in zip(texts, scored, strict=True):
        own = [logprob for logprob, knows in zip(logprobs, known, strict=True) if knows]
        size = len(logprobs)
        counts.append(Counts(-sum(logprobs), size, -sum(own), len(own), len(line) + 1, size - len(own)))
    counts_NK = np.array(counts, np.float64).reshape(-1, len(Counts._fields))
    return {
        name: Statistics(
            Metric(_of_texts, value, lambda *_: {}, Counts._fields, lower_is_better=True),
            counts_NK,
            signature(name, text),
        )
        for name, value in VALUES.items()
    }


def signature(name: str, text: TextConfig) -> str:
    """All that must be equal for two figures to be comparable."""
    settings = {
        "units": text.units,
        "normalize": "+".join(text.normalize) or "none",
        "end": "counted",
        "unknown": "left_out" if name == "perplexity_known" else "counted",
        "seqkit": __version__,
    }
    return "|".join([name, *(f"{key}:{value}" for key, value in settings.items())])


def _of_texts(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    raise InputError("perplexity must be that of a model's probabilities, got texts alone")
