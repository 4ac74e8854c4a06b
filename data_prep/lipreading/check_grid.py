"""The doctor of GRID: what is there, and what is wrong with it, without preparing anything.

Every video is decoded to its end and its sound too; a face is looked for until one is found. Alignments are compared
with the clips' names, and where a speaker's lie in another's folder, it is named. With --out, `stats.json` gets a
section `doctor`, and `contact_sheet.jpg` shows crops of some clips of every speaker.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqkit.data.video_file import FRAME_RATE, SAMPLES_PER_FRAME, read_frames, read_sound
from seqkit.data_prep.common.outputs import write_stats
from seqkit.data_prep.lipreading.clips import Job, crash_result, make_clip, map_jobs
from seqkit.data_prep.lipreading.grid_corpus import Clip, Corpus, read_corpus
from seqkit.data_prep.lipreading.grid_splits import sample
from seqkit.data_prep.lipreading.mouths import contact_sheet, make_detector, reduced
from seqkit.errors import InputError

STRIDE = 25  # frames from one look for a face to the next
SILENT = 64  # of 32,768: sound that never goes beyond is none
LATE = 0.2  # seconds by which an alignment may reach past its video
SHOWN = 5  # clips that are named for each fault on the screen


class VideoCheck(NamedTuple):
    """What a quick pass over a video showed."""

    frames: int = 0
    face: bool = False
    seconds: float = 0.0  # of sound
    loudest: int = 0
    remarks: tuple[str, ...] = ()
    fault: str = ""  # why it cannot be decoded


def look(job: Job) -> VideoCheck:
    """Decodes all of a video and its sound."""
    remarks: list[str] = []
    layout, _, detect = make_detector(job.detector)
    frames, face, samples, loudest = 0, False, 0, 0

    try:
        for frames, picture in zip(
            count(1), read_frames(job.source, layout=layout, size=reduced, note=remarks.append), strict=False
        ):
            face = face or frames % STRIDE == 1 and bool(detect(picture, None))
        for block in read_sound(job.source, note=remarks.append):
            samples += len(block)
            loudest = max(loudest, int(np.abs(block.astype(np.int32)).max(initial=0)))
    except InputError as error:
        return VideoCheck(fault=str(error))
    return VideoCheck(frames, face, samples / SAMPLES_PER_FRAME / FRAME_RATE, loudest, tuple(remarks))


def crashed_check(job: Job) -> VideoCheck:
    return VideoCheck(fault=crash_result(job).text)


def faults(clip: Clip, seen: VideoCheck) -> list[str]:
    """Short names of all that is wrong with a clip."""
    found = [f"alignment_{clip.state}"] if clip.state not in ("agree",) else []
    if seen.fault:
        return [*found, "undecodable"]
    words = clip.alignment.words if clip.alignment else None
    checks = {
        "no_face": not seen.face,
        "no_sound": seen.seconds == 0,
        "silent": seen.seconds > 0 and seen.loudest <= SILENT,
        "damaged": bool(seen.remarks),
        "cut_off": bool(words) and words[-1][2] > seen.frames / FRAME_RATE + LATE,
        "sound_of_other_length": seen.seconds > 0 and abs(seen.seconds - seen.frames / FRAME_RATE) > 0.5,
    }
    return found + [name for name, there in checks.items() if there]


def report(corpus: Corpus, seen: Mapping[str, VideoCheck]) -> dict[str, Any]:
    """Counts by speaker, and the clips behind every fault."""
    speakers: dict[str, dict[str, Any]] = {}
    named: dict[str, list[str]] = defaultdict(list)
    frames: dict[str, Counter[int]] = defaultdict(Counter)
    for clip in corpus.clips:
        counts = speakers.setdefault(clip.speaker, {"videos": 0, "frames": 0, "aligned": 0, "faults": Counter()})
        counts["videos"] += 1
        counts["frames"] += seen[clip.id].frames
        counts["aligned"] += clip.alignment is not None
        frames[clip.speaker][seen[clip.id].frames] += 1
        for fault in faults(clip, seen[clip.id]):
            counts["faults"][fault] += 1
            named[fault].append(clip.id)
    for speaker, counts in speakers.items():
        counts["lengths"] = dict(frames[speaker].most_common(5))
    return {
        "videos": len(corpus.clips),
        "speakers": speakers,
        "alignments_in_the_folder_of": corpus.moved,
        "copies_left_out": [str(path) for path in corpus.copies],
        "other_videos": corpus.unrecognized,
        "named": dict(named),
        "found_in": {c.id: str(c.alignment.path) for c in corpus.clips if c.alignment and c.state == "elsewhere"},
        "reasons": {name: look.fault for name, look in seen.items() if look.fault},
        "remarks": {name: look.remarks for name, look in seen.items() if look.remarks},
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
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        print(f"{fault} ({len(names)}): {', '.join(names[:SHOWN])}{more}")
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
    seen = {
        corpus.clips[number].id: one
        for number, one in map_jobs(look, jobs, workers=workers, title="doctor", crash=crashed_check)
    }
    found = report(corpus, seen)
    print_report(found)
    if out is not None:
        write_stats(out, {"doctor": found})
        good = [clip for clip in corpus.clips if seen[clip.id].face and seen[clip.id].frames]
        write_contact_sheet(out / "contact_sheet.jpg", sample(good), detector)
    return found


def write_contact_sheet(path: Path, clips: Sequence[Clip], detector: str) -> None:
    """The contact sheet of clips that are cropped for it alone."""
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for clip in clips:
            video = Path(folder, f"{clip.id}.mp4")
            if make_clip(Job(clip.video, video, video.with_suffix(".wav"), detector)).note:
                rows.append((clip.id, video))
        if rows:
            contact_sheet(path, rows)
