"""Where the talker's face is in every frame of a video: faces detected now and then, a nose followed in between.

OpenCV's frontal-face cascade (Viola and Jones 2001) says where faces are, give or take some pixels. Between detections
the nose is found again by normalised cross-correlation, to a fraction of a pixel, and a face's size and its place
about the nose are medians over its detections: so the detector's trembling does not reach the crops.

Of several faces the talker's is the one that is large, near the middle, and there for long.

x to the right, y down, in pixels; a face is the cascade's box: centre x, centre y and width, which is its height too.
T frames.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

EVERY = 10  # frames from one detection to the next, near where faces were
AFRESH = 75  # frames from one search of the whole picture to the next
AGAIN = 5  # the same while no face is known
FACES = 4  # followed at a time
NOSE = (-0.2, -0.25, 0.2, 0.12)  # left, top, right, bottom of its picture from the centre of the face, in widths
REACH = 0.12  # widths that a nose may move in a frame
ALIKE = 0.5  # correlation below which the nose is lost
FRESH = 0.8  # correlation below which the next detection renews the picture of the nose
LONG = 250  # frames after which it does so anyhow, for heads turn and come nearer
MISSES = 4  # detections in a row without a face, after which it is given up
SMOOTH = 1.0  # frames, the deviation of the Gaussian that smooths places
SLOW = 12.0  # the same of widths
TREMBLE = 0.12  # change of the smoothed width, as a part of it, that is the detector's


class FaceBox(NamedTuple):
    """A face as detected."""

    x: float
    y: float
    width: float

    def near(self, other: "FaceBox") -> bool:
        apart = max(abs(self.x - other.x), abs(self.y - other.y))
        return apart < 0.4 * other.width and 0.6 < self.width / other.width < 1.7


Detect = Callable[[Pixels, FaceBox | None], Sequence[FaceBox]]  # in a picture, anywhere or near a face


@dataclass
class NoseTemplate:
    """One picture of a nose: where it was seen, and detections meanwhile."""

    nose: Pixels
    frames: list[int] = field(default_factory=list)
    corners: list[tuple[float, float]] = field(default_factory=list)  # left and top of the nose, a frame
    spots: list[tuple[int, float, float, float]] = field(default_factory=list)  # frame, centre from there, width
    alike: float = 1.0

    def faces(self) -> Floats:
        """The face (T, 3) in the frames of this look: its place by all detections, its width by the nearest."""
        numbers, *_, widths = np.array(self.spots).T
        _, x, y, _ = np.median(self.spots, axis=0)
        return np.column_stack([np.array(self.corners) + [x, y], np.interp(self.frames, numbers, widths)])


@dataclass
class Track:
    """One face through the video."""

    looks: list[NoseTemplate] = field(default_factory=list)
    lost: bool = True
    misses: int = 0
    hits: int = 0

    def spot(self) -> FaceBox:
        """Where it was last."""
        look = self.looks[-1]
        (left, top), (_, x, y, width) = look.corners[-1], look.spots[-1]
        return FaceBox(left + x, top + y, width)

    def detected(self, number: int, picture: Pixels, spot: FaceBox) -> None:
        """Takes note of a detection, with a new look where the nose is no longer as it was."""
        self.misses, self.hits = 0, self.hits + 1
        look = self.looks[-1] if self.looks else None
        if look is None or self.lost or look.alike < FRESH or len(look.frames) > LONG:
            height, width = picture.shape
            edges = np.array([spot.x, spot.y] * 2) + np.array(NOSE) * spot.width
            left, top, right, bottom = np.clip(np.round(edges), 0, [width, height] * 2).astype(int)
            look = NoseTemplate(picture[top:bottom, left:right].copy())
            if self.looks and self.looks[-1].frames[-1] == number:  # a frame belongs to one look
                self.looks[-1].frames.pop()
                self.looks[-1].corners.pop()
            self.looks = [old for old in self.looks if old.frames] + [look]
            look.frames.append(number)
            look.corners.append((float(left), float(top)))
            self.lost = False
        left, top = look.corners[-1]
        look.spots.append((number, spot.x - left, spot.y - top, spot.width))

    def follow(self, number: int, picture: Pixels) -> None:
        """Finds the nose near where it was, or loses it."""
        look = self.looks[-1]
        reach = max(4, round(REACH * look.spots[-1][3]))
        (height, width), (left, top) = look.nose.shape, look.corners[-1]
        x, y = max(0, round(left) - reach), max(0, round(top) - reach)
        window = picture[y : round(top) + height + reach, x : round(left) + width + reach]
        if min(window.shape[0] - height, window.shape[1] - width) < 0 or not look.nose.size:
            self.lost = True
            return
        scores = cv2.matchTemplate(window, look.nose, cv2.TM_CCOEFF_NORMED)
        _, look.alike, _, (column, row) = cv2.minMaxLoc(scores)
        self.lost = not look.alike >= ALIKE
        if not self.lost:
            look.frames.append(number)
            look.corners.append((x + column + peak(scores[row], column), y + row + peak(scores[:, column], row)))


def peak(values: NDArray[np.float32], best: int) -> float:
    """From the largest value to the top of the parabola through it and its neighbours, -0.5 to 0.5."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = map(float, values[best - 1 : best + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend


