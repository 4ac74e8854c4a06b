"""A video of any length to mouth clips of its pieces, in two passes over it and constant memory.

The first pass finds the talker of every piece, the second crops. Pieces that overlap are made in passes of their own. A
piece begins and ends at the frames nearest to its times. Beside every clip lies its sound (.wav) and a picture of the
whole frame (.jpg) with the crop in yellow and other faces in red.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from seqkit.data.clock import FRAME_RATE
from seqkit.data.container import first_stream, first_time, opened, read_clock, start_offset
from seqkit.data.files import atomic_write
from seqkit.data.sound_file import SILENT, silence
from seqkit.data.sound_track import SAMPLES_PER_FRAME, Samples, read_sound, write_wav
from seqkit.data.video_file import write_clip
from seqkit.data_prep.lipreading.clips import Job, cached_note, source_key
from seqkit.data_prep.lipreading.faces import Floats, Pixels, Talker
from seqkit.data_prep.lipreading.mouths import (
    MOUTH_OFFSET,
    SPAN,
    Tracking,
    Unusable,
    check_usable,
    clip_note,
    crop_boxes,
    crop_frames,
    damage_told,
    shrinkage,
    shrunk_frames,
)
from seqkit.data_prep.own.pieces import LONGEST, Piece, plan_pieces
from seqkit.data_prep.own.spoken_texts import Cue
from seqkit.errors import InputError

MISSING = 3  # frames that a piece may lack at its end
HEIGHT = 160  # pixels of the picture of a frame
YELLOW, RED = (0, 255, 255), (0, 0, 255)


class Recording(NamedTuple):
    """A video, and what is said in it."""

    source: Path
    cues: tuple[Cue, ...]
    folder: Path  # of its clips
    name: str  # of the first of its clips, without number
    detector: str = "cascade"
    face: str = "largest"
    longest: float = LONGEST


class PieceClip(NamedTuple):
    """A piece and the clip that is made of it."""

    piece: Piece
    video: Path
    first: int  # frame
    frames: int | None  # how many; None: to the end
    begin: float = 0.0  # second of the file at which the clip begins
    note: dict[str, Any] = {}  # empty where there is no clip yet


class Made(NamedTuple):
    """What came of a recording."""

    clips: list[PieceClip]
    faults: list[tuple[str, str]]  # reason and text of every piece, or of the recording, that is none


def make_clips(job: Recording) -> Made:
    """The clips of a recording, made now or by an earlier run."""
    try:
        pieces, faults = planned(job)
        clips = [cached(job, clip) for clip in pieces]
        made = [clip for clip in clips if clip.note]
        for lane in lanes([clip for clip in clips if not clip.note]):
            with damage_told(job.source):
                for result in crop_lane(job, lane):
                    if isinstance(result, PieceClip):
                        made.append(result)
                    else:
                        faults.append((result.reason, str(result)))
        return Made(sorted(made, key=lambda clip: clip.first), faults)
    except Unusable as error:
        return Made([], [(error.reason, str(error))])
    except InputError as error:
        return Made([], [("unreadable", str(error))])


def crashed(job: Recording) -> Made:
    """What came of a recording whose decoder ended its process."""
    return Made([], [("crashed", f"{job.source}: must be a whole video, got one that ends the process that reads it")])


def planned(job: Recording) -> tuple[list[PieceClip], list[tuple[str, str]]]:
    """The pieces of a recording as clips to make, and what can be none."""
    clock = read_clock(job.source)
    begin = start_offset(job.source)
    with opened(job.source) as container:
        if first_stream(container, job.source, "video") is None:
            raise Unusable("no_video", f"{job.source}: must hold a video, got sound alone")
    end = begin + clock.end - (first_time(job.source, clock) or 0.0)
    pieces, faults = plan_pieces(job.cues, begin, end, lambda: loudness(job.source), job.longest)
    clips = []
    for number, piece in enumerate(sorted(pieces, key=lambda piece: piece.start), 1):
        whole = len(pieces) == 1 and (piece.start, piece.end) == (begin, end)
        first = round((piece.start - begin) * FRAME_RATE)
        count = None if whole else max(1, round((piece.end - begin) * FRAME_RATE) - first)
        name = job.name if whole else f"{job.name}-{number:04d}"
        clips.append(PieceClip(piece, job.folder / f"{name}.mp4", first, count, begin + first / FRAME_RATE))
    return clips, [(reason, f"{job.source}: {text}") for reason, text in faults]


def loudness(source: Path) -> Floats:
    """Decibels of the sound of every frame (T,). Raises Unusable for a video without sound."""
    levels, held = [], np.zeros(0, np.int16)
    for block in read_sound(source):
        held = np.concatenate([held, block])
        whole = len(held) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        frames_TN = held[:whole].reshape(-1, SAMPLES_PER_FRAME).astype(np.float64)
        levels.append(10 * np.log10((frames_TN**2).mean(1) + 1.0))
        held = held[whole:]
    if not sum(map(len, levels)):
        raise Unusable("no_sound", f"{source}: must have sound to be cut at pauses, got none; give a text with times")
    return np.concatenate(levels)


def cached(job: Recording, clip: PieceClip) -> PieceClip:
    """The clip with the note of an earlier run, where it made the same."""
    there = clip.video.with_suffix(".jpg").is_file()
    wanted = Job(job.source, clip.video, clip.video.with_suffix(".wav"), job.detector)
    return clip._replace(note=cached_note(wanted, key_of(job, clip)) if there else {})


def key_of(job: Recording, clip: PieceClip) -> dict[str, Any]:
    """Identifies a source, its cut, and all settings of its crop."""
    return {**source_key(job.source), "detector": job.detector, "face": job.face, "cut": [clip.first, clip.frames]}


def lanes(clips: Sequence[PieceClip]) -> list[list[PieceClip]]:
    """The clips in groups of which none overlaps another, each in order."""
    found: list[list[PieceClip]] = []
    for clip in sorted(clips, key=lambda clip: clip.first):
        for lane in found:
            last = lane[-1]
            if last.frames is not None and last.first + last.frames <= clip.first:
                lane.append(clip)
                break
        else:
            found.append([clip])
    return found


def crop_lane(job: Recording, lane: Sequence[PieceClip]) -> Iterator[PieceClip | Unusable]:
    """Writes the clips of a lane; yields each with its note, or why there is none."""
    found: list[tuple[PieceClip, int, Talker, list[str]]] = []
    odd: list[str] = []
    tracking = Tracking(job.source, job.detector, odd.append, job.face)
    frames, place = tracking.frames(), 0
    for clip in lane:
        remarks: list[str] = []
        skip(frames, clip.first - place)
        number, face = tracking.talker(itertools.islice(frames, clip.frames), remarks.append, clip.begin)
        place = clip.first + number
        try:
            if clip.frames is not None and number < clip.frames - MISSING:
                told = f"{job.source}: must show {clip.frames} frames from {clip.begin:g} seconds on, got {number}"
                raise Unusable("cut_off", told)
            found.append((clip, number, check_usable(job.source, number, face, remarks.append, job.face), remarks))
        except Unusable as error:
            yield error
    if not found:
        return
    boxes = [crop_boxes(face) for _, _, face, _ in found]
    shrink = min(shrinkage(boxes_T4) for boxes_T4 in boxes)
    pictures, place = shrunk_frames(job.source, shrink), 0
    frames_of = [(clip.first, clip.first + number) for clip, number, _, _ in found]
    spans = [(first * SAMPLES_PER_FRAME, end * SAMPLES_PER_FRAME) for first, end in frames_of]
    sounds = cut_sound(read_sound(job.source, note=odd.append), spans)
    for (clip, number, face, remarks), boxes_T4, sound in zip(found, boxes, sounds, strict=True):
        skip(pictures, clip.first - place)
        place = clip.first + number
        loudest = max((int(np.abs(part.astype(np.int32)).max()) for part in sound), default=0)
        remarks += [SILENT] if sound and silence(loudest / 2**15, 0.0) else []
        heard = write_wav(clip.video.with_suffix(".wav"), sound, number)
        note = {
            **clip_note(job.source, number, heard, boxes_T4, [*dict.fromkeys((*remarks, *odd))], job.detector),
            "made_from": key_of(job, clip),
        }
        middle = number // 2
        box = boxes_T4[middle] / shrink
        shown = showing(pictures, middle, clip.video.with_suffix(".jpg"), box, face, shrink)
        write_clip(clip.video, crop_frames(shown, boxes_T4, shrink), note)
        yield clip._replace(note=note)


def skip(frames: Iterator[Any], number: int) -> None:
    deque(itertools.islice(frames, number), 0)


def cut_sound(blocks: Iterable[Samples], spans: Sequence[tuple[int, int]]) -> Iterator[list[Samples]]:
    """The sound of spans [first, end) of samples, in their order; fewer samples, or none, where the sound ends."""
    stream, held, place = iter(blocks), np.zeros(0, np.int16), 0
    for first, end in spans:
        parts: list[Samples] = []
        while place < end:
            if not len(held) and not len(held := next(stream, held)):
                break
            part = held[max(0, first - place) : end - place]
            parts += [part] if len(part) else []
            used = min(len(held), end - place)
            held, place = held[used:], place + used
        yield parts


def showing(
    frames: Iterator[Pixels], number: int, path: Path, box: Floats, face: Talker, shrink: int
) -> Iterator[Pixels]:
    """The frames; of frame `number` of them a picture is written, with the crop and the other faces on it."""
    for place, pixels in enumerate(frames):
        if place == number:
            write_picture(path, pixels, box, face, shrink)
        yield pixels


def write_picture(path: Path, pixels: Pixels, box: Floats, face: Talker, shrink: int) -> None:
    """A small JPEG of a frame with the crop in yellow and other faces in red."""
    scale = HEIGHT / pixels.shape[0]
    size = max(1, round(pixels.shape[1] * scale)), HEIGHT
    small = np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    for other in face.beside:
        half = SPAN / 2 * other.width / shrink
        x, y = other.x / shrink, (other.y + MOUTH_OFFSET * other.width) / shrink
        draw_box(small, scale * np.array([x - half, y - half, x + half, y + half]), RED)
    draw_box(small, scale * box, YELLOW)
    with atomic_write(path) as file:
        file.write(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def draw_box(pixels: NDArray[Any], box: Floats, color: tuple[int, int, int]) -> None:
    left, top, right, bottom = (round(float(edge)) for edge in box)
    cv2.rectangle(pixels, (left, top), (right, bottom), color, 2)
