"""A face's video to a steady clip of the mouth, with its sound beside it: what every lipreading corpus shares.

The crop is a square of 0.8 face widths about the mouth: 160 x 160 pixels in colour, 25 frames a second. At 200 pixels
a face width, the middle 120 x 120 are the lower face that "Watch, Listen, Attend and Spell" reads (Chung et al. 2017,
section 4.1), and the middle 100 x 50 the mouth that LipNet reads (Assael et al. 2016, section 4.1). It holds still
where the head does, and else follows the head smoothly. Sound is 16,000 samples a second, 640 a frame, from the first
frame on.

A clip's note holds its source, the software, what was odd, and the crop's box: left, top, right and bottom in pixels
of the source, once where it holds still, else a frame.

T frames, H and W pixels.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from seqkit import __version__
from seqkit.data.files import atomic_write
from seqkit.data.video_file import Note, ignore, read_clip, read_frames, read_sound, write_clip, write_wav
from seqkit.data_prep.lipreading.faces import Detect, FaceBox, Floats, Pixels, Talker, talker, track
from seqkit.errors import InputError

SIDE = 160  # pixels of a stored crop
SPAN = 0.8  # widths of the face that it shows
BELOW = 0.30  # widths from the centre of the face down to the mouth
STILL = 0.015  # widths that a face may move in a crop that holds still: 3 pixels of it
LEAST = 5  # frames of a clip, as many as a lipreader takes at a time
SEEN = 0.25  # part of the frames in which the face must be found
WIDEST = 480  # pixels of the longer side of the pictures in which faces are followed
SMALLEST = 24  # pixels of a face that the cascade is asked for
PLENTY = 250  # pixels of a face, of which more than twice would be too many to resample well
DETECTORS = ("cascade", "mediapipe")


class Unusable(InputError):
    """A video without what a clip needs; `reason` names it in statistics."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def crop(
    source: Path, video: Path, audio: Path, *, detector: str = "cascade", note: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Writes the mouth of the talker in `source` to `video` (.mp4), the sound to `audio` (.wav), and returns the note.

    `note` is added to it; its keys `frames`, `sound` and `remarks` tell of the clip. The video is written last, so
    that one that is there is whole, its sound too. Raises Unusable for a video that is too short (short), shows no
    face (no_face) or breaks its decoder (undecodable), InputError for what is no video or a detector not installed.
    """
    remarks: list[str] = []
    try:
        frames, face = find_talker(source, detector, remarks.append)
        boxes_T4 = crop_boxes(check_usable(source, frames, face, remarks.append))
        sound = write_wav(audio, read_sound(source, note=remarks.append), frames)
        still = bool((boxes_T4 == boxes_T4[0]).all())
        told = {
            **(note or {}),
            "source": source.name,
            "frames": frames,
            "sound": sound,
            "remarks": remarks,
            "software": {"seqkit": __version__, "detector": detector, "opencv": cv2.__version__, "av": av.__version__},
            "span": SPAN,
            "boxes": np.round(boxes_T4[:1] if still else boxes_T4, 1).tolist(),
        }
        write_clip(video, crops(source, boxes_T4), told)
    except (av.FFmpegError, cv2.error) as error:
        fault = f"{source}: must be a video that can be decoded, got damage ({error}); fetch it again"
        raise Unusable("undecodable", fault) from None
    return told


def check_usable(source: Path, frames: int, face: Talker | None, note: Note) -> Talker:
    """The talker, if seen for long enough in a video that is long enough."""
    if frames < LEAST:
        raise Unusable("short", f"{source}: must have at least {LEAST} frames at 25 a second, got {frames}")
    if face is None or face.seen < SEEN:
        part = 0.0 if face is None else face.seen
        raise Unusable(
            "no_face",
            f"{source}: must show a face from the front, got one in {part:.0%} of its "
            f"{frames} frames; film the talker facing the camera, with light on the face",
        )
    if face.seen < 0.9:
        note(f"a face in {face.seen:.0%} of the frames alone")
    if face.others:
        note(f"{face.others + 1} faces, of which the largest near the middle was taken")
    return face


def find_talker(source: Path, detector: str = "cascade", note: Note = ignore) -> tuple[int, Talker | None]:
    """The number of frames at 25 a second, and the talker's face in pixels of the source, if there is one."""
    sides, width = (1, 1), 0

    def size(rows: int, columns: int) -> tuple[int, int]:
        nonlocal sides
        sides = max(rows, columns), max(reduced(rows, columns))
        return reduced(rows, columns)

    def seen(pictures: Iterator[Pixels]) -> Iterator[Pixels]:
        nonlocal width
        for picture in pictures:
            width = picture.shape[1]
            yield picture

    layout, grey, detect = make_detector(detector)
    tracks, frames = track(seen(read_frames(source, layout=layout, size=size, note=note)), detect, grey)
    face = talker(tracks, frames, width)
    return frames, face and face._replace(faces=face.faces * (sides[0] / sides[1]))


def reduced(rows: int, columns: int) -> tuple[int, int]:
    """Height and width of the pictures in which faces are looked for."""
    factor = min(1.0, WIDEST / max(rows, columns))
    return max(1, round(factor * rows)), max(1, round(factor * columns))