def track(pictures: Iterable[Pixels], detect: Detect, grey: Callable[[Pixels], Pixels]) -> tuple[list[Track], int]:
    """Every face that was followed, and the number of pictures; `grayscale` makes of them what noses are found in."""
    tracks: list[Track] = []
    number, searched = -1, -AFRESH
    for number, picture in enumerate(pictures):
        plain = grey(picture)
        live = [face for face in tracks if face.misses < MISSES]
        for face in live:
            if not face.lost:
                face.follow(number, plain)
        if number - searched >= (AFRESH if live else AGAIN):
            searched, found = number, list(detect(picture, None))
        elif number % EVERY == 0:
            found = [spot for face in live for spot in detect(picture, face.spot())]
        else:
            continue
        for face in live:
            spot = next((spot for spot in found if spot.near(face.spot())), None)
            if spot is None:
                face.misses += 1
            else:
                face.detected(number, plain, spot)
                found = [other for other in found if not other.near(spot)]
        if searched == number:
            for spot in found[: FACES - len(live)]:
                tracks.append(Track())
                tracks[-1].detected(number, plain, spot)
    return tracks, number + 1


class Talker(NamedTuple):
    """One face in every frame."""

    faces: Floats  # (T, 3)
    seen: float  # part of the frames in which it was found; between them it is interpolated
    others: int  # other faces of about its size


def talker(tracks: Sequence[Track], frames: int, width: int) -> Talker | None:
    """The talker of a video of so many frames of that width; None where no face was found twice."""
    needed = 2 if frames > EVERY else 1
    ranked = sorted((face for face in tracks if face.hits >= needed), key=lambda face: -_weight(face, width))
    if not ranked:
        return None
    faces_T3 = np.full((frames, 3), np.nan)
    first, others = ranked[0], 0
    for face in ranked:
        seen = [number for look in face.looks for number in look.frames]
        if not np.isnan(faces_T3[seen]).all():
            others += face.hits >= 0.5 * first.hits and _width(face) > 0.5 * _width(first)
        elif 0.5 < _width(face) / _width(first) < 2:  # the first, and the same face found again
            for look in face.looks:
                faces_T3[look.frames] = look.faces()
    known = ~np.isnan(faces_T3[:, 0])
    return Talker(_steady(faces_T3, known, _width(first)), float(known.mean()), others)


def _width(face: Track) -> float:
    return float(np.median([spot[3] for look in face.looks for spot in look.spots]))


def _weight(face: Track, width: int) -> float:
    x = float(np.median(np.concatenate([look.faces()[:, 0] for look in face.looks])))
    return face.hits * _width(face) ** 2 * (1 - abs(x / width - 0.5))


def _steady(faces_T3: Floats, known: NDArray[np.bool_], width: float) -> Floats:
    """Gaps filled in by straight lines, all smoothed; one width where it changes no more than the detector errs."""
    numbers = np.arange(len(faces_T3))
    filled_T3 = np.column_stack([np.interp(numbers, numbers[known], column[known]) for column in faces_T3.T])
    x_T, y_T, widths_T = (smooth(column, by) for column, by in zip(filled_T3.T, (SMOOTH, SMOOTH, SLOW), strict=True))
    if float(np.ptp(widths_T)) <= TREMBLE * width:
        widths_T = np.full(len(widths_T), width)
    return np.column_stack([x_T, y_T, widths_T])


def smooth(values_T: Floats, deviation: float) -> Floats:
    """Gaussian smoothing; beyond both ends the values stay what they are there."""
    half = round(3 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / deviation) ** 2)
    return np.convolve(np.pad(values_T, half, mode="edge"), kernel / kernel.sum(), mode="valid")
