"""Synthetic video of speech: visemes, and mouths drawn by them.

A mouth's shape is six numbers a frame, blended from the visemes around it by their distance and dominance, which
models coarticulation (Cohen and Massaro 1993). Lips that must close do so; the back of the mouth takes whatever shape
its neighbors have.

T frames, P phonemes, K = 6 numbers of a shape, H and W pixels, 3 for red, green, blue. Times are seconds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]
Phone = tuple[str, float, float]  # phoneme, start, end


class Viseme(NamedTuple):
    phonemes: str
    seconds: float  # its duration
    dominance: float
    # Opening between the lips and half the width of the mouth, as parts of that width at rest; how full the lips are,
    # 1 at rest; how much of the upper teeth and of the tongue is seen; how far the lower lip is under the teeth.
    shape: tuple[float, float, float, float, float, float]


VISEMES = {
    "rest": Viseme("sil", 0.0, 1.0, (0.00, 1.00, 1.00, 0.0, 0.0, 0.0)),
    "lips": Viseme("p b m", 0.085, 16.0, (0.00, 0.97, 0.65, 0.0, 0.0, 0.0)),
    "teeth": Viseme("f v", 0.09, 8.0, (0.12, 1.00, 0.80, 1.0, 0.0, 1.0)),
    "tip": Viseme("t d n", 0.07, 0.8, (0.25, 1.02, 0.95, 0.8, 0.3, 0.0)),
    "hiss": Viseme("s z", 0.09, 1.6, (0.16, 1.12, 0.90, 1.0, 0.0, 0.0)),
    "side": Viseme("l", 0.075, 1.2, (0.42, 1.02, 0.95, 0.5, 0.9, 0.0)),
    "between": Viseme("th", 0.08, 2.0, (0.28, 1.03, 0.95, 0.7, 1.0, 0.0)),
    "back": Viseme("k g", 0.08, 0.3, (0.35, 1.00, 1.00, 0.3, 0.1, 0.0)),
    "bent": Viseme("r", 0.08, 1.6, (0.28, 0.82, 1.20, 0.4, 0.2, 0.0)),
    "round": Viseme("w uw", 0.10, 2.5, (0.22, 0.58, 1.45, 0.0, 0.0, 0.0)),
    "spread": Viseme("iy ih y", 0.10, 1.3, (0.30, 1.22, 0.85, 0.8, 0.1, 0.0)),
    "middle": Viseme("eh ae", 0.11, 1.3, (0.60, 1.10, 0.90, 0.5, 0.3, 0.0)),
    "open": Viseme("aa ah", 0.11, 1.5, (1.00, 0.95, 1.00, 0.3, 0.4, 0.0)),
    "oval": Viseme("ao uh er", 0.11, 1.6, (0.65, 0.72, 1.30, 0.0, 0.2, 0.0)),
}
VISEME_OF = {phoneme: viseme for viseme, rule in VISEMES.items() for phoneme in rule.phonemes.split()}
RATE = 25  # frames a second


class Face(NamedTuple):
    skin: Color
    lips: Color
    size: float  # times a mouth whose half width at rest is 0.24 of the picture


def mouth_shapes(phones: Sequence[Phone], frames: int) -> Floats:
    """The shape (T, K) at the center of each frame."""
    rules = [VISEMES[VISEME_OF[phoneme]] for phoneme, _, _ in phones]
    middle_P, length_P = (np.array(times) for times in zip(*(((a + b) / 2, b - a) for _, a, b in phones), strict=True))
    away_TP = np.abs((np.arange(frames)[:, None] + 0.5) / RATE - middle_P) / length_P
    weight_TP = np.array([rule.dominance for rule in rules]) * np.exp(-((1.6 * away_TP) ** 1.5))
    blend_TP = weight_TP / (weight_TP.sum(1, keepdims=True) + 1e-9)
    shape_TK: Floats = (blend_TP @ np.array([rule.shape for rule in rules])).astype(np.float32)
    return shape_TK


def draw_mouth(shape_TK: Floats, face: Face, rng: np.random.Generator, size: int) -> Pixels:
    """Frames (T, H, W, 3) of a mouth; `rng` varies its position and light a little, constant through the clip."""
    unit = 0.24 * size * face.size * rng.uniform(0.95, 1.05)
    time_T = np.arange(len(shape_TK)) / RATE
    x_T, y_T = (
        size * (0.5 + 0.02 * rng.normal() + 0.012 * np.sin(rng.uniform(1, 4) * time_T + rng.uniform(0, 6)))
        for _ in range(2)
    )
    places = np.arange(size, dtype=np.float32) + 0.5
    u_T1W = ((places - x_T[:, None]) / unit)[:, None].astype(np.float32)
    v_TH1 = ((places - y_T[:, None]) / unit)[:, :, None].astype(np.float32)
    lips_THW, mouth_THW, tongue_THW, teeth_THW = _parts(shape_TK, u_T1W, v_TH1, np.float32(unit))
    light_THW = 1 + 0.10 * u_T1W * rng.uniform(-1, 1) - 0.05 * v_TH1 + 0.12 * lips_THW * np.sin(6 * v_TH1)
    grain_HW1 = rng.normal(0, 3, (size, size, 1)).astype(np.float32)
    layers = (
        (lips_THW, face.lips),
        (mouth_THW, (45, 18, 20)),
        (teeth_THW, (232, 226, 214)),
        (tongue_THW, (170, 84, 88)),
    )
    made_THW3 = np.empty((len(shape_TK), size, size, 3), np.float32)
    for i in range(3):
        channel_THW = np.float32(face.skin[i]) * np.ones_like(lips_THW)
        for cover_THW, color in layers:
            channel_THW += cover_THW * (np.float32(color[i]) - channel_THW)
        made_THW3[..., i] = channel_THW * light_THW
    made_THW3 += grain_HW1
    pixels_THW3: Pixels = np.clip(made_THW3 * np.float32(rng.uniform(0.9, 1.08)), 0, 255).astype(np.uint8)
    return pixels_THW3


def _parts(shape_TK: Floats, u_T1W: Floats, v_TH1: Floats, unit: np.float32) -> tuple[Floats, ...]:
    """How much of each pixel, 0 to 1 (T, H, W), the lips cover, the mouth within them, the tongue, and the teeth.

    u and v are positions to the right of the mouth's center and below it, in its half widths at rest: `unit` pixels.
    """
    opening, half, full, teeth, tongue, tuck = shape_TK.T[:, :, None, None]
    inner = 0.42 * opening  # half its height

    def within(depth_THW: NDArray[Any]) -> Floats:
        covered_THW: Floats = np.clip(depth_THW * unit + np.float32(0.5), 0, 1)
        return covered_THW

    def ellipse(across: Floats, down: Floats, below: Floats | float = 0.0) -> Floats:
        distance_THW = np.sqrt((u_T1W / across) ** 2 + ((v_TH1 - below) / down) ** 2)
        return within((1 - distance_THW) * np.minimum(across, down)) * within(across - np.abs(u_T1W))

    upper = inner + full * (0.15 - 0.05 * np.exp(-((u_T1W / 0.14) ** 2)))  # with the dip in its middle
    lower = inner + full * 0.19 * (1 - 0.4 * tuck)
    lips_THW = ellipse(half + 0.10 * full, np.where(v_TH1 < 0, upper, lower))
    mouth_THW = ellipse(half, inner + 0.012)
    teeth_THW = mouth_THW * within(0.3 * teeth - inner - v_TH1) * np.clip(teeth * 4, 0, 1)
    tongue_THW = mouth_THW * ellipse(0.62 * half, 0.1 + 0.5 * inner, inner * (1.05 - 0.75 * tongue))
    seam_THW = within(0.02 - np.abs(v_TH1)) * within(half - np.abs(u_T1W)) * np.float32(0.8)
    return lips_THW, np.maximum(mouth_THW, seam_THW), tongue_THW * np.clip(tongue * 4, 0, 1), teeth_THW
