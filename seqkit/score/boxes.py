"""Boxes: intersection over union, and the share of boxes with an IoU of at least 0.5.

A box is left, top, right, bottom in pixels; right and bottom are the first outside it, so that its area is
(right - left) (bottom - top). A box with no area agrees with none.

`iou_0.5` is the accuracy of phrase localization (Plummer et al. 2015, arXiv:1505.04870; Fukui et al. 2016,
arXiv:1606.01847): a box is right when its intersection over union with any reference box is at least 0.5. Some papers
say "more than"; the two differ at exactly 0.5 alone. A hypothesis that is no box is wrong.

Texts are four numbers, left, top, right, bottom: with white space, commas or semicolons between, any brackets around,
as in `0 0 9 9`, `[0, 0, 9, 9]`, `(0,0),(9,9)` or `<box>(0,0),(9,9)</box>`; or four named numbers, as in
`{"x": 0, "y": 0, "width": 9, "height": 9}`, in the names of NAMES.

N and M boxes, R corpora.
"""

import math
import re
from collections.abc import Sequence

import numpy as np

from seqkit.errors import InputError
from seqkit.score.metric import Array, Metric, References, TextOptions
from seqkit.score.vqa import mean

_ORDERS = "x1 y1 x2 y2, x0 y0 x1 y1, xmin ymin xmax ymax, left top right bottom, l t r b, x y w h, x y width height, "
_ORDERS += "left top width height, cx cy w h, cx cy width height"
NAMES = {frozenset(names): names for names in (order.split() for order in _ORDERS.split(", "))}
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_FOUR = re.compile(r"[\s\[({<]*" + r"[\s,;|\[\](){}<>]+".join([_NUMBER] * 4) + r"[\s\])}>,.]*")
_NAMED = re.compile(r"([A-Za-z]\w*)[\"']?\s*[:=]\s*" + _NUMBER)
_TAG = re.compile(r"</?\w*box\w*>|<\|box_(?:start|end)\|>|\b(?:tensor|array)(?=\()", re.IGNORECASE)
ENOUGH = 0.5  # intersection over union of a right box


def iou(first_N4: Array, second_M4: Array) -> Array:
    """Intersection over union (N, M) of two sets of boxes, from 0 to 1.

    Raises ValueError for arrays of another shape.
    """
    for name, boxes in (("first_N4", first_N4), ("second_M4", second_M4)):
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"`{name}` must have shape (boxes, 4), got {boxes.shape}")
    first_N14, second_1M4 = first_N4[:, None].astype(np.float64), second_M4[None].astype(np.float64)
    corner_NM2 = np.maximum(first_N14[..., :2], second_1M4[..., :2])
    sides_NM2 = np.minimum(first_N14[..., 2:], second_1M4[..., 2:]) - corner_NM2
    shared_NM = np.maximum(sides_NM2, 0).prod(-1)
    covered_NM = _areas(first_N14) + _areas(second_1M4) - shared_NM
    found_NM: Array = np.divide(shared_NM, covered_NM, out=np.zeros_like(shared_NM), where=shared_NM > 0)
    return found_NM


def read_box(text: str) -> tuple[float, float, float, float] | None:
    """Parses a box in any notation of the module's docstring; None where the text is no box with an area."""
    numbers = read_numbers(text)
    if numbers is None:
        return None
    left, top, right, bottom = numbers
    return numbers if all(map(math.isfinite, numbers)) and left < right and top < bottom else None


def read_numbers(text: str) -> tuple[float, float, float, float] | None:
    """Parses four numbers, those of a box by names as left, top, right, bottom; None where they are not four."""
    text = _TAG.sub(" ", text)
    named = {name.lower().replace("_", ""): float(value) for name, value in _NAMED.findall(text)}
    if frozenset(named) in NAMES:
        first, second, third, fourth = (named[name] for name in NAMES[frozenset(named)])
        if "w" in named or "width" in named:
            first, second = (first - third / 2, second - fourth / 2) if "cx" in named else (first, second)
            third, fourth = first + third, second + fourth
        return first, second, third, fourth
    match = _FOUR.fullmatch(text)
    if not match:
        return None
    first, second, third, fourth = map(float, match.groups())
    return first, second, third, fourth


def _areas(boxes_4: Array) -> Array:
    """Areas of the boxes in the last dimension (that of an inverted box is not used: its intersection is 0)."""
    area: Array = (boxes_4[..., 2:] - boxes_4[..., :2]).prod(-1)
    return area


def _statistics(references: References, hypotheses: Sequence[str], options: TextOptions) -> Array:
    """Raises InputError for a reference that is no box, and where punctuation was removed from the numbers."""
    if not options.punctuation or options.normalizers:
        raise InputError("`iou_0.5` must be taken with punctuation kept: the points of numbers belong to it")
    rows = []
    for item, (texts, hypothesis) in enumerate(zip(references, hypotheses, strict=True), 1):
        boxes = [read_box(text) for text in texts]
        for box, text in zip(boxes, texts, strict=True):
            if box is None:
                wanted = "boxes, four numbers `left top right bottom` with left < right and top < bottom"
                raise InputError(f"the references of `iou_0.5` must be {wanted}, got {text!r} as item {item}")
        found = read_box(hypothesis)
        right = found is not None and iou(np.array([found]), np.array(boxes)).max() >= ENOUGH
        rows.append([float(right), float(found is not None), 1.0])
    return np.array(rows)


def _value(sums_R3: Array) -> Array:
    return mean(sums_R3[:, ::2])


def _settings(references: str, _: TextOptions) -> dict[str, str]:
    return {"nrefs": references, "refs": "any", "least": f"{ENOUGH:g}", "library": "seqkit"}


BOX_METRICS: dict[str, Metric] = {"iou_0.5": Metric(_statistics, _value, _settings, ("correct", "valid", "boxes"))}
