"""Plots over time: saliency, posteriors, attention over video and audio; and confusion matrices.

T frames, V tokens, K pictures, P kinds, H and W pixels, U target tokens, S steps of a memory, F features.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from seqkit.draw import INK, NARROWEST, RULE, format_label, new_figure, save_figure, wrap_title

SPAN = 9.0  # inches of a picture over time


def saliency(images_KHW3: ArrayLike, maps_KHW: ArrayLike, labels: Sequence[str], path: Path, title: str = "") -> None:
    """Plots saliency maps: images in a row, and below each its map, bright where a pixel changes the label most.

    images_KHW3 is uint8, or floats on 0..1. All maps have one scale. Raises ValueError where the numbers differ.
    """
    images, maps = np.asarray(images_KHW3), np.asarray(maps_KHW, dtype=float)
    if not len(images) == len(maps) == len(labels) or images.ndim != 4:
        raise ValueError(f"`labels`, `maps_KHW` must be one an image, got {len(labels)}, {maps.shape}, {images.shape}")
    from matplotlib.figure import Figure

    width = min(2.0, SPAN / len(images))
    height = width * images.shape[1] / images.shape[2] + 0.25
    title = wrap_title(title, max(NARROWEST, width * len(images)))
    lines = 0.1 + 0.2 * max(1, len(title.splitlines()))
    figure = Figure(figsize=(width * len(images), 2 * height + lines), layout="constrained")
    most = max(float(np.quantile(maps, 0.999)), np.finfo(float).tiny)
    for place, (image, values, label) in enumerate(zip(images, maps, labels, strict=True), 1):
        for row in range(2):
            axes = figure.add_subplot(2, len(images), place + row * len(images))
            axes.set_axis_off()
            if row:
                axes.imshow(np.minimum(values / most, 1), cmap="inferno", vmin=0, vmax=1)
            else:
                axes.imshow(image)
                axes.set_title(format_label(label), fontsize=10, color=INK, parse_math=False)
    figure.suptitle(title, x=0.01, ha="left", parse_math=False, fontsize=11, color=INK)
    save_figure(figure, path)


def posteriors(
    prob_TV: ArrayLike,
    tokens: Sequence[str],
    words: Sequence[tuple[str, float, float]],
    path: Path,
    *,
    seconds: float,
    title: str = "",
) -> None:
    """Plots posteriors over time: a row for every token that is ever likely, words above their times.

    `seconds` is a frame's length. Raises ValueError unless V counts the tokens.
    """
    grid_TV = np.asarray(prob_TV, dtype=float)
    if grid_TV.ndim != 2 or grid_TV.shape[1] != len(tokens):
        raise ValueError(f"`prob_TV` must be (frames, {len(tokens)}), got {grid_TV.shape}")
    rows = [v for v in range(len(tokens)) if grid_TV[:, v].max(initial=0) > 0.05]
    figure, axes = new_figure(SPAN, 0.2 * max(1, len(rows)))
    axes.imshow(
        grid_TV[:, rows].T,
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(0, len(grid_TV) * seconds, len(rows), 0),
    )
    axes.set_yticks(np.arange(len(rows)) + 0.5, [format_label(tokens[v]) for v in rows], fontsize=8, parse_math=False)
    axes.tick_params(length=0, labelbottom=True, labelsize=8)
    axes.set_xlabel("seconds", fontsize=9, color=INK)
    for word, start, end in words:
        axes.axvline(start, color=RULE, linewidth=0.8)
        axes.text((start + end) / 2, -0.3, word, ha="center", va="bottom", fontsize=9, color=INK, parse_math=False)
    axes.set_title(wrap_title(title, SPAN), loc="left", pad=20, parse_math=False, fontsize=11, color=INK)
    save_figure(figure, path)


def confusion(
    counts_PP: ArrayLike, names: Sequence[str], groups: Sequence[tuple[str, int]], path: Path, title: str = ""
) -> None:
    """Plots a confusion matrix as shares of each row; groups of adjacent classes are framed and named.

    Raises ValueError unless names and groups count the rows.
    """
    counts = np.asarray(counts_PP, dtype=float)
    if counts.shape != (len(names), len(names)) or sum(size for _, size in groups) != len(names):
        raise ValueError(f"`counts_PP` must be {len(names)} square, all of it in groups, got {counts.shape}")
    from matplotlib.patches import Rectangle

    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axes = new_figure(0.2 * len(names), 0.2 * len(names))
    axes.imshow(share**0.5, cmap="Blues", vmin=0, vmax=1)  # the root shows what is rare
    axes.set_xticks(range(len(names)), names, fontsize=7, rotation=90)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.tick_params(length=0, labelbottom=True)
    first = 0
    for name, size in groups:
        axes.add_patch(Rectangle((first - 0.5, first - 0.5), size, size, fill=False, edgecolor="#c2571a", linewidth=1))
        axes.text(len(names), first + size / 2 - 0.5, name, va="center", fontsize=7, color=INK)
        first += size
    axes.set_xlabel("read", fontsize=9, color=INK)
    axes.set_ylabel("said", fontsize=9, color=INK)
    axes.set_title(title, loc="left", parse_math=False, fontsize=11, color=INK)
    save_figure(figure, path)


def double_attention(
    panels: Sequence[tuple[str, ArrayLike, ArrayLike, float]], tokens: Sequence[str], path: Path, title: str = ""
) -> None:
    """Plots attention over several streams: each stream and, below, its attention weights, on one axis of seconds.

    A panel is a name; either frames (T, H, W, 3), of which some are shown, or features (T, F); weights (U, S); and the
    stream's length in seconds. Raises ValueError where weights have another number of rows than there are tokens.
    """
    from matplotlib.figure import Figure

    if any(np.shape(weights)[0] != len(tokens) for _, _, weights, _ in panels):
        raise ValueError(
            f"`weights` must be one row a token, {len(tokens)}, "
            f"got {[np.shape(weights) for _, _, weights, _ in panels]}"
        )
    depth, end = max(1.2, 0.14 * len(tokens)), max(seconds for *_, seconds in panels)
    heights = [height for _ in panels for height in (0.9, depth)]
    title = wrap_title(title, SPAN)
    lines = 0.1 + 0.2 * max(1, len(title.splitlines()))
    figure = Figure(figsize=(SPAN, sum(heights) + 0.5 * len(panels) + lines), layout="constrained")
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for (name, shown, weights_US, seconds), above, below in zip(panels, axes[::2], axes[1::2], strict=True):
        shown = np.asarray(shown)
        if shown.ndim == 4:
            count = max(1, int(SPAN / 0.9 * shown.shape[1] / shown.shape[2] * seconds / end))
            places = ((np.arange(count) + 0.5) * len(shown) / count).astype(int)
            above.imshow(np.hstack(list(shown[places])), aspect="auto", extent=(0, seconds, 0, 1))
        else:
            above.imshow(shown.T, aspect="auto", origin="lower", cmap="magma", extent=(0, seconds, 0, shown.shape[1]))
        below.imshow(
            np.asarray(weights_US),
            aspect="auto",
            cmap="Blues",
            vmin=0,
            interpolation="nearest",
            extent=(0, seconds, len(tokens), 0),
        )
        below.set_yticks(
            np.arange(len(tokens)) + 0.5, [format_label(token) for token in tokens], fontsize=7, parse_math=False
        )
        above.set_title(name, loc="left", fontsize=9, color=INK)
        above.set_yticks([])
        for part in (above, below):
            part.set_xlim(0, end)
            part.spines[:].set_visible(False)
            part.tick_params(length=0, labelsize=7, labelcolor=INK)
        above.set_xticks([])
    axes[-1].set_xlabel("seconds", fontsize=9, color=INK)
    figure.suptitle(title, x=0.01, ha="left", parse_math=False, fontsize=11, color=INK)
    save_figure(figure, path)