def crop_boxes(face: Talker) -> Floats:
    """The crop (T, 4) of every frame; the same of all where the face stays within `STILL` of its middle."""
    x_T, y_T, width_T = face.faces.T
    limit = STILL * float(np.median(width_T))
    if np.ptp(width_T) == 0 and max(np.ptp(x_T), np.ptp(y_T)) <= limit:
        x_T, y_T = (np.full(len(x_T), (column.min() + column.max()) / 2) for column in (x_T, y_T))
    half_T = SPAN / 2 * width_T
    middle_T = y_T + BELOW * width_T
    return np.column_stack([x_T - half_T, middle_T - half_T, x_T + half_T, middle_T + half_T])


def crops(source: Path, boxes_T4: Floats) -> Iterator[Pixels]:
    """The crop (H, W, 3) of every frame, blue first; what lies outside the frame is as its edge."""
    shrink = max(1, int((boxes_T4[:, 2] - boxes_T4[:, 0]).min() / SPAN / PLENTY))

    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frames = read_frames(source, layout="bgr24", size=lambda rows, columns: (rows // shrink, columns // shrink))
    for pixels, (left, top, right, _) in zip(frames, boxes_T4 / shrink, strict=False):
        scale = (right - left) / SIDE
        corner = 0.5 * scale - 0.5  # of the first pixel's middle from the crop's edge
        matrix = np.array([[scale, 0, left + corner], [0, scale, top + corner]])
        yield cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)


def make_detector(name: str) -> tuple[str, Callable[[Pixels], Pixels], Detect]:
    """The layout of the pictures that it takes, how they become grey, and what finds faces in them."""
    if name not in DETECTORS:
        raise InputError(f"--detector must be one of {', '.join(DETECTORS)}, got {name}")
    if name == "cascade":
        return "gray", lambda picture: picture, cascade()
    return "rgb24", lambda picture: cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False), landmarks()


@functools.cache
def cascade() -> Detect:
    """OpenCV's detector of faces from the front; near a known face it is asked for one of that size alone."""
    cv2.setNumThreads(1)  # the processes of a preparation fill the machine
    classifier = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"))

    def scan(picture: Pixels, step: float, least: int, most: int, scale: int) -> list[FaceBox]:
        if min(picture.shape) < scale * SMALLEST:
            return []
        size = (picture.shape[1] // scale, picture.shape[0] // scale)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale > 1 else picture
        found = classifier.detectMultiScale(small, step, 4, minSize=(least, least), maxSize=(most, most))
        return [FaceBox(*(scale * float(v) for v in (x + w / 2, y + w / 2, w))) for x, y, w, _ in found]

    def detect(picture: Pixels, near: FaceBox | None) -> list[FaceBox]:
        if near is None:
            return scan(picture, 1.1, SMALLEST, 10_000, 2) or scan(picture, 1.1, SMALLEST, 2 * SMALLEST, 1)
        left, top = (max(0, int(middle - 0.8 * near.width)) for middle in (near.x, near.y))
        part = picture[top : int(near.y + 0.8 * near.width), left : int(near.x + 0.8 * near.width)]
        scale = 2 if near.width > 4 * SMALLEST else 1
        found = scan(part, 1.05, int(0.85 * near.width / scale), int(1.18 * near.width / scale), scale)
        return [FaceBox(left + spot.x, top + spot.y, spot.width) for spot in found]

    return detect


@functools.cache
def landmarks() -> Detect:
    """MediaPipe's face mesh, where it is installed, in the measure of the cascade: 1.99 widths of the outer eyes."""
    try:
        from mediapipe.python.solutions.face_mesh import FaceMesh
    except (ImportError, AttributeError):
        raise InputError('--detector mediapipe must find it, got none: pip install "seqkit[landmarks]"') from None
    mesh = FaceMesh(static_image_mode=True, max_num_faces=4)

    def detect(picture: Pixels, near: FaceBox | None) -> list[FaceBox]:
        rows, columns = picture.shape[:2]
        spots = []
        for face in mesh.process(picture).multi_face_landmarks or ():
            eyes, corners = (
                np.array([(face.landmark[i].x * columns, face.landmark[i].y * rows) for i in pair])
                for pair in ((33, 263), (61, 291))
            )
            width = 1.99 * float(np.hypot(*(eyes[0] - eyes[1])))
            x, y = corners.mean(axis=0)
            spots.append(FaceBox(float(x), float(y) - BELOW * width, width))
        return spots

    return detect


def contact_sheet(path: Path, clips: Sequence[tuple[str, Path]], *, frames: int = 5) -> None:
    """A JPEG with a row of frames, evenly over its length, for each titled clip; the first shows the two cuts."""
    rows = []
    for title, clip in clips:
        pixels_THW3 = read_clip(clip)[:, :, :, ::-1]
        row = [np.ascontiguousarray(pixels_THW3[i]) for i in np.linspace(0, len(pixels_THW3) - 1, frames).astype(int)]
        for height, width in ((120, 120), (50, 100)):
            corner = ((SIDE - width) // 2, (SIDE - height) // 2)
            cv2.rectangle(row[0], corner, (SIDE - 1 - corner[0], SIDE - 1 - corner[1]), (255, 255, 255), 1)
        cv2.putText(row[0], title, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1, cv2.LINE_AA)
        rows.append(np.hstack(row))
    columns = 1 if len(rows) < 4 else 2
    rows += [np.zeros_like(rows[0])] * (-len(rows) % columns)
    sheet = np.hstack([np.vstack(rows[column::columns]) for column in range(columns)])
    with atomic_write(path) as file:
        file.write(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
