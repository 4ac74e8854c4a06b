"""Plots of attention, boxes and training curves. Only this file and `draw_time.py` import matplotlib.

Figures are made object by object, without pyplot, so nothing here holds state or opens a window; the ending of the
file's name chooses the format (png, pdf, svg).

T target tokens, S source positions, H and W pixels, h and w cells of an attention grid.
"""

import itertools
import json
import math
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from seqkit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, RULE = "#1f2933", "#d9dee3"
LINES = ("#2563a8", "#c2571a", "#2f7d4f", "#7a4fa3", "#8a6d1f")
LONGEST = 24  # characters of a label, beyond which it is cut
PANELS = 6  # pictures in a row
LETTERS = 10  # of a title, for each inch
NARROWEST = 3.0  # inches that a title has above a narrow figure
BAND = (0.085, 0.21)  # inches: the width of a box's label for each character, and its height


def alignment(weights_TS: ArrayLike, source: Sequence[str], target: Sequence[str], path: Path, title: str = "") -> None:
    """Plots an attention matrix: source tokens across the top, a row per target token, darker for more weight.

    weights_TS holds probabilities, rows summing to 1. Raises ValueError unless T and S count the tokens.
    """
    grid_TS = np.asarray(weights_TS, dtype=float)
    if grid_TS.shape != (len(target), len(source)) or not grid_TS.size:
        raise ValueError(
            f"`weights_TS` must be ({len(target)}, {len(source)}), a weight for every pair of tokens, "
            f"got {grid_TS.shape}"
        )
    cell = float(np.clip(14 / max(grid_TS.shape), 0.17, 0.34))  # inches; a page's width where that can be read
    size = float(np.clip(30 * cell, 5.5, 10))  # points
    figure, axes = new_figure(cell * len(source), cell * len(target))
    axes.set_xlim(0, len(source))
    axes.set_ylim(len(target), 0)
    axes.pcolormesh(grid_TS, cmap="Blues", vmin=0, vmax=1, edgecolors=RULE, linewidth=cell)
    axes.xaxis.tick_top()
    labels = [format_label(token) for token in source]
    upright = {"ha": "center"} if max(map(len, labels)) < 3 else {"rotation": 60, "ha": "left"}
    axes.set_xticks(
        np.arange(len(source)) + 0.5,
        labels,
        parse_math=False,
        fontsize=size,
        va="bottom",
        rotation_mode="anchor",
        **upright,
    )
    shown = [format_label(token) for token in target]
    axes.set_yticks(np.arange(len(target)) + 0.5, shown, parse_math=False, fontsize=size)
    axes.tick_params(length=0, pad=4, labeltop=True)
    if title:
        shown_title = wrap_title(title, max(NARROWEST, cell * len(source)))
        axes.set_title(shown_title, loc="left", pad=10, parse_math=False, fontsize=size + 1, color=INK)
    save_figure(figure, path)


def read_log(log: Path) -> dict[str, list[tuple[float, float]]]:
    """Every number of a `log.jsonl` by name, each as (step, value). Raises InputError for a line that is no object."""
    series: dict[str, list[tuple[float, float]]] = {}
    for number, line in enumerate(log.read_bytes().splitlines(), 1):
        try:
            record = dict(_numbers(json.loads(line)))
        except (ValueError, AttributeError, RecursionError, OverflowError) as error:
            shown = line[:40].decode("utf-8", "replace")
            raise InputError(f"{log}, line {number}: must be a JSON object, got {shown!r}") from error
        for name in record.keys() - {"step", "epoch", "seconds"} if "step" in record else ():
            series.setdefault(name, []).append((record["step"], record[name]))
    return series


def curves(log: Path, path: Path, names: Sequence[str] = ()) -> None:
    """Plots training curves: a panel for each of `names` over the steps, by default for every number in `log.jsonl`.

    A line of the log is an object with `step`; a number in an inner object is named after both, as `validation/bleu`.
    Raises InputError where the log has none of them.
    """
    series = read_log(log)
    shown = [name for name in names or sorted(series) if name in series]
    if not shown:
        raise InputError(f"{log}: must have {', '.join(names) or 'a number'} beside `step` in some line, got none")
    figure, first = new_figure(6.4, 1.9, rows=len(shown))
    for axes, name, color in zip(first.figure.axes, shown, LINES * len(shown), strict=False):
        steps, values = zip(*series[name], strict=True)
        axes.plot(steps, values, color=color, linewidth=1.6, marker="o" if len(steps) < 40 else "", markersize=3.5)
        axes.set_title(name.replace("_", " "), loc="left", fontsize=10, color=INK)
        axes.grid(axis="y", color=RULE, linewidth=0.8)
        axes.tick_params(length=3, color=RULE, labelsize=8.5)
        axes.margins(x=0.02)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("step", fontsize=9, color=INK)
    save_figure(figure, path)


