"""Face tracking: the talker's face in every frame of a video, by detections and template matching in between.

OpenCV's frontal-face cascade (Viola and Jones 2001) says where faces are, give or take some pixels. Between detections
the nose is tracked by normalized cross-correlation, to a fraction of a pixel, and a face's size and its position
relative to the nose are medians over its detections: so the detector's jitter does not reach the crops.

Of several faces the talker's is the one that is large, near the center, and there for long, unless another is asked
for.

x to the right, y down, in pixels; a face is the cascade's box: center x, center y and width, which is its height too.
T frames.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from seqkit.data_prep.lipreading.mouth_motion import MouthMotion, motion

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

CHOICES = ("largest", "left", "right")  # of several faces
DETECT_EVERY = 10  # frames from one detection to the next, near where faces were
SEARCH_EVERY = 75  # frames from one search of the whole frame to the next
SEARCH_EVERY_LOST = 5  # the same while no face is known, doubled with each search that finds none
SEARCH_EVERY_EMPTY = 40  # and at most this, so that searching takes less time than the clip lasts
CUT = 6.0  # of 255, mean change of a frame from the one before that may be a scene cut
CUT_RATIO = 4.0  # times the changes of the frames around it that it must be
AROUND = 4  # frames on either side that are those around
MAX_FACES = 4  # tracked at a time
NOSE_BOX = (-0.2, -0.25, 0.2, 0.12)  # left, top, right, bottom of the template from the center of the face, in widths
MAX_SHIFT = 0.12  # widths that a nose may move in a frame
MIN_CORRELATION = 0.5  # below, the nose is lost
RENEW_CORRELATION = 0.8  # below, the next detection renews the template
MAX_TEMPLATE_AGE = 250  # frames after which it does so anyhow, for heads turn and come nearer
MAX_MISSES = 4  # detections in a row without a face, after which it is given up
CENTER_SIGMA = 1.0  # frames, of the Gaussian that smooths centers
WIDTH_SIGMA = 12.0  # the same of widths
WIDTH_JITTER = 0.12  # change of the smoothed width, as a share of it, that is the detector's


class FaceBox(NamedTuple):
    """A face as detected."""

    x: float
    y: float
    width: float

    def matches(self, other: "FaceBox") -> bool:
        apart = max(abs(self.x - other.x), abs(self.y - other.y))
        return apart < 0.4 * other.width and 0.6 < self.width / other.width < 1.7


Detect = Callable[[Pixels, FaceBox | None], Sequence[FaceBox]]  # in a frame, anywhere or near a face


@dataclass
class NoseTemplate:
    """A template of a nose: where it was found, and detections meanwhile."""

    nose: Pixels
    frames: list[int] = field(default_factory=list)
    corners: list[tuple[float, float]] = field(default_factory=list)  # left and top of the nose in each frame
    detections: list[tuple[int, float, float, float]] = field(default_factory=list)  # frame, center from there, width
    correlation: float = 1.0

    def faces(self) -> Floats:
        """The face (T, 3) in these frames: its center by all detections, its width by the nearest."""
        numbers, *_, widths = np.array(self.detections).T
        _, x, y, _ = np.median(self.detections, axis=0)
        return np.column_stack([np.array(self.corners) + [x, y], np.interp(self.frames, numbers, widths)])


@dataclass
class Track:
    """One face through the video."""

    templates: list[NoseTemplate] = field(default_factory=list)
    lost: bool = True
    misses: int = 0
    hits: int = 0
    mouth: MouthMotion = field(default_factory=MouthMotion)

    def box(self) -> FaceBox:
        """Where it was last."""
        template = self.templates[-1]
        (left, top), (_, x, y, width) = template.corners[-1], template.detections[-1]
        return FaceBox(left + x, top + y, width)

    def detected(self, number: int, frame: Pixels, box: FaceBox) -> None:
        """Adds a detection, with a new template where the nose no longer correlates with it."""
        self.misses, self.hits = 0, self.hits + 1
        template = self.templates[-1] if self.templates else None
        if (
            template is None
            or self.lost
            or template.correlation < RENEW_CORRELATION
            or len(template.frames) > MAX_TEMPLATE_AGE
        ):
            height, width = frame.shape
            edges = np.array([box.x, box.y] * 2) + np.array(NOSE_BOX) * box.width
            left, top, right, bottom = np.clip(np.round(edges), 0, [width, height] * 2).astype(int)
            template = NoseTemplate(frame[top:bottom, left:right].copy())
            if self.templates and self.templates[-1].frames[-1] == number:  # a frame belongs to one template
                self.templates[-1].frames.pop()
                self.templates[-1].corners.pop()
            self.templates = [old for old in self.templates if old.frames] + [template]
            template.frames.append(number)
            template.corners.append((float(left), float(top)))
            self.lost = False
        left, top = template.corners[-1]
        template.detections.append((number, box.x - left, box.y - top, box.width))

    def follow(self, number: int, frame: Pixels) -> None:
        """Finds the nose near its last position, or loses it."""
        template = self.templates[-1]
        reach = max(4, round(MAX_SHIFT * template.detections[-1][3]))
        (height, width), (left, top) = template.nose.shape, template.corners[-1]
        x, y = max(0, round(left) - reach), max(0, round(top) - reach)
        window = frame[y : round(top) + height + reach, x : round(left) + width + reach]
        if min(window.shape[0] - height, window.shape[1] - width) < 0 or not template.nose.size:
            self.lost = True
            return
        scores = cv2.matchTemplate(window, template.nose, cv2.TM_CCOEFF_NORMED)
        _, template.correlation, _, (column, row) = cv2.minMaxLoc(scores)
        self.lost = not template.correlation >= MIN_CORRELATION
        if not self.lost:
            template.frames.append(number)
            template.corners.append(
                (x + column + subpixel_peak(scores[row], column), y + row + subpixel_peak(scores[:, column], row))
            )


def subpixel_peak(values: NDArray[Any], best: int) -> float:
    """From the largest value to the top of the parabola through it and its neighbors, -0.5 to 0.5."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = map(float, values[best - 1 : best + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend


