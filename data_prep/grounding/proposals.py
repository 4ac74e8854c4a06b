"""Candidate boxes for the grounding of phrases: from a file of proposals, or windows of several sizes and shapes.

Boxes are left, top, right, bottom in pixels, right and bottom just outside; IoU is intersection over union.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqkit.data.files import parse_json, read_lines
from seqkit.data_prep.common.raw_files import UniqueKeys
from seqkit.errors import InputError
from seqkit.score.boxes import ENOUGH, iou

Box = tuple[float, ...]

# Width and height of windows as shares of the image's, biggest first; neighbors are STRIDE of a window apart, 100 in
# all. Of boxes that cover 2 to 80 % of an image, any place and shapes about 1:3 to 3:1, they fit 71 %.
WINDOWS = ((1.0, 1.0), (0.7, 0.7), (0.4, 0.8), (0.8, 0.4), (0.5, 0.5), (0.25, 0.5), (0.5, 0.25), (0.27, 0.27))
STRIDE = 0.5


def windows(height: int, width: int, most: int = 100) -> list[Box]:
    """At most so many boxes spread evenly over an image, the biggest first. Whole numbers of pixels."""
    boxes: list[Box] = []
    for across, down in WINDOWS:
        lefts, tops = _starts(across), _starts(down)
        for top, left in itertools.product(tops, lefts):
            corners = (left * width, top * height, (left + across) * width, (top + down) * height)
            boxes.append(tuple(map(round, corners)))
    return clip_boxes(boxes, height, width)[:most]


def _starts(share: float) -> list[float]:
    """Where windows of that share of a side begin, from edge to edge; a single one stands in the middle."""
    steps = round((1 - share) / (share * STRIDE))
    return [(1 - share) * i / steps for i in range(steps + 1)] if steps else [(1 - share) / 2]


def clip_boxes(boxes: Sequence[Sequence[float]], height: int, width: int) -> list[Box]:
    """Each within the image and once; those without area are left out."""
    inside = ((max(0, left), max(0, top), min(width, right), min(height, bottom)) for left, top, right, bottom in boxes)
    return list(dict.fromkeys(box for box in inside if box[0] < box[2] and box[1] < box[3]))


def turn_boxes(boxes: Sequence[Sequence[float]], orientation: int, height: int, width: int) -> list[Box]:
    """Boxes of an image as it is stored, in the pixels of the image as EXIF `orientation` turns it.

    `height` and `width` are those of the turned image.
    """
    turned: list[Box] = []
    for left, top, right, bottom in boxes:
        if orientation >= 5:  # rows are columns
            left, top, right, bottom = top, left, bottom, right
        if orientation in (2, 3, 6, 7):
            left, right = width - right, width - left
        if orientation in (3, 4, 7, 8):
            top, bottom = height - bottom, height - top
        turned.append((left, top, right, bottom))
    return turned


def has_match(candidates: Sequence[Box], truth: Sequence[Box]) -> bool:
    """Whether some candidate has an IoU of one half with some true box."""
    return bool(candidates) and bool((iou(np.array(candidates), np.array(truth)) >= ENOUGH).any())


def grounding_fields(
    phrase: str, truth: Sequence[Box], candidates: Sequence[Box], extent: tuple[int, int], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of an item: `references` are the true boxes as texts, `extent` is height and width of the image."""
    texts = tuple(" ".join(f"{edge:.10g}" for edge in box) for box in truth)
    more = {"truth": [list(box) for box in truth], "extent": list(extent)}
    return {"source": phrase, "boxes": tuple(candidates), "references": texts, "extra": {**extra, **more}}


def read_proposals(path: Path) -> dict[str, list[Box]]:
    """Boxes by the file name of their image: a line `{"image": "a.jpg", "boxes": [[0, 0, 10, 20], ...]}` for each.

    Raises InputError, with file and line, for anything else.
    """
    if not path.is_file():
        raise InputError(f"--proposals must be a file with a JSON object a line, got {path}, which is none")
    found: dict[str, list[Box]] = {}
    unique = UniqueKeys("image")
    for number, text in read_lines(path):
        place = f"{path}, line {number}"
        if not text.strip():
            continue
        try:
            entry = parse_json(text, place)
            if any(isinstance(edge, bool) for box in entry["boxes"] for edge in box):
                raise ValueError("no number")
            boxes = np.array(entry["boxes"], np.float64).reshape(-1, 4)
            name = Path(entry["image"]).name
        except (ValueError, TypeError, LookupError, OverflowError):  # an InputError is a ValueError
            boxes, name = np.full((1, 4), np.nan), ""
        if (boxes[:, :2] > boxes[:, 2:]).any():
            raise InputError(
                f"{place}: boxes must be left, top, right, bottom, got one inside out; of width and height make right "
                "and bottom"
            )
        if not name or not np.isfinite(boxes).all():
            raise InputError(
                f'{place}: must be {{"image": NAME, "boxes": [[left, top, right, bottom], ...]}} in '
                f"finite numbers, got {text[:60]!r}"
            )
        unique.add(name, place)
        found[name] = [tuple(box) for box in boxes.tolist()]
    return found
