"""Plots of the HTML report as inline SVG: bars with intervals, and the learning curve of the run."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

ERRORS = ("wer", "cer", "ter", "perplexity", "perplexity_known", "bits_per_character")  # less is better
WIDTH, HEIGHT = 150, 14  # of a bar
CURVE_WIDTH, CURVE_HEIGHT, EDGE = 280, 110, 4
FAR = 1e30  # beyond it nothing is drawn


def is_error(metric: str) -> bool:
    """Whether less of the metric is better."""
    return metric in ERRORS


def scale(scores: Sequence[Mapping[str, Any]]) -> float:
    """The right end of the bars of these scores: 100, or what is needed."""
    return max([100.0, *(float(score["high"]) for score in scores)])


def interval_bar(score: Mapping[str, Any], metric: str, most: float) -> str:
    """A bar from 0 to the value, and a line over its interval; of errors in the color of what is lost."""
    value, low, high = (WIDTH * min(1.0, max(0.0, score[key] / most)) for key in ("value", "low", "high"))
    color = "var(--lost)" if is_error(metric) else "var(--bar)"
    middle = HEIGHT / 2
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{score["value"]:.2f} of {most:.0f}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--line)" opacity=".5"/>'
        f'<rect width="{value:.1f}" height="{HEIGHT}" fill="{color}" opacity=".75"/>'
        f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} 3V{HEIGHT - 3}M{high:.1f} 3V{HEIGHT - 3}" '
        f'stroke="var(--ink)" fill="none"/></svg>'
    )


def learning_curve(log: Path) -> str:
    """The losses and validation scores of a run's `log.jsonl`, a panel each; empty where there is nothing to draw."""
    series: dict[str, list[tuple[float, float]]] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # a line that was being written
            continue
        if not isinstance(row, dict) or not _is_number(row.get("step")):
            continue
        scored = row.get("validation")
        validation = scored if isinstance(scored, dict) else {}
        found = {"training loss": row.get("loss"), **{f"validation {name}": own for name, own in validation.items()}}
        for name, value in found.items():
            if _is_number(value):
                series.setdefault(name, []).append((row["step"], value))
    drawn = [_panel(name, points) for name, points in series.items() if len(points) > 1]
    return f'<h2>Learning curve</h2>\n<div class="curves">{"".join(drawn)}</div>' if drawn else ""


def _is_number(value: object) -> bool:
    """Whether it is a number that has a place in a plot."""
    return isinstance(value, int | float) and abs(value) < FAR


def _panel(name: str, points: Sequence[tuple[float, float]]) -> str:
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    wide, tall = CURVE_WIDTH - 2 * EDGE, CURVE_HEIGHT - 2 * EDGE
    first, span = min(steps), max(steps) - min(steps) or 1
    places = [
        (EDGE + wide * (step - first) / span, EDGE + tall * (1 - (value - low) / ((high - low) or 1)))
        for step, value in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    color = "var(--lost)" if is_error(name.removeprefix("validation ")) or name.endswith("loss") else "var(--bar)"
    return (
        f'<figure><svg viewBox="0 0 {CURVE_WIDTH} {CURVE_HEIGHT}" role="img" aria-label="{escape(name)}">'
        f'<rect width="{CURVE_WIDTH}" height="{CURVE_HEIGHT}" fill="var(--line)" opacity=".25"/>'
        f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.6"/></svg>'
        f"<figcaption>{escape(name)}: {values[0]:.4g} at step {steps[0]} to {values[-1]:.4g} at step {steps[-1]}, "
        f"from {low:.4g} to {high:.4g}</figcaption></figure>"
    )
