"""Video files: frames as a player shows them, and clips stored as JPEG frames that load fast.

Video is resampled to 25 frames/s, beginning with the first frame: each output frame is the one nearest by time stamp,
whatever the file's own rate. Frames are turned and mirrored as the file says, their pixels made square, and all of them
brought to the size of the first. Everything streams: memory does not grow with the length of a file.

A stored clip is an .mp4 of JPEG frames (MJPEG, which players show) with a note in JSON as its comment. Any frame can
be read alone, and all of them decode faster than H.264 does, for six times its bytes.

T frames, H and W pixels.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from seqkit.data.clock import FRAME_RATE
from seqkit.data.container import Note, first_stream, ignore, opened, start_offset, timed_frames, video_stream
from seqkit.data.files import atomic_write, strict_json
from seqkit.errors import InputError

Pixels = NDArray[np.uint8]
Size = Callable[[int, int], tuple[int, int]]
X = TypeVar("X")

QUALITY = 85  # of JPEG
CLIP = "seqkit_clip"  # key of our own note among comments
PAUSE = 0.31  # seconds from one frame to the next, beyond which the first of them stays
WIDEST = 8.0  # times as wide as high, or the reverse, that a pixel may be


def read_frames(
    path: Path, *, layout: str = "rgb24", size: Size | None = None, note: Note = ignore
) -> Iterator[Pixels]:
    """Yields upright frames at 25 frames/s: (H, W, 3) for rgb24 and bgr24, (H, W) for gray.

    `size` gives the (height, width) to make of the file's own. `note` hears of damage: of a file that is cut off come
    the frames before the cut. Raises InputError, naming the file, where no video can be decoded.
    """
    with opened(path) as container:
        shape, reformat = None, VideoReformatter().reformat  # one for all: it keeps its tables
        for frame in at_frame_rate(timed_frames(container, path, note)):
            if shape is None:
                shape, own = square_size(frame, video_stream(container, path)), (frame.height, frame.width)
                shape = size(*shape) if size else shape
                if frame.interlaced_frame:
                    note("the video is interlaced: moving lips show as combs; deinterlace it")
            elif own != (frame.height, frame.width):
                own = frame.height, frame.width
                note(f"the size of the picture changes to {frame.width} x {frame.height}")
            picture = reformat(frame, shape[1], shape[0], layout, interpolation="AREA", threads=1)
            yield np.ascontiguousarray(upright(picture.to_ndarray(), display_matrix(frame)), np.uint8)
    if shape is None:
        raise InputError(f"{path}: must hold a video, got no frame that can be decoded; fetch the file again")


def square_size(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    """Height and width of a frame, as stored, whose pixels are made square."""
    aspect = float(stream.sample_aspect_ratio or 1)
    wide = aspect if 1 / WIDEST <= aspect <= WIDEST else 1.0
    return frame.height, max(1, round(frame.width * wide))


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """a, b, c, d of the matrix that maps a stored frame to the shown one: x' = a x + c y, y' = b x + d y."""
    given: Any = frame.side_data.get("DISPLAYMATRIX")
    values = np.frombuffer(given, np.int32) if given is not None else np.zeros(0, np.int32)
    if len(values) < 9:
        return 1, 0, 0, 1
    a, b, _, c, d = values[:5].tolist()
    return a, b, c, d


def upright(pixels: NDArray[Any], matrix: tuple[int, int, int, int]) -> NDArray[Any]:
    """A stored frame (H, W, ...) as players show it: in one of eight orientations, the nearest to `matrix`."""
    a, b, c, d = matrix
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    pixels = pixels.swapaxes(0, 1) if turned else pixels
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def at_frame_rate(timed: Iterable[tuple[float, float, X]]) -> Iterator[X]:
    """Resamples (time, duration, value) to 25 values/s, beginning with the first: the nearest in time, but through a
    pause longer than PAUSE the last one before it."""
    begin, number = 0.0, 0
    last: tuple[float, float, X] | None = None
    for here in timed:
        begin = here[0] if last is None else begin
        gap = here[0] - last[0] if last is not None else 0.0
        due = here[0] - (gap / 2 if gap < PAUSE else 0.5 / FRAME_RATE)
        while last is not None and begin + number / FRAME_RATE < due:
            yield last[2]
            number += 1
        last = here
    while last is not None and (number == 0 or begin + (number + 0.5) / FRAME_RATE <= last[0] + last[1]):
        yield last[2]
        number += 1


def write_clip(path: Path, frames: Iterable[Pixels], note: Mapping[str, Any]) -> int:
    """Writes frames (H, W, 3) in BGR order, all of one size, with a note of our own; returns their number."""
    number = 0
    with atomic_write(path) as file, av.open(file, "w", "mp4") as container:
        container.metadata["comment"] = json.dumps({CLIP: note})
        stream = None
        for pixels in frames:
            if stream is None:
                stream = container.add_stream("mjpeg", rate=FRAME_RATE)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuvj420p"
            packet = av.Packet(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, FRAME_RATE), True
            packet.pts = packet.dts = number
            packet.duration = 1
            container.mux(packet)
            number += 1
        if not number:
            raise ValueError(f"{path}: `frames` must hold at least one, got none")
    return number


def read_clip(path: Path, *, start: float = 0.0, end: float | None = None, grayscale: bool = False) -> Pixels:
    """Reads frames (T, H, W, 3) in RGB order, or grayscale (T, H, W), from second `start` to `end` of the file's clock,
    at least one.

    Reads stored clips fast and any other video too. Raises InputError, naming the file, for one that cannot be decoded
    or has no frame in the cut.
    """
    begin = frame_zero(path) if start or end is not None else 0.0
    first, count = cut_frames(start - begin, None if end is None else end - begin)
    with opened(path) as container:
        stored = own_note(container) is not None and as_written(video_stream(container, path))
        frames = list(_pictures(container, path, first, count, grayscale)) if stored else []
    if not stored:
        layout, stop = "gray" if grayscale else "rgb24", None if count is None else first + count
        frames = list(itertools.islice(read_frames(path, layout=layout), first, stop))
    if not frames:
        raise InputError(f"{path}: must have frames after second {start:g}, got none; correct `start` of its item")
    return np.stack(frames)


def as_written(stream: av.VideoStream) -> bool:
    """Whether a stream is as `write_clip` writes them; editors keep the comment of what they change."""
    return stream.codec_context.name == "mjpeg" and stream.average_rate == FRAME_RATE


def cut_frames(start: float, end: float | None) -> tuple[int, int | None]:
    """The first frame of a cut and their number, at least one; None for all. Times from the first frame on."""
    first = max(0, round(start * FRAME_RATE))
    return first, None if end is None else max(1, round(end * FRAME_RATE) - first)


def frame_zero(path: Path) -> float:
    """Second of the file's own clock at which its first frame is shown; 0 for a stored clip."""
    with opened(path) as container:
        stored = own_note(container) is not None and as_written(video_stream(container, path))
    return 0.0 if stored else start_offset(path)


