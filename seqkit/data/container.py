"""Media containers (mp4, mpg, mkv, avi, ...): their streams, decoded as far as the file is intact.

Times are seconds, as corrected by the file's clock (`seqkit.data.clock`), the same for picture and sound.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from seqkit.data.aperture import cropped
from seqkit.data.clock import FRAME_RATE, JUMP, LASTS, Clock, Run, continues, make_clock
from seqkit.data.media_length import missing
from seqkit.data.shards import has_file, open_file, openable, size_of
from seqkit.errors import InputError

Note = Callable[[str], None]

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,live_flv,ogg,asf,wav,w64,flac,mp3,aac,aiff,au,"
    "caf,amr,ac3,eac3,m4v,h264,hevc,mjpeg,dv,mxf,nut,ivf,gif"
)  # that hold their media themselves: no play list, nothing that names another file

MOST_PLANES = 8  # of sound, from which on PyAV does not find the last of them
PRIMING = 0.3  # seconds before zero at which sound may begin that no player plays: what its encoder puts before it
ANY_CLOCK = 0x200  # AVFMT_TS_DISCONT, of containers whose time stamps begin anywhere


def ignore(note: str) -> None:
    """Ignores remarks about a file."""


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Opens a container and closes it at the end. Raises InputError, naming the file, for one that is none."""
    if not has_file(path):
        raise InputError(f"{path}: no such video; correct the path or fetch the file")
    if not size_of(path):
        raise InputError(f"{path}: must be a video, got an empty file; fetch it again")
    own, source = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}, openable(path)
    try:  # an absolute path, for in another one ffmpeg takes what is before a colon for a protocol
        place: Any = os.path.abspath(source) if isinstance(source, Path) else source
        container = av.open(place, metadata_errors="replace", options=own)
    except (av.FFmpegError, ValueError) as error:
        with open_file(path) as file:
            cut = file.read(8)[4:] == b"ftyp"
        found = "the beginning of one that is cut off" if cut else f"something else ({type(error).__name__})"
        raise InputError(f"{path}: must be a video, got {found}; fetch it again") from None
    with container:
        yield container


def first_stream(container: InputContainer, path: Path, kind: str, note: Note = ignore) -> Any:
    """The first `video` (no cover art) or `audio` stream that can be decoded; None where there is none. `note` hears
    of others."""
    there = _streams(container, kind)
    known = [stream for stream in there if stream.codec_context is not None]
    if len(known) < len(there):
        note(f"{len(there) - len(known)} of {len(there)} {kind} streams have a codec that the decoder does not know")
    if len(known) < 2:
        return known[0] if known else None
    first = _first_decoded(path, kind, [stream.index for stream in known])
    number = next((n for n, stream in enumerate(known) if stream.index == first), 0)
    note(f"{len(known)} {kind} streams, of which the {'first' if not number else 'first decodable'} was taken")
    return known[number]


def _streams(container: InputContainer, kind: str) -> list[Any]:
    cover = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams if stream.type == kind and not stream.disposition & cover]


def _first_decoded(path: Path, kind: str, indices: list[int]) -> int | None:
    """The first of several streams of which a frame can be decoded."""
    found: set[int] = set()
    with opened(path) as container:
        for packet in _packets(container, *(s for s in _streams(container, kind) if s.index in indices)):
            if packet.stream_index not in found:
                with suppress(av.FFmpegError):
                    found |= {packet.stream_index} if packet.decode() else set()
            if indices[0] in found:
                break
    return next((index for index in indices if index in found), None)


def video_stream(container: InputContainer, path: Path, note: Note = ignore) -> av.VideoStream:
    """Returns the video stream. Raises InputError where there is none."""
    stream: av.VideoStream | None = first_stream(container, path, "video", note)
    if stream is not None:
        return stream
    others = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise InputError(f"{path}: must hold a video, got {others} alone; name another file")


