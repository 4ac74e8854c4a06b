"""GRID (Cooke et al. 2006, JASA 120): six-word commands of 34 talkers, as mouth clips with their sound.

    seqkit prepare grid --raw DIR --out DIR [--protocol auto|unseen|overlapped|speaker] [--split NAME]

Videos and alignments are found by name anywhere under --raw: `s1/bbaf2n.mpg`, `alignments/s1/bbaf2n.align`, or as
unpacked otherwise. Writes clips below `mouths/`, a manifest a split, `stats.json`, and `contact_sheet.jpg`, a row of
crops for some clips of every speaker. An item is `id` (s1_bbaf2n), `video` and `audio` (see mouths.py), `references`
(the sentence that the clip's name spells), `speaker`, `seconds`, and `words` where an alignment agrees with the name.
An ended run is resumed: its finished clips are kept. `seqkit prepare check_grid` looks for faults without preparing.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqkit.data.clock import FRAME_RATE
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.jobs import map_jobs
from seqkit.data_prep.common.outputs import MAX_NAMED, print_stats, write_stats
from seqkit.data_prep.lipreading import grid_splits
from seqkit.data_prep.lipreading.clips import ClipResult, Job, add_arguments, crash_result, job_size, make_clip, options
from seqkit.data_prep.lipreading.contact_sheet import contact_sheet
from seqkit.data_prep.lipreading.grid_corpus import Clip, Corpus, read_corpus, sentence_of
from seqkit.data_prep.lipreading.grid_splits import PROTOCOLS, sample, split
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

ALIGNMENT_TOLERANCE = 0.2  # seconds by which an alignment may outlast the video; more is a video that is cut off


def prepare(
    raw: Path,
    out: Path,
    *,
    protocol: str = "auto",
    name: str | None = None,
    seed: int = 0,
    workers: int = 1,
    detector: str = "cascade",
) -> dict[str, Any]:
    """Writes what it finds, all of it into one split where `name` is given; the statistics.

    Raises InputError where no clip is found, or none is of use.
    """
    corpus = read_corpus(raw)
    jobs = [job_of(clip, out, detector) for clip in corpus.clips]
    results: dict[str, ClipResult] = {}
    for number, result in map_jobs(
        make_clip, jobs, workers=workers, title="mouths", unit="clips", crash=crash_result, size=job_size
    ):
        results[corpus.clips[number].id] = check_complete(corpus.clips[number], result)
    kept = [clip for clip in corpus.clips if results[clip.id].note]
    if not kept:
        reasons = Counter(result.reason for result in results.values())
        text = next(result.text for result in results.values())
        raise InputError(f"{raw}: must hold usable videos, got none: {dict(reasons)}; the first: {text}")
    splits = {name: kept} if name else split(kept, protocol, seed)
    stats: dict[str, Any] = {}
    for title, clips in splits.items():
        write_manifest(out / f"{title}.jsonl", (item_of(clip, results[clip.id], out) for clip in clips))
        stats[title] = {
            "items": len(clips),
            "seconds": sum(results[c.id].note["frames"] for c in clips) / FRAME_RATE,
            "speakers": dict(Counter(clip.speaker for clip in clips)),
        }
    stats["corpus"] = {
        "protocol": f"all into {name}" if name else protocol,
        "seed": seed,
        **corpus_stats(corpus, results),
    }
    write_stats(out, stats)
    contact_sheet(out / "contact_sheet.jpg", [(clip.id, video_of(clip, out)) for clip in sample(kept)])
    return stats


def video_of(clip: Clip, out: Path) -> Path:
    return out / "mouths" / (clip.speaker or "unknown") / f"{clip.name}.mp4"


def job_of(clip: Clip, out: Path, detector: str) -> Job:
    video = video_of(clip, out)
    return Job(clip.video, video, video.with_suffix(".wav"), detector)


def check_complete(clip: Clip, result: ClipResult) -> ClipResult:
    """The result, or why the clip is dropped where its video ends before its sentence."""
    if not result.note or clip.alignment is None or not clip.alignment.words:
        return result
    spoken, seconds = clip.alignment.words[-1][2], result.note["frames"] / FRAME_RATE
    if spoken <= seconds + ALIGNMENT_TOLERANCE:
        return result
    return ClipResult(
        {}, "cut_off", f"{clip.video}: must last until the last word ends, {spoken:g} seconds, got {seconds:g}"
    )


def item_of(clip: Clip, result: ClipResult, out: Path) -> Item:
    video, seconds = video_of(clip, out), result.note["frames"] / FRAME_RATE
    spoken = clip.alignment.words or () if clip.alignment else ()
    words = tuple((word, min(start, seconds), min(end, seconds)) for word, start, end in spoken)
    audio = video.with_suffix(".wav") if result.note["sound"] else None
    return Item(
        id=clip.id,
        video=video,
        audio=audio,
        references=(sentence_of(clip.name),),
        speaker=clip.speaker or None,
        seconds=seconds,
        words=words,
    )


def corpus_stats(corpus: Corpus, results: Mapping[str, ClipResult]) -> dict[str, Any]:
    """Counts first, then the names behind them."""
    named: dict[str, list[str]] = defaultdict(list)
    remarks: dict[str, list[str]] = {}
    for clip in corpus.clips:
        note, reason = results[clip.id].note, results[clip.id].reason
        if reason:
            named[reason].append(clip.id)
        if clip.state != "agree":
            named[f"alignment_{clip.state}"].append(clip.id)
        if note and not note["sound"]:
            named["no_sound"].append(clip.id)
        if note.get("remarks"):
            remarks[clip.id] = note["remarks"]
    notes = [result.note for result in results.values() if result.note]
    return {
        "videos": len(corpus.clips),
        "items": len(notes),
        "frames": sum(note["frames"] for note in notes),
        "without_words": sum(clip.alignment is None for clip in corpus.clips if results[clip.id].note),
        "without_sound": sum(not note["sound"] for note in notes),
        "held_still": sum(len(note["boxes"]) == 1 for note in notes),
        "dropped": dict(Counter(result.reason for result in results.values() if result.reason)),
        "alignments": dict(Counter(clip.state for clip in corpus.clips)),
        "alignments_in_the_folder_of": corpus.moved,
        "copies_left_out": len(corpus.copies),
        "other_videos": len(corpus.unrecognized),
        "named": {**named, **corpus_names(corpus)},
        "remarks": remarks,
        "reasons": {name: result.text for name, result in results.items() if result.text},
    }


def corpus_names(corpus: Corpus) -> dict[str, list[str]]:
    """The first of what was left out or odd about the corpus as a whole, by kind; kinds without any are left out."""
    names = {
        "copies_left_out": list(map(str, corpus.copies)),
        "other_videos": list(map(str, corpus.unrecognized)),
        "alignments_without_video": list(map(str, corpus.unused)),
        "alignment_copies_differ": corpus.alignment_copies,
    }
    return {kind: found[:MAX_NAMED] for kind, found in names.items() if found}


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare grid", f"{__doc__}\n{grid_splits.__doc__}")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the published files at any depth")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for clips, manifests, stats.json and contact_sheet.jpg"
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="auto", help="default: auto")
    parser.add_argument("--split", metavar="NAME", help="put every clip that is found into one split of this name")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of sentences for val and test (default: 0)")
    add_arguments(parser)
    given = parse(parser, argv)
    print_stats(
        prepare(given.raw, given.out, protocol=given.protocol, name=given.split, seed=given.seed, **options(given))
    )
