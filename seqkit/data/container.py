"""Media containers (mp4, mpg, mkv, avi, ...): their streams, decoded as far as the file is intact.

Times are seconds of the file's own clock.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from seqkit.errors import InputError

Note = Callable[[str], None]

FRAME_RATE = 25  # frames a second, where a file does not say
JUMP = 10.0  # seconds from a frame to the next; more is a damaged time stamp


def ignore(note: str) -> None:
    """Ignores remarks about a file."""


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Opens a container and closes it at the end. Raises InputError, naming the file, for one that is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such video; correct the path or fetch the file")
    if not path.stat().st_size:
        raise InputError(f"{path}: must be a video, got an empty file; fetch it again")
    try:  # an absolute path, for in another one ffmpeg takes what is before a colon for a protocol
        container = av.open(os.path.abspath(path), metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        with open(path, "rb") as file:
            cut = file.read(8)[4:] == b"ftyp"
        found = "the beginning of one that is cut off" if cut else f"something else ({type(error).__name__})"
        raise InputError(f"{path}: must be a video, got {found}; fetch it again") from None
    with container:
        yield container


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """Returns the video stream. Raises InputError where there is none."""
    moving = _moving(container)
    if moving:
        return moving[0]
    others = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise InputError(f"{path}: must hold a video, got {others} alone; name another file")


def _moving(container: InputContainer) -> list[av.VideoStream]:
    """Returns the video streams that are not cover art."""
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def timed_frames(container: InputContainer, path: Path, note: Note) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """Yields frames with time and duration in seconds; times that run back or far ahead are corrected."""
    stream = video_stream(container, path)
    step = float(1 / (stream.average_rate or stream.guessed_rate or FRAME_RATE))
    last, shift, number, jumps = -step, 0.0, 0, 0
    for number, frame in enumerate(whole(container, stream, note), 1):
        time = last + step if frame.time is None else frame.time + shift
        if number > 1 and not 0 < time - last < JUMP:
            jumps += 1
            shift += last + step - time
            time = last + step
        last = time
        yield time, float((frame.duration or 0) * (frame.time_base or 0)) or step, frame
    if jumps:
        note(f"{jumps} time stamps out of order")
    if number < 0.95 * stream.frames:
        note(f"cut off: {number} of {stream.frames} frames")


def whole(container: InputContainer, stream: Any, note: Note) -> Iterator[Any]:
    """Yields every frame of the stream that can be decoded, to the end of the file or to where it is truncated."""
    stream.codec_context.thread_count = 1  # the processes of a preparation fill the machine
    packets, damaged = container.demux(stream), 0
    packet: Any = ...
    while packet is not None:
        try:
            packet = next(packets, None)
            yield from packet.decode() if packet is not None else ()
        except av.FFmpegError:  # of one packet; reading itself ends with the first
            damaged += 1
    if damaged:
        note(f"{damaged} damaged places in the {stream.type}")


def first_time(path: Path) -> float | None:
    """Returns the time of the first video frame on the file's own clock, in seconds; None for sound alone."""
    with opened(path) as container:
        if not _moving(container):
            return None
        return next((time for time, _, _ in timed_frames(container, path, ignore)), None)
