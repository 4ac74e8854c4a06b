"""Video files: frames and sound on one clock, and clips stored as JPEG frames that load fast.

Video is resampled to 25 frames/s, beginning with the first frame: each output frame is the one nearest by time stamp,
whatever the file's own rate. Sound is resampled to 16 kHz mono, 640 samples per frame, with silence where the file has
none. Rotated frames are turned upright. Everything streams: memory does not grow with the
length of a file.

A stored clip is an .mp4 of JPEG frames (MJPEG, which players show) with a note in JSON as its comment. Any frame can
be read alone, and all of them decode faster than H.264 does, for six times its bytes.

T frames, H and W pixels, N samples.
"""

import itertools
import json
import wave
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

from seqkit.data.container import FRAME_RATE, Note, first_time, ignore, opened, timed_frames, video_stream, whole
from seqkit.data.files import atomic_write
from seqkit.errors import InputError

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]
Size = Callable[[int, int], tuple[int, int]]
X = TypeVar("X")

SAMPLE_RATE = 16_000  # samples a second
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE
QUALITY = 85  # of JPEG
SLIP = SAMPLES_PER_FRAME  # samples by which sound may be off its place before it is put right


def read_frames(
    path: Path, *, layout: str = "rgb24", size: Size | None = None, note: Note = ignore
) -> Iterator[Pixels]:
    """Yields upright frames at 25 frames/s: (H, W, 3) for rgb24 and bgr24, (H, W) for gray.

    `size` gives the (height, width) to make of the file's own. `note` hears of damage: of a file that is cut off come
    the frames before the cut. Raises InputError, naming the file, where no video can be decoded.
    """
    with opened(path) as container:
        empty, reformat = True, VideoReformatter().reformat  # one for all: it keeps its tables
        for frame in at_frame_rate(timed_frames(container, path, note)):
            empty = False
            height, width = size(frame.height, frame.width) if size else (frame.height, frame.width)
            picture = reformat(frame, width, height, layout, interpolation="AREA", threads=1)
            yield np.ascontiguousarray(np.rot90(picture.to_ndarray(), round(frame.rotation / 90)), np.uint8)
    if empty:
        raise InputError(f"{path}: must hold a video, got no frame that can be decoded; fetch the file again")


def at_frame_rate(timed: Iterable[tuple[float, float, X]]) -> Iterator[X]:
    """Resamples (time, duration, value) to 25 values/s: the nearest in time, beginning with the first."""
    begin, number = 0.0, 0
    last: tuple[float, float, X] | None = None
    for here in timed:
        begin = here[0] if last is None else begin
        while last is not None and begin + number / FRAME_RATE < (last[0] + here[0]) / 2:
            yield last[2]
            number += 1
        last = here
    while last is not None and (number == 0 or begin + (number + 0.5) / FRAME_RATE <= last[0] + last[1]):
        yield last[2]
        number += 1


def read_sound(path: Path, *, note: Note = ignore) -> Iterator[Samples]:
    """Yields blocks (N,) of samples, the first at the time of the first frame; none for a file without sound.

    Raises InputError, naming the file, where it cannot be opened.
    """
    begin = first_time(path)
    with opened(path) as container:
        streams = container.streams.audio
        to_mono, place, kind = av.AudioResampler("s16", "mono", SAMPLE_RATE), 0, None
        for frame in whole(container, streams[0], note) if streams else ():
            before, kind = kind, (frame.format.name, frame.layout.name, frame.sample_rate)
            if before not in (None, kind):  # another recording was appended
                to_mono = av.AudioResampler("s16", "mono", SAMPLE_RATE)
            for piece in to_mono.resample(frame):
                samples: Samples = piece.to_ndarray()[0].astype(np.int16)
                late = 0 if begin is None or piece.time is None else round((piece.time - begin) * SAMPLE_RATE) - place
                if late > SLIP or (late > 0 and place == 0):
                    yield np.zeros(late, np.int16)
                    place += late
                elif late < -SLIP or (late < 0 and place == 0):
                    samples = samples[-late:]
                place += len(samples)
                yield samples
        yield from (piece.to_ndarray()[0].astype(np.int16) for piece in to_mono.resample(None) if place)


def write_wav(path: Path, blocks: Iterable[Samples], frames: int) -> bool:
    """Writes 16-bit sound of exactly `frames` frames; returns False, and writes nothing, where there is no sound."""
    blocks, left = iter(blocks), frames * SAMPLES_PER_FRAME
    first = next(blocks, None)
    if first is None:
        return False
    with atomic_write(path) as file, wave.open(file, "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE, left, "NONE", ""))
        for block in itertools.chain([first], blocks):
            sound.writeframes(block[:left].astype("<i2").tobytes())
            left -= min(left, len(block))
            if not left:
                break
        sound.writeframes(bytes(2 * left))
    return True


def write_clip(path: Path, frames: Iterable[Pixels], note: Mapping[str, Any]) -> int:
    """Writes frames (H, W, 3) in BGR order, all of one size, with a note; returns their number."""
    number = 0
    with atomic_write(path) as file, av.open(file, "w", "mp4") as container:
        container.metadata["comment"] = json.dumps(note)
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
    """Reads frames (T, H, W, 3) in RGB order, or grayscale (T, H, W), from second `start` to `end`, at least one.

    Reads stored clips fast and any other video too. Raises InputError, naming the file, for one that cannot be decoded
    or has no frame in the cut.
    """
    first = round(start * FRAME_RATE)
    count = None if end is None else max(1, round(end * FRAME_RATE) - first)
    with opened(path) as container:
        stored = "comment" in container.metadata and video_stream(container, path).codec_context.name == "mjpeg"
        frames = list(_pictures(container, path, first, count, grayscale)) if stored else []
    if not stored:
        layout, stop = "gray" if grayscale else "rgb24", None if count is None else first + count
        frames = list(itertools.islice(read_frames(path, layout=layout), first, stop))
    if not frames:
        raise InputError(f"{path}: must have frames after second {start:g}, got none; correct `start` of its item")
    return np.stack(frames)


def read_note(path: Path) -> dict[str, Any]:
    """Reads the note that `write_clip` stored; empty for another video. Raises InputError for a file that is none."""
    with opened(path) as container:
        comment = container.metadata.get("comment", "")
    try:
        note = json.loads(comment)
    except (ValueError, RecursionError):
        note = {}
    return note if isinstance(note, dict) else {}


def declared_duration(path: Path) -> float:
    """Reads the duration declared in the container, in seconds; 0 where there is none. Raises InputError as above."""
    with opened(path) as container:
        return (container.duration or 0) / av.time_base


def _pictures(
    container: InputContainer, path: Path, first: int, count: int | None, grayscale: bool
) -> Iterator[Pixels]:
    stream = container.streams.video[0]
    unit = stream.time_base or Fraction(1, FRAME_RATE)
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
        if pixels is None:
            raise InputError(f"{path}: must hold JPEG frames, got damage at frame {number}; prepare the clip again")
        yield pixels.astype(np.uint8, copy=False)
