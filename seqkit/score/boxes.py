"""Boxes: intersection over union, and the share of boxes with an IoU of at least 0.5.

A box is left, top, right, bottom in pixels; right and bottom are the first outside it, so that its area is
(right - left) (bottom - top). A box with no area agrees with none.

`iou_0.5` is the accuracy of phrase localization (Plummer et al. 2015, arXiv:1505.04870; Fukui et al. 2016,
arXiv:1606.01847): a box is right when its intersection over union with any reference box is at least 0.5. Some papers
say "more than"; the two differ at exactly 0.5 alone. A hypothesis that is no box is wrong.

Texts are boxes in the notations of `seqkit.data.box_text`.

N and M boxes, R corpora.
"""

from collections.abc import Sequence

import numpy as np

from seqkit.data.box_text import read_box
from seqkit.errors import InputError
from seqkit.score.metric import Array, Metric, References, TextOptions
from seqkit.score.vqa import mean

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