def track_faces(
    frames: Iterable[Pixels], detect: Detect, to_gray: Callable[[Pixels], Pixels]
) -> tuple[list[Track], int]:
    """Every face that was tracked, and the number of frames; `to_gray` converts them for template matching."""
    tracks: list[Track] = []
    number, searched, pause = -1, -SEARCH_EVERY, SEARCH_EVERY_LOST
    for number, frame in enumerate(frames):
        gray = to_gray(frame)
        live = [face for face in tracks if face.misses < MAX_MISSES]
        for face in live:
            if not face.lost:
                face.follow(number, gray)
            if not face.lost:
                face.mouth.add(face.templates[-1], gray, face.templates[-1].corners[-1], face.box())
        if number - searched >= (SEARCH_EVERY if live else pause):
            searched, found = number, list(detect(frame, None))
            pause = SEARCH_EVERY_LOST if found or live else min(2 * pause, SEARCH_EVERY_EMPTY)
        elif number % DETECT_EVERY == 0:
            found = [box for face in live for box in detect(frame, face.box())]
        else:
            continue
        for face in live:
            box = next((box for box in found if box.matches(face.box())), None)
            if box is None:
                face.misses += 1
            else:
                face.detected(number, gray, box)
                found = [other for other in found if not other.matches(box)]
        if searched == number:
            for box in found[: MAX_FACES - len(live)]:
                tracks.append(Track())
                tracks[-1].detected(number, gray, box)
    return tracks, number + 1


class SceneCuts:
    """Scene cuts: frames that differ from the one before far more than those around them do."""

    def __init__(self) -> None:
        self.before: NDArray[np.float32] | None = None
        self.changes: list[float] = []  # of each frame from the one before

    def add(self, gray: Pixels) -> None:
        small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        self.changes.append(0.0 if self.before is None else float(np.abs(small - self.before).mean()))
        self.before = small

    def frames(self) -> list[int]:
        """Numbers of the frames with which a new scene begins."""
        found = []
        for number, change in enumerate(self.changes):
            around = self.changes[max(0, number - AROUND) : number] + self.changes[number + 1 : number + 1 + AROUND]
            if change > max(CUT, CUT_RATIO * max(around, default=0.0)):
                found.append(number)
        return found