def heat_maps(image_HW3: ArrayLike, steps: Sequence[tuple[str, ArrayLike]], path: Path, title: str = "") -> None:
    """Plots attention heat maps: the image, and again for every step, clear where the weight is large, else veiled.

    image_HW3 is uint8, or floats on 0..1. A step is a label and weights_hw, which is stretched over the picture; the
    largest weight of a step is clear.
    """
    image = np.asarray(image_HW3)
    panels = [("", np.ones((1, 1))), *((label, np.asarray(weights, dtype=float)) for label, weights in steps)]
    if image.ndim != 3 or image.shape[2] != 3 or any(weights_hw.ndim != 2 for _, weights_hw in panels):
        shapes = ", ".join(str(weights_hw.shape) for _, weights_hw in panels[1:])
        raise ValueError(f"`image_HW3` must be (H, W, 3) and each `weights_hw` (h, w), got {image.shape}; {shapes}")
    from matplotlib.figure import Figure

    columns = min(len(panels), PANELS)
    rows = -(-len(panels) // columns)
    height, width = 2.0 * image.shape[0] / image.shape[1] + 0.3, 2.0
    title = wrap_title(title, columns * width)
    lines = 0.2 + 0.2 * len(title.splitlines()) if title else 0.0
    figure = Figure(figsize=(columns * width, rows * height + lines), layout="constrained")
    frame = (0, image.shape[1], image.shape[0], 0)
    for place, (label, weights_hw) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(image, extent=frame, interpolation="bilinear")
        veil_hw4 = np.zeros((*weights_hw.shape, 4))
        veil_hw4[..., 3] = 0.75 * (1 - weights_hw / max(weights_hw.max(), np.finfo(float).tiny))
        axes.imshow(veil_hw4, extent=frame, interpolation="bicubic")
        axes.set_axis_off()
        axes.set_title(format_label(label) if label else "", parse_math=False, fontsize=11, color=INK)
    figure.suptitle(title, x=0.01, ha="left", parse_math=False, fontsize=12, color=INK)
    save_figure(figure, path)


def boxes(image_HW3: ArrayLike, drawn: Sequence[tuple[str, Sequence[float]]], path: Path, title: str = "") -> None:
    """Plots labeled boxes on an image, each in a color of its own, the first on top.

    image_HW3 is uint8, or floats on 0..1. A box is left, top, right, bottom in pixels of the picture. A label stands on
    the left end of the box's upper side, or below the labels that are there already.
    """
    image = np.asarray(image_HW3)
    if image.ndim != 3 or image.shape[2] != 3 or any(len(box) != 4 for _, box in drawn):
        raise ValueError(
            f"`image_HW3` must be (H, W, 3) and each box have 4 numbers, got {image.shape} and "
            f"{[len(box) for _, box in drawn]}"
        )
    from matplotlib.patches import Rectangle

    figure, axes = new_figure(6.4, 6.4 * image.shape[0] / image.shape[1])
    axes.imshow(image, extent=(0, image.shape[1], image.shape[0], 0), interpolation="bilinear")
    axes.set_axis_off()
    places = label_places(drawn, image.shape[1] / 6.4)
    rows = [*zip(drawn, places, itertools.cycle(LINES), strict=False)]
    for (label, (left, top, right, bottom)), place, color in reversed(rows):
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color, linewidth=2.5))
        axes.text(
            left,
            place,
            f" {format_label(label)} ",
            va="bottom",
            fontsize=9,
            color="white",
            parse_math=False,
            bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5},
        )
    axes.set_title(wrap_title(title, 6.4), loc="left", parse_math=False, fontsize=12, color=INK)
    save_figure(figure, path)


def label_places(drawn: Sequence[tuple[str, Sequence[float]]], pixels: float) -> list[float]:
    """The lower edge of each box's label, so that none hides another; `pixels` of the picture make an inch."""
    width, height = (pixels * inches for inches in BAND)
    taken: list[tuple[float, float, float]] = []
    for label, (left, lower, *_) in drawn:
        right = left + width * (len(format_label(label)) + 2)
        beside = [edge for start, end, edge in sorted(taken, key=lambda band: band[2]) if left < end and start < right]
        for edge in beside:
            if abs(edge - lower) < height:
                lower = edge + height
        taken.append((left, right, lower))
    return [lower for *_, lower in taken]


def wrap_title(title: str, width: float) -> str:
    """A title in lines that a figure of so many inches has room for."""
    return textwrap.fill(title, max(1, round(LETTERS * width)))


def new_figure(width: float, height: float, rows: int = 1) -> tuple["Figure", "Axes"]:
    """Makes a figure with `rows` axes of `width` by `height` inches, without spines; returns it and the first axes."""
    from matplotlib.figure import Figure

    gap, first = 0.4, None
    total = rows * height + (rows - 1) * gap
    figure = Figure(figsize=(width, total))
    for row in range(rows):
        axes = figure.add_axes((0, 1 - (row * (height + gap) + height) / total, 1, height / total), sharex=first)
        first = first or axes
        axes.spines[:].set_visible(False)
        axes.tick_params(labelcolor=INK, labelbottom=False)
    return figure, figure.axes[0]


def save_figure(figure: "Figure", path: Path) -> None:
    """Saves the figure, cropped to what is drawn; a character that no font has becomes a box, without a warning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, dpi=160, bbox_inches="tight", pad_inches=0.15, facecolor="white")


def format_label(token: str) -> str:
    """Formats a token as a label: visible where it is blank, truncated where it is long."""
    shown = "".join(char if char.isprintable() else "·" for char in token) if token.strip() else "␣"
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _numbers(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Lists every number of a nested object, named by its path."""
    found = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found += [(prefix + name, float(value))] * math.isfinite(value)
    return found


def find_font(letters: Iterable[str]) -> tuple[str, int]:
    """A font file that has the letters, and how many it lacks: matplotlib's own, else the best of this machine."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    needed = {ord(letter) for letter in letters if not letter.isspace()}
    lacking: dict[str, int] = {}
    for path in [font_manager.findfont("DejaVu Sans"), *sorted(font_manager.findSystemFonts())]:
        try:
            lacking[path] = len(needed - FT2Font(path).get_charmap().keys())
        except (OSError, RuntimeError, ValueError):  # a font in another format
            continue
        if not lacking[path]:
            break
    best = min(lacking, key=lambda path: lacking[path])
    return best, lacking[best]
