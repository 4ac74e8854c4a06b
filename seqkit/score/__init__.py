"""Scoring: metrics, confidence intervals, significance tests, reports and `seqkit score`.

from seqkit.score import compare, score, score_by
score("wer,cer", ["the cat sat"], ["the cat sits"])["wer"].value
"""

from seqkit.score.confidence import Difference
from seqkit.score.confusion import Confusions, confusions
from seqkit.score.error_rate import align
from seqkit.score.evaluate import METRICS, compare, score, score_by
from seqkit.score.language_names import tokenizer_of
from seqkit.score.metric import Metric, Score, TextOptions
from seqkit.score.result_files import write_results

__all__ = [
    "METRICS",
    "Confusions",
    "Difference",
    "Metric",
    "Score",
    "TextOptions",
    "align",
    "compare",
    "confusions",
    "score",
    "score_by",
    "tokenizer_of",
    "write_results",
]
