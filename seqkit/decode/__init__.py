"""Decoding: beam and greedy search, sampling, CTC, scorers, n-gram language models, ensembles, forced scoring.

Needs torch and numpy only.
"""

from seqkit.decode.arpa import load_arpa, write_arpa
from seqkit.decode.beam_search import beam
from seqkit.decode.ctc import TimedHypothesis, align, greedy_ctc, token_spans
from seqkit.decode.ctc_beam import prefix_beam
from seqkit.decode.ctc_prefix import CtcPrefixScorer, ctc_token_logprobs
from seqkit.decode.ensemble import Ensemble
from seqkit.decode.forced_scoring import ForcedScores, score_targets, token_logprobs
from seqkit.decode.grammar import Grammar, lexicon, slots
from seqkit.decode.greedy_search import greedy
from seqkit.decode.hotwords import HotWords
from seqkit.decode.lm import MappedScorer, NgramScorer, WordScorer, match_symbols
from seqkit.decode.ngram import Ngram
from seqkit.decode.ngram_file import is_ngram, load_ngram, write_ngram
from seqkit.decode.ngram_train import train_ngram
from seqkit.decode.parallel import each_batch, in_batches, map_alike, map_batches
from seqkit.decode.sampling import Sampling, sample, sample_with_gradient
from seqkit.decode.scorer import Coverage, LanguageModel, LengthBonus
from seqkit.decode.search import Hypothesis, LengthPenalty, Model, Scorer, Scorers, Search

__all__ = [
    "Coverage",
    "CtcPrefixScorer",
    "Ensemble",
    "ForcedScores",
    "Grammar",
    "HotWords",
    "Hypothesis",
    "LanguageModel",
    "LengthBonus",
    "LengthPenalty",
    "MappedScorer",
    "Model",
    "Ngram",
    "NgramScorer",
    "Sampling",
    "Scorer",
    "Scorers",
    "Search",
    "TimedHypothesis",
    "WordScorer",
    "align",
    "beam",
    "ctc_token_logprobs",
    "each_batch",
    "greedy",
    "greedy_ctc",
    "in_batches",
    "is_ngram",
    "lexicon",
    "load_arpa",
    "load_ngram",
    "map_alike",
    "map_batches",
    "match_symbols",
    "prefix_beam",
    "sample",
    "sample_with_gradient",
    "score_targets",
    "slots",
    "token_logprobs",
    "token_spans",
    "train_ngram",
    "write_arpa",
    "write_ngram",
]