class Talker(NamedTuple):
    """One face in every frame."""

    faces: Floats  # (T, 3)
    seen: float  # share of the frames in which it was found; between them it is interpolated
    others: int  # other faces of about its size
    beside: tuple[FaceBox, ...] = ()  # where these are
    motion: float | None = None  # of the mouth, where it can be told


def select_talker(tracks: Sequence[Track], frames: int, width: int, choose: str = "largest") -> Talker | None:
    """The talker among the tracked faces of a video, `width` pixels wide; None where no face was found twice.

    `choose`, one of CHOICES: the largest near the center; or of all that are there for half as long, and half as large,
    the leftmost or the rightmost in the picture.
    """
    needed = 2 if frames > DETECT_EVERY else 1
    ranked = sorted((face for face in tracks if face.hits >= needed), key=lambda face: -_weight(face, width))
    if not ranked:
        return None
    if choose != "largest":
        alike = [face for face in ranked if _is_rival(face, ranked[0])]
        chosen = (min if choose == "left" else max)(alike, key=_center)
        ranked = [chosen, *(face for face in ranked if face is not chosen)]
    faces_T3 = np.full((frames, 3), np.nan)
    first = ranked[0]
    beside: list[Track] = []
    ratios: list[float] = []
    for face in ranked:
        seen = [number for template in face.templates for number in template.frames]
        if not np.isnan(faces_T3[seen]).all():
            beside += [face] if _is_rival(face, first) else []
        elif 0.5 < _width(face) / _width(first) < 2:  # the first, and the same face found again
            for template in face.templates:
                faces_T3[template.frames] = template.faces()
            ratios += face.mouth.ratios
    known = ~np.isnan(faces_T3[:, 0])
    boxes = tuple(FaceBox(*np.median(np.concatenate([t.faces() for t in face.templates]), axis=0)) for face in beside)
    track_T3 = _smooth_track(faces_T3, known, _width(first))
    return Talker(track_T3, float(known.mean()), len(beside), boxes, motion(ratios))


def _is_rival(face: Track, other: Track) -> bool:
    """Whether a face might be taken in the place of another: there for half as long, and half as large."""
    return face.hits >= 0.5 * other.hits and _width(face) > 0.5 * _width(other)


def _center(face: Track) -> float:
    """Where it is from left to right."""
    return float(np.median(np.concatenate([template.faces()[:, 0] for template in face.templates])))


def _width(face: Track) -> float:
    return float(np.median([box[3] for template in face.templates for box in template.detections]))


def _weight(face: Track, width: int) -> float:
    return face.hits * _width(face) ** 2 * (1 - abs(_center(face) / width - 0.5))


def _smooth_track(faces_T3: Floats, known: NDArray[np.bool_], width: float) -> Floats:
    """Gaps interpolated, all smoothed; a constant width where it changes no more than the detector jitters."""
    numbers = np.arange(len(faces_T3))
    filled_T3 = np.column_stack([np.interp(numbers, numbers[known], column[known]) for column in faces_T3.T])
    x_T, y_T, widths_T = (
        gaussian_smooth(column, by)
        for column, by in zip(filled_T3.T, (CENTER_SIGMA, CENTER_SIGMA, WIDTH_SIGMA), strict=True)
    )
    if float(np.ptp(widths_T)) <= WIDTH_JITTER * width:
        widths_T = np.full(len(widths_T), width)
    return np.column_stack([x_T, y_T, widths_T])


def gaussian_smooth(values_T: Floats, deviation: float) -> Floats:
    """Gaussian smoothing; beyond both ends the values stay what they are there."""
    half = round(3 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / deviation) ** 2)
    return np.convolve(np.pad(values_T, half, mode="edge"), kernel / kernel.sum(), mode="valid")