def read_note(path: Path) -> dict[str, Any]:
    """Reads the note that `write_clip` stored; empty for another video. Raises InputError for a file that is none."""
    with opened(path) as container:
        return own_note(container) or {}


def own_note(container: InputContainer) -> dict[str, Any] | None:
    """The note of a clip that `write_clip` stored; None for another video, whatever its comment."""
    try:
        found = strict_json(container.metadata.get("comment", ""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or CLIP not in found:
        return None
    return found[CLIP] if isinstance(found[CLIP], dict) else {}


def _pictures(
    container: InputContainer, path: Path, first: int, count: int | None, grayscale: bool
) -> Iterator[Pixels]:
    stream = first_stream(container, path, "video")
    unit = stream.time_base or Fraction(1, FRAME_RATE)
    shape: tuple[int, ...] | None = None  # of the first, and so of all
    mode = cv2.IMREAD_GRAYSCALE if grayscale else cv2.IMREAD_COLOR_RGB
    if first:
        container.seek(int(first / FRAME_RATE / unit), stream=stream)
    for packet in container.demux(stream):
        number = first if packet.pts is None else round(packet.pts * unit * FRAME_RATE)
        if count is not None and number >= first + count:
            break
        if not packet.size or number < first:
            continue
        pixels = cv2.imdecode(np.frombuffer(bytes(packet), np.uint8), mode)
        shape = shape if shape or pixels is None else pixels.shape
        if pixels is None or pixels.shape != shape:
            raise InputError(f"{path}: must hold JPEG frames, got damage at frame {number}; prepare the clip again")
        yield pixels.astype(np.uint8, copy=False)
