"""From a trained model to tokens: search, sampling, scorers, language models, ensembles, forced scoring."""

from seqkit.decode.beam_search import beam
from seqkit.decode.ctc import TimedHypothesis, align, greedy_ctc, token_spans
from seqkit.decode.ctc_beam import prefix_beam
from seqkit.decode.ctc_prefix import CtcPrefix
from seqkit.decode.ensemble import Ensemble
from seqkit.decode.forced_scoring import ForcedScores, score_targets
from seqkit.decode.grammar import Grammar, lexicon, slots
from seqkit.decode.greedy_search import greedy
from seqkit.decode.lm import Mapped, NgramScorer, WordScorer, match
from seqkit.decode.parallel import map_batches
from seqkit.decode.sampling import Sampling, sample
from seqkit.decode.scorer import Coverage, LanguageModel, LengthBonus
from seqkit.decode.search import Hypothesis, Model, Scorer, Search

__all__ = [
    "Coverage",
    "CtcPrefix",
    "Ensemble",
    "ForcedScores",
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
    "TimedHypothesis",
    "WordScorer",
    "align",
    "beam",
    "greedy_ctc",
    "map_batches",
    "score_targets",
    "greedy",
    "lexicon",
    "match",
    "prefix_beam",
    "sample",
    "slots",
    "token_spans",
]
