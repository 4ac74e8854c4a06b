"""Calibration: whether answers are right as often as their probabilities say.

Answers are put into bins of equal width by probability; the expected calibration error is the mean over answers of the
difference between how sure and how often right those of a bin are:

    ECE = sum over bins b of n_b / n * |accuracy_b - confidence_b|

(Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", section 2; Guo et al. 2017,
arXiv:1706.04599, section 2). It is measured, and nothing is fitted to it. A word is right where the alignment of its
text with the closest reference, by the fewest edits, has the same word in its place; in scripts without spaces between
words, where it has the same characters. A box or an answer that is one choice is right as the report's first metric
says, in part where that does. Few answers in many bins look worse than they are: the number is in the report.

N answers.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any

import numpy as np

from seqkit.score.error_rate import align
from seqkit.score.language import separate_characters
from seqkit.score.metric import Array, TextOptions, normalize
from seqkit.score.prediction import Word

BINS = 10
SIDE = 240  # pixels of the plot


def expected_error(probability_N: Array, right_N: Array, *, of: str, bins: int = BINS) -> dict[str, Any]:
    """What report.json holds under `calibration`, on a scale of 0 to 100; bins without answers are left out.

    `of` names the answers, `right_N` is from 0 to 1. Raises ValueError for no answers.
    """
    if not len(probability_N):
        raise ValueError("`probability_N` must hold at least one, got none")
    bin_N = np.minimum((probability_N * bins).astype(int), bins - 1)
    rows = []
    for number in np.unique(bin_N):
        own = bin_N == number
        rows.append(
            {
                "low": 100 * float(number) / bins,
                "high": 100 * float(number + 1) / bins,
                "count": int(own.sum()),
                "confidence": 100 * float(probability_N[own].mean()),
                "accuracy": 100 * float(right_N[own].mean()),
            }
        )
    apart = sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in rows)
    return {
        "of": of,
        "count": len(probability_N),
        "ece": apart / len(probability_N),
        "confidence": 100 * float(probability_N.mean()),
        "accuracy": 100 * float(right_N.mean()),
        "bins": rows,
    }


def right_words(words: Sequence[Word], references: Sequence[str], options: TextOptions) -> list[bool]:
    """Whether each word of a text is right; case and punctuation as the options say."""
    texts = [normalize(word.text, options) for word in words]
    references = [normalize(text, options) for text in references]
    if all(separate_characters(text) == text for text in (*texts, *references)):
        kept = [text for text in texts if text]
        right = iter([said == read for said, read in align(references, " ".join(kept)) if read is not None])
        return [bool(text) and next(right) for text in texts]
    plain = ["".join(text.split()) for text in references]
    pairs = align(plain, "".join(texts), "character")
    found = [said == read for said, read in pairs if read is not None]
    ends = list(accumulate(map(len, texts)))
    return [all(found[end - len(text) : end]) for text, end in zip(texts, ends, strict=True)]


def format_calibration(found: Mapping[str, Any]) -> str:
    """A line for a terminal."""
    return (
        f"calibration of {found['count']:,} {found['of']}: sure {found['confidence']:.1f}, right "
        f"{found['accuracy']:.1f} %, expected calibration error {found['ece']:.1f}"
    )


def reliability_plot(found: Mapping[str, Any]) -> str:
    """The reliability diagram as HTML: of every bin how often its answers are right, over how sure they are."""
    scale, bars = SIDE / 100, []
    for row in found["bins"]:
        left, height = scale * row["low"], scale * row["accuracy"]
        told = f"{row['count']:,} {found['of']}, sure {row['confidence']:.1f}, right {row['accuracy']:.1f} %"
        bars.append(
            f'<rect x="{left:.1f}" y="{SIDE - height:.1f}" width="{scale * (row["high"] - row["low"]) - 1:.1f}" '
            f'height="{height:.1f}" fill="var(--bar)"><title>{escape(told)}</title></rect>'
            f'<circle cx="{scale * row["confidence"]:.1f}" cy="{SIDE - height:.1f}" r="3" fill="var(--ink)"/>'
        )
    ticks = "".join(
        f'<text x="{scale * value:.0f}" y="{SIDE + 14}" text-anchor="middle">{value}</text>'
        f'<text x="-6" y="{SIDE - scale * value + 4:.0f}" text-anchor="end">{value}</text>'
        for value in (0, 50, 100)
    )
    rows = "".join(
        f'<tr><td>{row["low"]:.0f} to {row["high"]:.0f} %</td><td class="number">{row["count"]:,}</td>'
        f'<td class="number">{row["confidence"]:.1f}</td><td class="number">{row["accuracy"]:.1f}</td></tr>'
        for row in found["bins"]
    )
    head = '<th>probability</th><th class="number">{of}</th><th class="number">sure</th><th class="number">right</th>'
    return (
        f"<p>{escape(format_calibration(found))}. On the line, {escape(found['of'])} are right as often as their "
        "probability says; below it they are too sure.</p>"
        f'<svg viewBox="-45 -8 {SIDE + 60} {SIDE + 45}" width="{SIDE + 60}" font-size="11" fill="var(--faint)" '
        f'role="img" aria-label="reliability diagram">{"".join(bars)}'
        f'<path d="M0 0V{SIDE}H{SIDE}M0 {SIDE}L{SIDE} 0" fill="none" stroke="var(--faint)"/>{ticks}'
        f'<text x="{SIDE / 2}" y="{SIDE + 30}" text-anchor="middle">probability, %</text>'
        f'<text transform="translate(-32 {SIDE / 2}) rotate(-90)" text-anchor="middle">right, %</text></svg>'
        f'<div class="wide"><table><thead><tr>{head.format(of=escape(found["of"]))}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
