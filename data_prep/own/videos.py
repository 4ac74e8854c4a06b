"""A folder of videos of faces, from any phone or camera, to mouth clips and manifests for lipnet and wlas.

    seqkit prepare videos --raw DIR --out DIR [--texts FILE] [--face largest|left|right] [--split NAME]

Reads videos of any length anywhere under --raw, and what is said in each from the file of its name beside it:
`.TextGrid`, `.vtt`, `.srt` or `.txt`; or from one table (`--texts`, CSV or TSV) with columns `file` and `text` and, as
far as known, `start`, `end` (seconds) and `speaker`. With times, every cue is an item. A tier of words is cut at
pauses, with the times of its words. A text without times is that of the whole video; of one longer than `--longest`,
its lines are what is said between the longest pauses of the sound.

Writes clips below `mouths/` (25 frames a second, with their sound), `train.jsonl`, `val.jsonl`, `test.jsonl`,
`contact_sheet.jpg` and `stats.json`: `video`, `audio`, `references`, `seconds`, and `speaker` and `words` where they
are known. The contact sheet shows for some clips the whole frame, the crop in yellow and other faces in red: look at
it. What could be no item is counted with its reason. An ended run is resumed: its finished clips are kept.

Which split an item is in is decided by a hash of its speaker, where it is known of all, else of its recording. The
speaker is the column of the table, the voice of a .vtt, or the folder of the video where all videos lie in folders.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.clock import FRAME_RATE
from seqkit.data.manifest import Item
from seqkit.data.text import normalize_whitespace
from seqkit.data.video_file import read_note
from seqkit.data_prep.common.jobs import map_jobs
from seqkit.data_prep.common.outputs import Stats, print_stats
from seqkit.data_prep.common.raw_files import find_files
from seqkit.data_prep.lipreading.clips import add_arguments as add_clip_arguments
from seqkit.data_prep.lipreading.clips import options
from seqkit.data_prep.lipreading.faces import CHOICES
from seqkit.data_prep.own.face_sheet import write_sheet
from seqkit.data_prep.own.pieces import LONGEST, add_text_arguments
from seqkit.data_prep.own.recordings import Texts, find_texts, speaker_folders, unique_names
from seqkit.data_prep.own.shares import Dropped, Shares, add_arguments, shares_of, write_own
from seqkit.data_prep.own.video_clips import Made, PieceClip, Recording, crashed, make_clips
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

ENDINGS = "mp4 mov m4v mkv webm avi mpg mpeg ts mts m2ts 3gp flv wmv ogv"
VIDEOS = tuple(f".{name}" for name in ENDINGS.split())


class Options(NamedTuple):
    """How own videos are prepared."""

    texts: Path | None = None
    tier: str | None = None
    face: str = "largest"
    longest: float = LONGEST
    detector: str = "cascade"
    workers: int = 1


def find_videos(raw: Path, out: Path, dropped: Dropped) -> list[Path]:
    """Videos at any depth, but for mouth clips that a preparation wrote. Raises InputError where there is none."""
    paths = [path for found in find_files(raw).values() for path in found if path.suffix.lower() in VIDEOS]
    own = out.resolve()
    paths = sorted(path for path in paths if path.name[0] != "." and own not in path.resolve().parents)
    if not paths:
        raise InputError(f"{raw}: must hold videos ({', '.join(VIDEOS)}) in it or below, got none")
    kept = []
    for path in paths:
        try:
            if read_note(path):
                dropped.add("mouth_clip", str(path.relative_to(raw)), "made by an earlier preparation")
                continue
        except InputError as error:
            dropped.add("unreadable", str(path.relative_to(raw)), str(error))
            continue
        kept.append(path)
    return kept


def items_of(made: Made, recording: str, speaker: str | None) -> Iterator[Item]:
    """The items of a recording."""
    for clip in made.clips:
        seconds = clip.note["frames"] / FRAME_RATE
        shifted = [(word, round(a - clip.begin, 4), round(b - clip.begin, 4)) for word, a, b in clip.piece.words]
        yield Item(
            id=(Path(recording).parent / clip.video.stem).as_posix().replace("/", "-"),
            video=clip.video,
            audio=clip.video.with_suffix(".wav") if clip.note["sound"] else None,
            references=(clip.piece.text,),
            speaker=clip.piece.speaker or speaker,
            seconds=seconds,
            words=tuple((word, max(0.0, start), min(end, seconds)) for word, start, end in shifted if start < seconds),
        )


def prepare(raw: Path, out: Path, shares: Shares, options: Options = Options()) -> Stats:  # noqa: B008
    """Writes what it finds; statistics by split. Raises InputError where there is no video, or none is of use."""
    if options.longest <= 0:
        raise InputError(f"--longest must be above 0 seconds, got {options.longest:g}")
    dropped = Dropped()
    videos = find_videos(raw, out, dropped)
    texts = find_texts(raw, videos, options.texts, options.tier, dropped)
    names, folders = unique_names(raw, videos), speaker_folders(raw, videos)
    jobs = [
        Recording(
            path,
            tuple(texts.cues[path]),
            (out / "mouths" / names[path]).parent,
            Path(names[path]).name,
            options.detector,
            options.face,
            options.longest,
        )
        for path in videos
        if path in texts.cues
    ]
    found: dict[Path, Made] = {}
    workers = options.workers
    for number, made in map_jobs(make_clips, jobs, workers=workers, title="mouths", unit="videos", crash=crashed):
        found[jobs[number].source] = made
    items: list[Item] = []
    recordings: list[str | None] = []
    for job in jobs:
        own = list(items_of(found[job.source], names[job.source], folders.get(job.source)))
        items += own
        recordings += [job.source.relative_to(raw).with_suffix("").as_posix()] * len(own)
        for reason, text in found[job.source].faults:
            dropped.add(reason, str(job.source.relative_to(raw)), text)
    clips = [clip for job in jobs for clip in found[job.source].clips]
    units: dict[str, list[str | None]] = {
        "speaker": [item.speaker for item in items],
        "recording": recordings,
        "text": [normalize_whitespace(item.references[0]).lower() for item in items],
    }
    stats = write_own(out, items, units, shares, about(videos, texts, clips), dropped)
    write_sheet(out / "contact_sheet.jpg", clips)
    return stats


def about(videos: Sequence[Path], texts: Texts, clips: Sequence[PieceClip]) -> Mapping[str, Any]:
    """Counts of all videos, and remarks about clips."""
    remarks = {clip.video.stem: clip.note["remarks"] for clip in clips if clip.note["remarks"]}
    return {
        "videos": len(videos),
        "texts": dict(Counter(texts.kinds.values())),
        "shared_texts": texts.shared,
        "unread_texts": texts.unread,
        "without_sound": sum(not clip.note["sound"] for clip in clips),
        "several_faces": sum(any("faces, of which" in remark for remark in own) for own in remarks.values()),
        "remarked": len(remarks),
        "remarks": remarks,
    }


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare videos", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the videos at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for clips, manifests and the contact sheet")
    add_text_arguments(parser)
    parser.add_argument("--face", choices=CHOICES, default="largest", help="of several people (default: largest)")
    add_arguments(parser, ("speaker", "recording", "text"))
    add_clip_arguments(parser)
    given = parse(parser, argv)
    chosen = Options(given.texts, given.tier, given.face, given.longest, **options(given))
    print_stats(prepare(given.raw, given.out, shares_of(given), chosen))
    print(f"look at {given.out / 'contact_sheet.jpg'}: the crop is yellow, other faces are red")
