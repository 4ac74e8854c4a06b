"""From a trained model to tokens: search, sampling, scorers, language models, ensembles, forced scoring."""

from seqkit.decode.beam import beam
from seqkit.decode.ctc import Timed, align, best_path, spans
from seqkit.decode.ctc_beam import prefix_beam
from seqkit.decode.ctc_prefix import CtcPrefix
from seqkit.decode.ensemble import Ensemble
from seqkit.decode.force import Forced, force
from seqkit.decode.grammar import Grammar, lexicon, slots
from seqkit.decode.greedy import greedy
from seqkit.decode.lm import Mapped, NgramScorer, WordScorer, match
from seqkit.decode.parallel import each
from seqkit.decode.sample import Sampling, sample
from seqkit.decode.scorer import Coverage, LanguageModel, LengthBonus
from seqkit.decode.search import Hypothesis, Model, Scorer, Search

__all__ = [
    "Coverage",
    "CtcPrefix",
    "Ensemble",
    "Forced",
    "Grammar",
    "Hypothesis",
    "LanguageModel",
    "LengthBonus",
    "Mapped",
    "Model",
    "NgramScorer",
    "Sampling",
    "Scorer",
    "Search",
    "Timed",
    "WordScorer",
    "align",
    "beam",
    "best_path",
    "each",
    "force",
    "greedy",
    "lexicon",
    "match",
    "prefix_beam",
    "sample",
    "slots",
    "spans",
]
