"""Scoring: metrics, confidence intervals, significance tests, reports and `seqkit score`.

from seqkit.score import score
score("wer,cer", ["the cat sat"], ["the cat sits"])["wer"].value
"""

from seqkit.score.evaluate import METRICS, score
from seqkit.score.metric import Score, TextOptions

__all__ = ["METRICS", "Score", "TextOptions", "score"]
