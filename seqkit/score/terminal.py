"""Scores and alignments in fixed-width columns, for a terminal."""

import shutil
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
    return f"{difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}] p {difference.p_value:.3f}"


def grouped(groups: Mapping[str, Mapping[str, Score]], heading: str) -> str:
    """Formats a table with a row per group and a column per metric."""
    names = list(next(iter(groups.values())))
    rows = [[heading, *names]]
    rows += [[group, *(figure(metrics[name]) for name in names)] for group, metrics in groups.items()]
    return columns(rows)


def terminal_width() -> int:
    """The columns of the terminal, or of the variable COLUMNS; 0 where output goes to a file or a pipe."""
    return shutil.get_terminal_size(fallback=(0, 0)).columns


def side_by_side(pairs: Sequence[Pair], columns: int = 0) -> str:
    """Formats an alignment in three lines: reference, hypothesis, and S, D or I under each difference.

    The last is left out where all is equal. Folds it into blocks of at most `columns` terminal columns (0: one block);
    a token wider than that stands alone.
    """
    cells = [_cell(pair) for pair in pairs]
    blocks: list[list[tuple[str, str, str]]] = [[]]
    used = 0
    for cell in cells:
        size = width(cell[0]) + 1  # with the space before it
        if columns and blocks[-1] and len("REF") + used + size > columns:
            blocks.append([])
            used = 0
        blocks[-1].append(cell)
        used += size
    rows = [
        zip(("REF", "HYP", "   "), zip(*block, strict=True) if block else [()] * 3, strict=True) for block in blocks
    ]
    lines = [[" ".join([head, *line]).rstrip() for head, line in row] for row in rows]
    return "\n\n".join("\n".join(filter(None, block)) for block in lines)


def _cell(pair: Pair) -> tuple[str, str, str]:
    """Formats a pair of tokens and its mark in equal width."""
    reference, hypothesis = (None if token is None else printable(token) for token in pair)
    mark = "I" if reference is None else "D" if hypothesis is None else "" if reference == hypothesis else "S"
    size = max(width(reference or ""), width(hypothesis or ""), 1)
    first, second = ("." * size if token is None else _padded(token, size) for token in (reference, hypothesis))
    return first, second, _padded(mark, size)


def width(text: str) -> int:
    """Counts terminal columns: two for East Asian wide characters, none for combining ones."""
    sizes = (0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    return sum(sizes)


def _padded(text: str, size: int, *, right: bool = False) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space
