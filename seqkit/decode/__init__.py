"""From a trained model to tokens: search, sampling, scorers, ensembles, forced scoring."""

from seqkit.decode.beam import beam
from seqkit.decode.ensemble import Ensemble
from seqkit.decode.force import Forced, force
from seqkit.decode.greedy import greedy
from seqkit.decode.sample import Sampling, sample
from seqkit.decode.scorer import Coverage, LanguageModel, LengthBonus
from seqkit.decode.search import Hypothesis, Model, Scorer, Search

__all__ = [
    "Coverage", "Ensemble", "Forced", "Hypothesis", "LanguageModel", "LengthBonus", "Model", "Sampling", "Scorer",
    "Search", "beam", "force", "greedy", "sample",
]
