"""Scores and alignments in fixed-width columns, for a terminal."""

import unicodedata
from collections.abc import Mapping, Sequence

from seqkit.data.text import printable
from seqkit.score.confidence import Difference
from seqkit.score.error_rate import Pair
from seqkit.score.metric import Score


def columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Aligns cells in columns, two spaces apart; the first `left` columns to the left, the others to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(width, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append("  ".join(_padded(cell, size, right=n >= left) for n, (cell, size) in enumerate(cells)).rstrip())
    return "\n".join(lines)


def figure(score: Score) -> str:
    """Formats value and interval."""
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"


def signed(difference: Difference) -> str:
    """Formats a paired difference."""
    value, low, high, p_value = difference
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}] p {p_value:.3f}"


def grouped(groups: Mapping[str, Mapping[str, Score]], heading: str) -> str:
    """Formats a table with a row per group and a column per metric."""
    names = list(next(iter(groups.values())))
    rows = [[heading, *names]]
    rows += [[group, *(figure(metrics[name]) for name in names)] for group, metrics in groups.items()]
    return columns(rows)


def side_by_side(pairs: Sequence[Pair]) -> str:
    """Formats an alignment in three lines: reference, hypothesis, and S, D or I under each difference."""
    lines: tuple[list[str], ...] = (["REF"], ["HYP"], ["   "])
    for pair in pairs:
        reference, hypothesis = (None if token is None else printable(token) for token in pair)
        mark = "I" if reference is None else "D" if hypothesis is None else "" if reference == hypothesis else "S"
        size = max(width(reference or ""), width(hypothesis or ""), 1)
        cells = ("." * size if token is None else _padded(token, size) for token in (reference, hypothesis))
        for line, cell in zip(lines, (*cells, _padded(mark, size)), strict=True):
            line.append(cell)
    return "\n".join(" ".join(line).rstrip() for line in lines)


def width(text: str) -> int:
    """Counts terminal columns: two for East Asian wide characters, none for combining ones."""
    sizes = (0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    return sum(sizes)


def _padded(text: str, size: int, *, right: bool = False) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space