def read_clock(path: Path) -> Clock:
    """The corrections of a file's time stamps. Reads all packets and decodes none."""
    with opened(path) as container:
        streams = [s for kind in ("video", "audio") if (s := first_stream(container, path, kind)) is not None]
        counts = {stream.index: 0 for stream in streams}
        own: dict[int, list[Run]] = {index: [] for index in counts}
        runs: list[Run] = []
        for packet in _packets(container, *streams) if streams else ():
            index, unit = packet.stream_index, float(packet.time_base or 0)
            stamp = packet.pts if packet.dts is None else packet.dts
            if index not in counts:  # a stream that begins later, or that damage has made up
                continue
            counts[index] += 1
            if stamp is None or not packet.size or packet.is_discard:  # as an edit list hides what was trimmed away
                continue
            start = stamp * unit
            lasts = min(max(packet.duration or 0, 0) * unit, LASTS)
            shown, end = start if packet.pts is None else packet.pts * unit, start + lasts
            if continues(own[index], start):
                own[index][-1].end = end
                own[index][-1].show(shown, lasts)
                continue
            others = [(own[other][-1], own[other][-1].end) for other in own if other != index and own[other]]
            run = Run(index, counts[index] - 1, start, end, *(others[0] if others else (None, 0.0)))
            run.show(shown, lasts)
            own[index] = [*own[index][-1:], run]
            runs.append(run)
        return make_clock(runs)._replace(packets=counts)


def timed_frames(
    container: InputContainer, path: Path, note: Note, clock: Clock | None = None
) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """Yields frames with time and duration in seconds; times that run back or far ahead are corrected."""
    stream, clock = video_stream(container, path, note), read_clock(path) if clock is None else clock
    step = min(float(1 / (stream.average_rate or stream.guessed_rate or FRAME_RATE)), JUMP)
    first, last, number, jumps = 0.0, -step, 0, clock.jumps
    if remark := cropped(path, container.format.name.split(",")[0], stream.width, stream.height):
        note(remark)
    for number, frame in enumerate(whole(container, stream, note, clock), 1):
        time = last + step if frame.time is None else frame.time
        if number == 1:
            first = time
        elif not clock.follows(last, time):
            jumps += 1
            time = last + step
        last = time
        yield time, min(float((frame.duration or 0) * (frame.time_base or 0)) or step, JUMP), frame
    if jumps:
        note(f"{jumps} time stamps out of order")
    shorter = last + step - first < 0.95 * (container.duration or 0) / av.time_base
    told = number < 0.95 * stream.frames and shorter
    if told:
        note(f"cut off: {number} of {stream.frames} frames")
    for remark in missing(path, container, clock):
        if not told or not remark.startswith("cut off"):
            note(remark)


def whole(container: InputContainer, stream: Any, note: Note, clock: Clock) -> Iterator[Any]:
    """Yields every frame of the stream that can be decoded, to the end of the file or to where it is truncated."""
    stream.codec_context.thread_count = 1  # the processes of a preparation fill the machine
    shifts, shift, faults = dict(clock.shifts.get(stream.index, ())), 0.0, Counter[str]()
    for number, packet in enumerate(_packets(container, stream, faults=faults)):
        shift = shifts.get(number, shift)
        if shift and packet.time_base:
            ticks = round(shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        try:
            for frame in packet.decode():
                faults["frames"] += frame.is_corrupt
                yield from packed(frame) if isinstance(frame, av.AudioFrame) else (frame,)
        except av.FFmpegError:
            faults["packets"] += 1
    if damaged := faults.total():
        note(f"{damaged} damaged places in the {stream.type}")


def packed(frame: av.AudioFrame) -> list[av.AudioFrame]:
    """A frame of sound, packed where it has eight planes or more: PyAV counts too many then, and would read memory that
    is not the frame's."""
    if not frame.format.is_planar or frame.layout.nb_channels < MOST_PLANES:
        return [frame]
    resampler = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
    return [*resampler.resample(frame), *resampler.resample(None)]


def _packets(container: InputContainer, *streams: Any, faults: Counter[str] | None = None) -> Iterator[Any]:
    """The packets of the streams, to the end of the file or to where it cannot be read on, and one to empty each
    decoder."""
    try:
        yield from container.demux(*streams)
    except av.FFmpegError:
        if faults is not None:
            faults["reading"] += 1
        for stream in streams:
            last = av.Packet()
            last.stream = stream
            yield last


def first_time(path: Path, clock: Clock | None = None) -> float | None:
    """Returns the time of the first video frame, in seconds; None for sound alone."""
    with opened(path) as container:
        if first_stream(container, path, "video") is None:
            return None
        return next((time for time, _, _ in timed_frames(container, path, ignore, clock)), None)


def start_offset(path: Path) -> float:
    """Seconds from the file's own zero, where players begin, to the first frame, or to the first sample of sound
    alone. Of containers whose clock begins anywhere (.ts, .mpg), zero is the first of picture and sound."""
    clock = read_clock(path)
    with opened(path) as container:
        free = bool(container.format.flags & ANY_CLOCK) or clock.begin > JUMP or clock.begin < -PRIMING
    first = first_time(path, clock)
    return max(0.0, (clock.begin if first is None else first) - (clock.begin if free else 0.0))
