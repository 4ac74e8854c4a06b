"""Words to a TextGrid, the format of Praat (Boersma and Weenink, "Praat: doing phonetics by computer").

The intervals of a tier follow each other without gap or overlap from 0 to the end of the recording, as Praat's grammar
asks; between words they are empty. Where two words overlap, the boundary is in the middle.
"""

from collections.abc import Sequence

from seqkit.score.prediction import Word

SHORTEST = 0.001  # seconds of an interval

Interval = tuple[float, float, str]  # start and end in seconds, text


def text_grid(words: Sequence[Word], seconds: float) -> str:
    """A TextGrid of a recording of so many seconds: a tier of the words, and where they are known one of their
    probabilities."""
    spans = word_spans(words)
    tiers = {"words": [word.text for word in words]}
    if words and all(word.probability is not None for word in words):
        tiers["probability"] = [f"{word.probability:.3f}" for word in words]
    end = max([seconds, SHORTEST, *(end for _, end in spans[-1:])])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *_range(0.0, end, "")]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, labels) in enumerate(tiers.items(), 1):
        intervals = fill([(*span, label) for span, label in zip(spans, labels, strict=True)], end)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += [*_range(0.0, end, " " * 8), f"        intervals: size = {len(intervals)}"]
        for place, (start, until, label) in enumerate(intervals, 1):
            lines += [f"        intervals [{place}]:", *_range(start, until, " " * 12)]
            lines.append(f'            text = "{_quoted(label)}"')
    return "\n".join(lines) + "\n"


def word_spans(words: Sequence[Word]) -> list[tuple[float, float]]:
    """Start and end of every word, none of which overlap or are shorter than SHORTEST, in the order of the words."""
    spans: list[tuple[float, float]] = []
    for word in words:
        start, end = max(0.0, word.start or 0.0), word.end or 0.0
        if spans and start < spans[-1][1]:
            first, until = spans[-1]
            start = max(first + SHORTEST, (start + until) / 2)
            spans[-1] = first, start
        spans.append((start, max(end, start + SHORTEST)))
    return spans


def fill(intervals: Sequence[Interval], end: float) -> list[Interval]:
    """The intervals, with empty ones in the gaps from 0 to `end`."""
    filled: list[Interval] = []
    place = 0.0
    for start, until, label in intervals:
        if start > place:
            filled.append((place, start, ""))
        filled.append((start, until, label))
        place = until
    return [*filled, (place, end, "")] if end > place else filled


def _range(start: float, end: float, indent: str) -> list[str]:
    return [f"{indent}xmin = {start:.6f}", f"{indent}xmax = {end:.6f}"]


def _quoted(text: str) -> str:
    """A text between quotes: a quote is written twice, white space is one space."""
    return " ".join(text.split()).replace('"', '""')
