"""Many videos to mouth clips, in several processes: an ended run is resumed, and no video stops the others.

An existing clip is kept if its note names the same source (size and modification time) and the same settings.
"""

import os
from argparse import Namespace
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.shards import size_of
from seqkit.errors import InputError
from seqkit.flags import Parser

FORMAT_VERSION = 2  # of crops and notes; clips of another version are made again


class Job(NamedTuple):
    """A video and the paths of its clip."""

    source: Path
    video: Path
    audio: Path
    detector: str = "cascade"


class ClipResult(NamedTuple):
    """Result of a job: a clip, or the reason why there is none."""

    note: dict[str, Any]  # of the clip; empty where there is none
    reason: str = ""  # why there is none
    text: str = ""
    kept: bool = False  # made by an earlier run


def make_clip(job: Job) -> ClipResult:
    """The clip of a job, made now or by an earlier run."""
    from seqkit.data_prep.lipreading.mouths import Unusable, crop

    try:
        key = {**source_key(job.source), "detector": job.detector}
        note = cached_note(job, key)
        if note:
            return ClipResult(note, kept=True)
        return ClipResult(crop(job.source, job.video, job.audio, detector=job.detector, note={"made_from": key}))
    except Unusable as error:
        return ClipResult({}, error.reason, str(error))
    except InputError as error:
        return ClipResult({}, "unreadable", str(error))


def source_key(source: Path) -> dict[str, Any]:
    """Identifies a source and all settings of its crop."""
    from seqkit.data_prep.lipreading import mouths

    try:
        state = source.stat()
    except OSError as error:
        raise mouths.Unusable("missing", f"{source}: cannot be opened ({error.strerror})") from None
    return {
        "bytes": state.st_size,
        "changed": state.st_mtime_ns,
        "layout": FORMAT_VERSION,
        "side": mouths.CROP_SIZE,
        "span": mouths.SPAN,
        "below": mouths.MOUTH_OFFSET,
        "still": mouths.STILL,
    }


def cached_note(job: Job, key: dict[str, Any]) -> dict[str, Any]:
    """The note of a clip that an earlier run made with the same key; empty where there is none."""
    from seqkit.data.video_file import read_note

    try:
        note = read_note(job.video)
    except InputError:
        return {}
    whole = note.get("made_from") == key and (job.audio.is_file() or not note.get("sound"))
    return note if whole else {}


def job_size(job: Job) -> int:
    """Bytes of the video of a job."""
    return size_of(job.source)


def crash_result(job: Job) -> ClipResult:
    return ClipResult(
        {},
        "crashed",
        f"{job.source}: must be a whole video, got one that ends the process that decodes it, or never ends",
    )


def add_arguments(parser: Parser) -> None:
    """The flags of every preparation of mouth clips; `options` reads them."""
    from seqkit.data_prep.lipreading.mouths import DETECTORS

    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        default="cascade",
        help="face detector: OpenCV's cascade, or mediapipe's landmarks, where installed (default: cascade)",
    )


def options(given: Namespace) -> dict[str, Any]:
    """`workers` and `detector` as given. Raises InputError for fewer than one process."""
    if given.workers < 1:
        raise InputError(f"--workers must be at least 1, got {given.workers}")
    return {"workers": given.workers, "detector": given.detector}
