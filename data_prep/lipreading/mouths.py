"""Mouth crops: a video of a face to a steady clip of the mouth with its sound, shared by every lipreading corpus.

The crop is a square of 0.8 face widths about the mouth: 160 x 160 pixels in color, 25 frames a second. At 200 pixels
a face width, the middle 120 x 120 are the lower face that "Watch, Listen, Attend and Spell" reads (Chung et al. 2017,
section 4.1), and the middle 100 x 50 the mouth that LipNet reads (Assael et al. 2016, section 4.1). It holds still
where the head does, and else follows the head smoothly. Sound is 16,000 samples a second, 640 a frame, from the first
frame on.

A clip's note holds its source, the software, what was odd, and the crop's box: left, top, right and bottom in pixels
of the source, once where it holds still, else a frame.

T frames, H and W pixels.
"""

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from seqkit import __version__
from seqkit.data.clock import FRAME_RATE
from seqkit.data.container import Note, ignore
from seqkit.data.sound_track import read_sound, write_wav
from seqkit.data.video_file import read_frames, write_clip
from seqkit.data_prep.lipreading.faces import (
    Detect,
    FaceBox,
    Floats,
    Pixels,
    SceneCuts,
    Talker,
    select_talker,
    track_faces,
)
from seqkit.data_prep.lipreading.mouth_motion import MOVES
from seqkit.errors import InputError

CROP_SIZE = 160  # pixels of a side of a stored crop
SPAN = 0.8  # widths of the face that it shows
MOUTH_OFFSET = 0.30  # widths from the center of the face down to the mouth
STILL = 0.015  # widths that a face may move in a crop that holds still: 3 pixels of it
MIN_FRAMES = 5  # of a clip, as many as the kernels of a lipreader span
MIN_SEEN = 0.25  # share of the frames in which the face must be found
MAX_SIDE = 480  # pixels of the longer side of the frames in which faces are tracked
MIN_FACE = 24  # pixels of the smallest face that the cascade searches for
ENOUGH_PIXELS = 250  # of a face: larger ones are read at a fraction of their size, as resampling needs
MOST_SCENES = 5  # that a remark names
STILL_MOUTH = "the mouth does not move as that of a talker: a picture or pattern, or nobody who speaks"
DETECTORS = ("cascade", "mediapipe")


class Unusable(InputError):
    """A video of which no clip can be made; `reason` names why in statistics."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason

    def __reduce__(self) -> tuple[type["Unusable"], tuple[str, str]]:
        return Unusable, (self.reason, str(self))


def crop(
    source: Path, video: Path, audio: Path, *, detector: str = "cascade", note: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Writes the talker's mouth in `source` to `video` (.mp4) and the sound to `audio` (.wav); returns the note.

    `note` is added to it; its keys `frames`, `sound` and `remarks` tell of the clip. The video is written last, so
    that one that is there is whole, its sound too. Raises Unusable for a video that is too short (short), shows no
    face (no_face) or breaks its decoder (undecodable), InputError for what is no video or a detector not installed.
    """
    remarks: list[str] = []
    with damage_told(source):
        frames, face = find_talker(source, detector, remarks.append)
        boxes_T4 = crop_boxes(check_usable(source, frames, face, remarks.append))
        sound = write_wav(audio, read_sound(source, note=remarks.append), frames)
        told = {**(note or {}), **clip_note(source, frames, sound, boxes_T4, remarks, detector)}
        write_clip(video, crops(source, boxes_T4), told)
    return told


def clip_note(
    source: Path, frames: int, sound: bool, boxes_T4: Floats, remarks: Sequence[str], detector: str
) -> dict[str, Any]:
    """The note of a mouth clip."""
    still = bool((boxes_T4 == boxes_T4[0]).all())
    return {
        "source": source.name,
        "frames": frames,
        "sound": sound,
        "remarks": list(remarks),
        "software": {"seqkit": __version__, "detector": detector, "opencv": cv2.__version__, "av": av.__version__},
        "span": SPAN,
        "boxes": np.round(boxes_T4[:1] if still else boxes_T4, 1).tolist(),
    }


@contextmanager
def damage_told(source: Path) -> Iterator[None]:
    """Errors of a decoder as Unusable (undecodable), with the name of the source."""
    try:
        yield
    except InputError:
        raise
    except (av.FFmpegError, cv2.error, ValueError, MemoryError, OverflowError) as error:
        fault = f"{source}: must be a video that can be decoded, got damage ({error}); fetch it again"
        raise Unusable("undecodable", fault) from None


