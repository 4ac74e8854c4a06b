"""METEOR 1.5 (Denkowski and Lavie 2014) as the COCO caption evaluation runs it, by the Java program of `pycocoevalcap`.

The program aligns each hypothesis with its closest reference and counts; its counts add up over a corpus. The value
from them is ours, with the program's constants for English: matches of stage i (exact, stem, synonym, paraphrase)
weigh w_i, content words delta, function words 1 - delta. P and R are the weighted matches over the weighted words of
hypothesis and reference, F = P R / (alpha P + (1 - alpha) R), and the value is 100 F (1 - gamma (chunks / m)^beta) with
m matched words. As in the program, a hypothesis matched as a whole and in order adds no chunk.

N items, K counts an item, R corpora.
"""

import importlib.util
import math
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqkit.errors import InputError
from seqkit.score.caption import caption_tokens
from seqkit.score.language import by_character
from seqkit.score.metric import Array, Metric, References, TextOptions

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
STAGES = {"exact": 1.0, "stem": 0.6, "synonym": 0.8, "paraphrase": 0.6}
_SIDES = ("hypothesis", "reference")
_COUNTS = (
    *(f"{side}_length" for side in _SIDES),
    *(f"{side}_function_words" for side in _SIDES),
    *(f"{side}_{stage}_{kind}" for stage in STAGES for kind in ("content", "function") for side in _SIDES),
    "chunks",
    *(f"{side}_matches" for side in _SIDES),
)


def _program() -> list[str]:
    """Returns the command of METEOR's Java program. Raises InputError where it is not installed."""
    java, package = shutil.which("java"), importlib.util.find_spec("pycocoevalcap")
    folders = package.submodule_search_locations if package else None
    jars = [jar for folder in folders or [] for jar in Path(folder).glob("meteor/meteor-*.jar")]
    if not java or not jars:
        missing = "no `java`: install Java 8 or later" if not java else "no package: pip install pycocoevalcap"
        raise InputError(f"`meteor` must find Java and the Python package pycocoevalcap, got {missing}")
    options = ["-", "-", "-stdio", "-l", "en", "-norm"]
    return [java, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", str(jars[0]), *options]


def installed() -> bool:
    """Whether Java and the package are there."""
    try:
        return bool(_program())
    except InputError:
        return False


def _statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    lines, characters = [], by_character(options)
    for texts, hypothesis in zip(references, hypotheses, strict=True):
        fields = [" ".join(caption_tokens(text, characters)) for text in (*texts, hypothesis)]
        lines.append(" ||| ".join(["SCORE", *fields]) + "\n")
    run = subprocess.run(_program(), input="".join(lines).encode(), capture_output=True)
    found = run.stdout.decode().splitlines()
    if run.returncode or len(found) != len(lines):
        (fault,) = run.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"{len(found)} lines"]
        must = f"METEOR's Java program must answer {len(lines)} lines and exit with 0"
        raise InputError(f"`meteor`: {must}, got exit status {run.returncode} and {fault}")
    counts_NK = np.array([[float(count) for count in line.split()] for line in found])
    column = dict(zip(_COUNTS, counts_NK.T, strict=True))  # views: what is set in one is set in the array
    whole_N = column["chunks"] == 1
    for side in _SIDES:
        whole_N &= column[f"{side}_matches"] == column[f"{side}_length"]
    column["chunks"][whole_N] = 0
    return counts_NK


def _value(sums_RK: Array) -> Array:
    return np.array([100 * _score(dict(zip(_COUNTS, sums, strict=True))) for sums in sums_RK.tolist()])


def _score(counts: dict[str, float]) -> float:
    precision, recall = (_share(counts, side) for side in _SIDES)
    if precision == 0 or recall == 0:
        return 0.0
    f = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    fragments = counts["chunks"] / (sum(counts[f"{side}_matches"] for side in _SIDES) / 2)
    return f * (1 - GAMMA * math.pow(fragments, BETA))


def _share(counts: dict[str, float], side: str) -> float:
    """Weighted matches over weighted words of one side."""
    matches = sum(
        weight * (DELTA * counts[f"{side}_{stage}_content"] + (1 - DELTA) * counts[f"{side}_{stage}_function"])
        for stage, weight in STAGES.items()
    )
    length, function = counts[f"{side}_length"], counts[f"{side}_function_words"]
    words = DELTA * (length - function) + (1 - DELTA) * function
    return matches / words if words else 0.0


def _settings(references: str, options: TextOptions) -> dict[str, str]:
    own = {"tok": "ptb+char", "punct": "no"} if by_character(options) else {"tok": "ptb", "punct": "coco"}
    text = {"nrefs": references, "case": "lc"} | own
    return text | {"lang": "en", "norm": "yes", "version": "1.5", "library": "pycocoevalcap"}


METEOR: dict[str, Metric] = {"meteor": Metric(_statistics, _value, _settings, _COUNTS, lowercases=True)}
