"""Rules of `seqkit check` that open media: pictures, videos, sound and feature arrays.

Each file is read once, by a process of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from seqkit.data.array_file import read_array
from seqkit.data.check_media import ROUNDING, Finding, Line
from seqkit.data.decoder_process import apart
from seqkit.data.shards import has_file, size_of
from seqkit.errors import InputError

MOUTH = 200  # pixels of the longest side that a video of a mouth alone may have
CROPPING = "`seqkit prepare videos` crops the mouths of any videos"
T = TypeVar("T")


class Clip(NamedTuple):
    """What was found of a video or of sound."""

    seconds: float
    remark: str = ""
    kind: str = ""


def images(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds images that cannot be decoded to their end."""
    for line, found in opened(lines, "image", "pictures", _picture):
        if isinstance(found, str):
            yield Finding(True, "unreadable picture", f"{line.at('image')}: {found}, or remove the item")


def videos(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds videos that cannot be decoded, that are shorter than their items say, or that show more than a mouth."""
    yield from _clips(opened(lines, "video", "videos", _video), "video")


def sounds(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds sound that cannot be decoded, that is shorter than its items say, or silent."""
    yield from _clips(opened(lines, "audio", "sounds", _sound), "audio")


def opened(lines: Sequence[Line], key: str, title: str, read: Callable[[Path], T]) -> Iterator[tuple[Line, T | str]]:
    """What `read` makes of the file of every line that has one, or the text of its error."""
    there = [line for line in lines if (path := getattr(line.item, key)) and has_file(path) and size_of(path)]
    found: dict[Path, T | str] = {}
    for line in tqdm(there, desc=title, unit=" items", disable=None):
        place: Path = getattr(line.item, key)
        if place not in found:
            try:
                found[place] = apart(place, read, place)
            except InputError as error:
                found[place] = str(error)
        yield line, found[place]


def _clips(opened: Iterator[tuple[Line, Clip | str]], key: str) -> Iterator[Finding]:
    told = set()
    for line, found in opened:
        item = line.item
        if isinstance(found, str):
            yield Finding(True, f"unreadable {key}", f"{line.at(key)}: {found}, or remove the item")
            continue
        end = item.end if item.end is not None else (item.start or 0.0) + (item.seconds or 0.0)
        if end > found.seconds + ROUNDING:
            name = "end" if item.end is not None else "seconds"
            fault = f"{line.at(name)}: reaches to {end:g}, past the {found.seconds:.2f} seconds of `{key}`; correct it"
            yield Finding(item.end is not None or (item.start or 0.0) >= found.seconds, "beyond the end", fault)
        path = getattr(item, key)
        if found.remark and path not in told:
            told.add(path)
            yield Finding(False, found.kind, f"{line.at(key)}: {found.remark}")


def _picture(path: Path) -> None:
    from seqkit.data.image import read_image

    read_image(path, at_least=64)  # a JPEG is then decoded small, in less time


def _video(path: Path) -> Clip:
    from seqkit.data.container import first_stream, first_time, opened, read_clock
    from seqkit.data.video_file import frame_zero

    whole = more_than_a_mouth(path)  # decodes a frame, of other videos than our own clips
    clock = read_clock(path)
    with opened(path) as container:
        pictures = clock.ends.get(first_stream(container, path, "video").index, clock.end)
    end = frame_zero(path) + pictures - (first_time(path, clock) or 0.0)
    return Clip(end, whole, "no mouth clip" if whole else "")


def more_than_a_mouth(path: Path) -> str:
    """What is wrong with a video that has no note of a mouth clip and is larger than a mouth; empty where nothing is.

    Raises InputError, naming the file, for one that cannot be decoded.
    """
    from seqkit.data.video_file import read_frames, read_note

    noted = read_note(path)
    height, width = next(read_frames(path, layout="gray")).shape[:2]
    if noted or max(height, width) <= MOUTH:
        return ""
    return f"has {width} x {height} pixels and no note of a mouth clip: the model would see it whole; {CROPPING}"


def _sound(path: Path) -> Clip:
    from seqkit.data.sound_file import oddities, read_cut

    cut = read_cut(path)
    if not np.isfinite(cut.samples_N).all():
        raise InputError(f"{path}: every sample must be a finite number, got NaN or infinity; make the file again")
    return Clip(len(cut.samples_N) / cut.rate, "; ".join(oddities(cut)), "odd sound")


def features(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds feature files that hold no numbers, are of another width than the first, or shorter than their cut."""
    first: tuple[int, str] | None = None
    for line, found in opened(lines, "features", "features", _shape):
        path, rows, place = line.item.features, line.item.rows, line.at("features")
        if isinstance(found, str):
            yield Finding(True, "features", f"{place}: {found}")
            continue
        length, width = found
        first = first or (width, place)
        if width != first[0]:
            fault = f"{place}: has width {width}, but {first[1]} has {first[0]}; compute all of them alike"
            yield Finding(True, "features", fault)
        if rows and rows[1] > length:
            fault = f"{line.at('rows')}: ends at {rows[1]}, past the {length} rows of {path}; correct the cut"
            yield Finding(True, "beyond the end", fault)


def _shape(path: Path) -> tuple[int, int]:
    try:
        table = read_array(path)
    except InputError:
        raise InputError(f"{path} must hold (time, width), got no array of numbers; write it anew") from None
    shape = table.shape
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"{path} must hold (time, width), got shape {shape}; write it anew")
    for begin in range(0, shape[0], 1 << 14):
        if not np.isfinite(np.asarray(table[begin : begin + (1 << 14)])).all():
            raise InputError(f"{path} must hold finite numbers, got NaN or infinity; write it anew")
    return int(shape[0]), int(shape[1])