def check_usable(source: Path, frames: int, face: Talker | None, note: Note, choose: str = "largest") -> Talker:
    """The talker, where the video is long enough and shows the face in enough frames. Raises Unusable otherwise."""
    if frames < MIN_FRAMES:
        raise Unusable("short", f"{source}: must have at least {MIN_FRAMES} frames at 25 a second, got {frames}")
    if face is None or face.seen < MIN_SEEN:
        seen = f"one in {0.0 if face is None else face.seen:.0%} of its {frames} frames"
        advice = "film the talker facing the camera, with light on the face"
        raise Unusable("no_face", f"{source}: must show a face from the front, got {seen}; {advice}")
    for remark in face_remarks(face.seen, face.others, face.motion, choose):
        note(remark)
    return face


def face_remarks(seen: float, others: int, motion: float | None, choose: str = "largest") -> Iterator[str]:
    """What is odd about a talker that was seen in such a share of the frames, beside others, with such a mouth."""
    if seen < 0.9:
        yield f"a face in {seen:.0%} of the frames alone"
    if others:
        taken = "largest near the center" if choose == "largest" else f"one on the {choose}"
        yield f"{others + 1} faces, of which the {taken} was taken"
    if motion is not None and motion < MOVES:
        yield STILL_MOUTH


def find_talker(source: Path, detector: str = "cascade", note: Note = ignore) -> tuple[int, Talker | None]:
    """The number of frames at 25 a second, and the talker's face in pixels of the source, if there is one."""
    tracking = Tracking(source, detector, note)
    return tracking.talker(tracking.frames(), note)


@dataclass
class Tracking:
    """How faces are found in a video: in reduced frames, by a detector."""

    source: Path
    detector: str = "cascade"
    note: Note = ignore
    choose: str = "largest"  # of several faces, one of `faces.CHOICES`
    scale: float = 1.0  # pixels of the source a pixel of the frames, known from the first frame on

    def _size(self, rows: int, columns: int) -> tuple[int, int]:
        self.scale = max(rows, columns) / max(reduced(rows, columns))
        return reduced(rows, columns)

    def frames(self) -> Iterator[Pixels]:
        """The reduced frames, 25 a second, in the layout of the detector."""
        return read_frames(self.source, layout=make_detector(self.detector)[0], size=self._size, note=self.note)

    def talker(self, frames: Iterator[Pixels], note: Note, begin: float = 0.0) -> tuple[int, Talker | None]:
        """The number of some of its frames, the first at second `begin` of the file, and the talker's face in them in
        pixels of the source, if there is one."""
        width, cuts = 0, SceneCuts()
        _, to_gray, detect = make_detector(self.detector)

        def noting_width() -> Iterator[Pixels]:
            nonlocal width
            for frame in frames:
                width = frame.shape[1]
                cuts.add(to_gray(frame))
                yield frame

        tracks, number = track_faces(noting_width(), detect, to_gray)
        if scenes := [f"{begin + place / FRAME_RATE:.2f}" for place in cuts.frames()]:
            note(f"the scene changes at second {', '.join(scenes[:MOST_SCENES])}; cut the file there")
        face = select_talker(tracks, number, width, self.choose)
        if face is None:
            return number, None
        beside = tuple(FaceBox(*(self.scale * value for value in box)) for box in face.beside)
        return number, face._replace(faces=face.faces * self.scale, beside=beside)


def reduced(rows: int, columns: int) -> tuple[int, int]:
    """Height and width of the frames in which faces are tracked."""
    factor = min(1.0, MAX_SIDE / max(rows, columns))
    return max(1, round(factor * rows)), max(1, round(factor * columns))


def crop_boxes(face: Talker) -> Floats:
    """The crop (T, 4) of every frame; one constant crop where the face stays within `STILL` of its center."""
    x_T, y_T, width_T = face.faces.T
    limit = STILL * float(np.median(width_T))
    if np.ptp(width_T) == 0 and max(np.ptp(x_T), np.ptp(y_T)) <= limit:
        x_T, y_T = (np.full(len(x_T), (column.min() + column.max()) / 2) for column in (x_T, y_T))
    half_T = SPAN / 2 * width_T
    center_T = y_T + MOUTH_OFFSET * width_T
    return np.column_stack([x_T - half_T, center_T - half_T, x_T + half_T, center_T + half_T])


