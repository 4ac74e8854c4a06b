"""Whether a mouth moves as those of talkers do: a second look at what a detector takes for a face.

A rug, a poster or a portrait on the wall may look like a face in every frame. Its mouth moves with the whole of it
alone. So the mouth of a frame is laid over that of LAG frames before, as well as a shift, a turn, another size and
another light allow, and what still differs is compared with what differs at the nose: noise of the camera is in both.

H and W pixels, P of them in a row, K terms.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

LAG = 3  # frames, 120 ms, in which a mouth has another shape
MOUTH = (0.0, 0.32, 0.5, 0.3)  # center from that of the face, width and height, in widths of the face
NOSE = (0.0, -0.08, 0.3, 0.2)
PATCH = (40, 24)  # pixels that either is brought to
BLUR = 1.0  # pixels of them, against noise
EDGE = 2  # pixels at the border of a patch that are not compared
FLOOR = 0.3  # of 255, of a difference that is none
NOISY = 2.0  # of 255, of a difference at the nose beside which that at the mouth tells nothing
SHARE = 90  # percent of the frames in which a mouth may rest
MOVES = 2.2  # times the difference at the nose, which that at a mouth of talkers exceeds
ENOUGH = 12  # pairs of frames to tell by


@dataclass
class MouthMotion:
    """How far the mouth of one tracked face differs from frame to frame, as a multiple of what the nose does."""

    ratios: list[float] = field(default_factory=list)
    before: deque[tuple[object, Pixels, tuple[float, float]]] = field(default_factory=lambda: deque(maxlen=LAG))

    def add(self, nose: object, gray: Pixels, corner: tuple[float, float], face: Sequence[float]) -> None:
        """Adds a frame with center x, center y and width of the face; frames of one template of a nose are compared,
        by its `corner` in each."""
        if len(self.before) == LAG and self.before[0][0] is nose:
            _, other, (left, top) = self.before[0]
            x, y, width = face
            then = x + left - corner[0], y + top - corner[1], width
            mouth, still = (difference(patch(other, then, at), patch(gray, face, at)) for at in (MOUTH, NOSE))
            if still < NOISY:
                self.ratios.append(max(mouth, FLOOR) / max(still, FLOOR))
        self.before.append((nose, gray, corner))


def motion(ratios: list[float]) -> float | None:
    """How much a mouth moves by all its ratios: the mouths of talkers more than MOVES; None where it cannot be told."""
    return float(np.percentile(ratios, SHARE)) if len(ratios) >= ENOUGH else None


def patch(gray: Pixels, face: Sequence[float], place: Sequence[float]) -> Floats:
    """A region (H, W) of a face, brought to a size of its own."""
    x, y, width = face
    right, down, wide, high = place
    across, along = wide * width / PATCH[0], high * width / PATCH[1]
    left, top = x + (right - wide / 2) * width, y + (down - high / 2) * width
    matrix = np.array([[across, 0, left + across / 2 - 0.5], [0, along, top + along / 2 - 0.5]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut: Any = cv2.warpAffine(gray, matrix, PATCH, flags=how, borderMode=cv2.BORDER_REPLICATE)
    smooth: Floats = cv2.GaussianBlur(cut.astype(np.float64), (0, 0), BLUR).astype(np.float64, copy=False)
    return smooth


def difference(before_HW: Floats, after_HW: Floats) -> float:
    """What of the change from one patch to the other is no shift, turn, change of size or of light: its root mean
    square, of 255, by least squares."""
    mean_HW = (before_HW + after_HW) / 2
    down_HW, right_HW = np.gradient(mean_HW)
    y_HW, x_HW = np.mgrid[: mean_HW.shape[0], : mean_HW.shape[1]] - np.array(mean_HW.shape)[:, None, None] / 2
    larger_HW, turned_HW = x_HW * right_HW + y_HW * down_HW, x_HW * down_HW - y_HW * right_HW
    terms = [down_HW, right_HW, larger_HW, turned_HW, mean_HW, np.ones_like(mean_HW), after_HW - before_HW]
    inner = slice(EDGE, -EDGE)
    *terms_KP, change_P = (term_HW[inner, inner].ravel() for term_HW in terms)
    terms_PK = np.stack(terms_KP, axis=1)
    weights_K = np.linalg.lstsq(terms_PK, change_P, rcond=None)[0]
    return float(np.sqrt(np.mean((change_P - terms_PK @ weights_K) ** 2)))
