"""Checks a copy of GRID before it is prepared: counts by speaker, and every fault with the clips that have it.

    seqkit prepare check_grid --raw DIR [--out DIR]

Reads videos and alignments as `seqkit prepare grid` does. Every video is decoded to its end, its sound too; a face is
looked for until one is found. Alignments are compared with the clips' names; where a speaker's lie in another's
folder, it is named. With --out, writes the report to `stats.json`, section `check`, and `contact_sheet.jpg` with crops
of some clips of every speaker.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqkit.data.clock import FRAME_RATE
from seqkit.data.sound_file import CANCELED, SILENT
from seqkit.data.sound_track import SAMPLES_PER_FRAME, read_sound
from seqkit.data.video_file import read_frames
from seqkit.data_prep.common.jobs import map_jobs
from seqkit.data_prep.common.outputs import write_stats
from seqkit.data_prep.lipreading.clips import Job, add_arguments, crash_result, job_size, make_clip, options
from seqkit.data_prep.lipreading.contact_sheet import contact_sheet
from seqkit.data_prep.lipreading.grid import ALIGNMENT_TOLERANCE, corpus_names
from seqkit.data_prep.lipreading.grid_corpus import Clip, Corpus, read_corpus
from seqkit.data_prep.lipreading.grid_splits import sample
from seqkit.data_prep.lipreading.mouths import make_detector, reduced
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

DETECT_EVERY = 25  # frames from one search for a face to the next
MAX_SILENCE = 64  # of 32,768: sound that never exceeds it is silence
MAX_SHOWN = 5  # clips that are named for each fault on the screen


class VideoCheck(NamedTuple):
    """Result of a quick pass over a video."""

    frames: int = 0
    face: bool = False
    seconds: float = 0.0  # of sound
    loudest: int = 0
    remarks: tuple[str, ...] = ()
    fault: str = ""  # why it cannot be decoded


def check_video(job: Job) -> VideoCheck:
    """Decodes all of a video and its sound."""
    remarks: list[str] = []
    layout, _, detect = make_detector(job.detector)
    frames, face, samples, loudest = 0, False, 0, 0

    try:
        for frames, frame in zip(
            count(1), read_frames(job.source, layout=layout, size=reduced, note=remarks.append), strict=False
        ):
            face = face or frames % DETECT_EVERY == 1 and bool(detect(frame, None))
        for block in read_sound(job.source, note=remarks.append):
            samples += len(block)
            loudest = max(loudest, int(np.abs(block.astype(np.int32)).max(initial=0)))
    except InputError as error:
        return VideoCheck(fault=str(error))
    return VideoCheck(frames, face, samples / SAMPLES_PER_FRAME / FRAME_RATE, loudest, tuple(remarks))


def crashed_check(job: Job) -> VideoCheck:
    return VideoCheck(fault=crash_result(job).text)


def faults(clip: Clip, check: VideoCheck) -> list[str]:
    """Short names of all that is wrong with a clip."""
    found = [f"alignment_{clip.state}"] if clip.state != "agree" else []
    if check.fault:
        return [*found, "undecodable"]
    words = clip.alignment.words or () if clip.alignment else ()
    seconds = check.frames / FRAME_RATE
    checks = {
        "no_face": not check.face,
        "no_sound": check.seconds == 0,
        "silent": check.seconds > 0 and check.loudest <= MAX_SILENCE,
        "damaged": bool(set(check.remarks) - {SILENT, CANCELED}),
        "cut_off": bool(words) and words[-1][2] > seconds + ALIGNMENT_TOLERANCE,
        "sound_of_other_length": check.seconds > 0 and abs(check.seconds - seconds) > 0.5,
    }
    return found + [name for name, there in checks.items() if there]


def report(corpus: Corpus, checks: Mapping[str, VideoCheck]) -> dict[str, Any]:
    """Counts by speaker, and the clips behind every fault."""
    speakers: dict[str, dict[str, Any]] = {}
    named: dict[str, list[str]] = defaultdict(list)
    frames: dict[str, Counter[int]] = defaultdict(Counter)
    for clip in corpus.clips:
        counts = speakers.setdefault(clip.speaker, {"videos": 0, "frames": 0, "aligned": 0, "faults": Counter()})
        counts["videos"] += 1
        counts["frames"] += checks[clip.id].frames
        counts["aligned"] += clip.alignment is not None
        frames[clip.speaker][checks[clip.id].frames] += 1
        for fault in faults(clip, checks[clip.id]):
            counts["faults"][fault] += 1
            named[fault].append(clip.id)
    for speaker, counts in speakers.items():
        counts["lengths"] = dict(frames[speaker].most_common(5))
    return {
        "videos": len(corpus.clips),
        "speakers": speakers,
        "alignments_in_the_folder_of": corpus.moved,
        "copies_left_out": [str(path) for path in corpus.copies],
        "other_videos": len(corpus.unrecognized),
        "named": {**named, **corpus_names(corpus)},
        "found_in": {c.id: str(c.alignment.path) for c in corpus.clips if c.alignment and c.state == "elsewhere"},
        "reasons": {name: check.fault for name, check in checks.items() if check.fault},
        "remarks": {name: check.remarks for name, check in checks.items() if check.remarks},
    }


def print_report(found: Mapping[str, Any]) -> None:
    print(f"{'speaker':<9}{'videos':>7}{'frames':>9}{'aligned':>9}  frames a video; faults")
    for speaker, counts in found["speakers"].items():
        lengths = ", ".join(f"{number} of {frames}" for frames, number in counts["lengths"].items())
        wrong = ", ".join(f"{name} {number}" for name, number in counts["faults"].items())
        print(
            f"{speaker or '?':<9}{counts['videos']:>7}{counts['frames']:>9}{counts['aligned']:>9}  {lengths}"
            + f"; {wrong}" * bool(wrong)
        )
    for fault, names in found["named"].items():
        more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
        print(f"{fault} ({len(names)}): {', '.join(names[:MAX_SHOWN])}{more}")
    for speaker, folder in found["alignments_in_the_folder_of"].items():
        print(f"alignments of {speaker} lie in the folder of {folder}; they are taken from there")
    if found["copies_left_out"]:
        print(f"{len(found['copies_left_out'])} videos are there twice; the copy in the fuller folder is taken")
    if not found["named"]:
        print("nothing is wrong")


def check_corpus(raw: Path, out: Path | None, *, workers: int, detector: str) -> dict[str, Any]:
    """Prints and returns what was found. Raises InputError where there is no clip at all."""
    corpus = read_corpus(raw)
    jobs = [Job(clip.video, Path(), Path(), detector) for clip in corpus.clips]
    checks = {
        corpus.clips[number].id: check
        for number, check in map_jobs(
            check_video, jobs, workers=workers, title="check", unit="clips", crash=crashed_check, size=job_size
        )
    }
    found = report(corpus, checks)
    print_report(found)
    if out is not None:
        write_stats(out, {"check": found})
        good = [clip for clip in corpus.clips if checks[clip.id].face and checks[clip.id].frames]
        write_contact_sheet(out / "contact_sheet.jpg", sample(good), detector)
    return found


def write_contact_sheet(path: Path, clips: Sequence[Clip], detector: str) -> None:
    """A contact sheet of clips that are cropped for it alone."""
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for clip in clips:
            video = Path(folder, f"{clip.id}.mp4")
            if make_clip(Job(clip.video, video, video.with_suffix(".wav"), detector)).note:
                rows.append((clip.id, video))
        if rows:
            contact_sheet(path, rows)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare check_grid", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the published files at any depth")
    parser.add_argument("--out", type=Path, help="folder for stats.json and contact_sheet.jpg (default: neither)")
    add_arguments(parser)
    given = parse(parser, argv)
    check_corpus(given.raw, given.out, **options(given))