def crops(source: Path, boxes_T4: Floats) -> Iterator[Pixels]:
    """The crop (H, W, 3) of every frame, in BGR; outside the frame its edge is repeated."""
    shrink = shrinkage(boxes_T4)
    return crop_frames(shrunk_frames(source, shrink), boxes_T4, shrink)


def shrinkage(boxes_T4: Floats) -> int:
    """By how much frames may be reduced before they are cropped."""
    return max(1, int((boxes_T4[:, 2] - boxes_T4[:, 0]).min() / SPAN / ENOUGH_PIXELS))


def shrunk_frames(source: Path, shrink: int) -> Iterator[Pixels]:
    """The frames (H, W, 3) of a video, in BGR, reduced so many times."""
    return read_frames(source, layout="bgr24", size=lambda rows, columns: (rows // shrink, columns // shrink))


def crop_frames(frames: Iterator[Pixels], boxes_T4: Floats, shrink: int) -> Iterator[Pixels]:
    """The crop (H, W, 3) of as many frames as there are boxes, in pixels of the source."""
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for (left, top, right, _), pixels in zip(boxes_T4 / shrink, frames, strict=False):
        scale = (right - left) / CROP_SIZE
        corner = 0.5 * scale - 0.5  # of the first pixel's center from the crop's edge
        matrix = np.array([[scale, 0, left + corner], [0, scale, top + corner]])
        size = (CROP_SIZE, CROP_SIZE)
        yield cv2.warpAffine(pixels, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE).astype(
            np.uint8, copy=False
        )


def make_detector(name: str) -> tuple[str, Callable[[Pixels], Pixels], Detect]:
    """The pixel layout that a detector takes, a function from it to gray, and the detector."""
    if name not in DETECTORS:
        raise InputError(f"--detector must be one of {', '.join(DETECTORS)}, got {name}")
    if name == "cascade":
        return "gray", lambda frame: frame, cascade()
    return "rgb24", lambda frame: cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False), landmarks()


@functools.cache
def cascade() -> Detect:
    """OpenCV's detector of faces from the front; near a known face it is asked for one of that size alone."""
    cv2.setNumThreads(1)  # the processes of a preparation fill the machine
    classifier = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"))

    def scan(frame: Pixels, step: float, least: int, most: int, scale: int) -> list[FaceBox]:
        if min(frame.shape) < scale * MIN_FACE:
            return []
        size = (frame.shape[1] // scale, frame.shape[0] // scale)
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale > 1 else frame
        found = classifier.detectMultiScale(small, step, 4, minSize=(least, least), maxSize=(most, most))
        return [FaceBox(*(scale * float(v) for v in (x + w / 2, y + w / 2, w))) for x, y, w, _ in found]

    def detect(frame: Pixels, near: FaceBox | None) -> list[FaceBox]:
        if near is None:
            return scan(frame, 1.1, MIN_FACE, 10_000, 2) or scan(frame, 1.1, MIN_FACE, 2 * MIN_FACE, 1)
        left, top = (max(0, int(center - 0.8 * near.width)) for center in (near.x, near.y))
        part = frame[top : int(near.y + 0.8 * near.width), left : int(near.x + 0.8 * near.width)]
        scale = 2 if near.width > 4 * MIN_FACE else 1
        found = scan(part, 1.05, int(0.85 * near.width / scale), int(1.18 * near.width / scale), scale)
        return [FaceBox(left + box.x, top + box.y, box.width) for box in found]

    return detect


@functools.cache
def landmarks() -> Detect:
    """MediaPipe's face mesh, where it is installed, in the measure of the cascade: 1.99 widths of the outer eyes."""
    try:
        FaceMesh = importlib.import_module("mediapipe.python.solutions.face_mesh").FaceMesh
    except (ImportError, AttributeError):
        raise InputError('--detector mediapipe must find it, got none: pip install "seqkit[landmarks]"') from None
    mesh = FaceMesh(static_image_mode=True, max_num_faces=4)

    def detect(frame: Pixels, near: FaceBox | None) -> list[FaceBox]:
        rows, columns = frame.shape[:2]
        boxes = []
        for face in mesh.process(frame).multi_face_landmarks or ():
            eyes, corners = (
                np.array([(face.landmark[i].x * columns, face.landmark[i].y * rows) for i in pair])
                for pair in ((33, 263), (61, 291))
            )
            width = 1.99 * float(np.hypot(*(eyes[0] - eyes[1])))
            x, y = corners.mean(axis=0)
            boxes.append(FaceBox(float(x), float(y) - MOUTH_OFFSET * width, width))
        return boxes

    return detect
