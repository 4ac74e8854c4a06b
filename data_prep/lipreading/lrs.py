"""LRS2 (BBC) and LRS3 (TED), for those who have a license: sentences as mouth clips with their sound.

    seqkit prepare lrs --raw DIR --out DIR [--val_size SHARE|N] [--split NAME]

Reads `main`, `pretrain`, `trainval` and `test` folders of `ID/00001.mp4` wherever they lie under --raw, with
`00001.txt` beside it, or in a tree of texts with the same folders. A text file has a line `Text: ...`, and may have a
table headed `WORD START END` in seconds. Writes clips below `mouths/`, a manifest a split and `stats.json`. LRS2's
`main` is split by its lists `train.txt`, `val.txt` and `test.txt`; LRS3's `trainval` gives `train`, and all clips of
some IDs, which are broadcasts, as `val`; `pretrain` is a split of its own, without IDs of `val` and `test`. Texts are
as published, in capitals; `speaker` is the ID. An ended run is resumed: its finished clips are kept.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.clock import FRAME_RATE
from seqkit.data.files import read_lines
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.holdout import add_val_size, chosen_val_size, held_out, holdout_size, stable_hash
from seqkit.data_prep.common.jobs import map_jobs
from seqkit.data_prep.common.outputs import Stats, print_stats, write_stats
from seqkit.data_prep.common.raw_files import Files, UniqueKeys, check_copy, find_files
from seqkit.data_prep.lipreading.clips import ClipResult, Job, add_arguments, crash_result, job_size, make_clip, options
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

PARTS = ("main", "pretrain", "trainval", "test")
VAL_SIZE = 0.05  # of the IDs
LONGEST = 86_400.0  # seconds that are no mistake
LISTS = ("train", "val", "test")
ENTRY = re.compile(r"(?P<clip>[^\s/]+/\d+)(\s.*)?")
Words = tuple[tuple[str, float, float], ...]


class Clip(NamedTuple):
    part: str  # main, pretrain, trainval or test
    talk: str  # the ID
    number: str
    video: Path

    @property
    def id(self) -> str:
        return f"{self.part}_{self.talk}_{self.number}"


def read_text(path: Path) -> tuple[str, Words]:
    """The sentence and its timed words. Raises InputError for a file without a sentence or with a malformed table."""
    text, words, table = "", [], False
    for number, line in read_lines(path):
        cells = line.split()
        if line.startswith("Text:"):
            if text:
                raise InputError(f"{path}, line {number}: `Text:` must come once, got it again; take one out")
            text = " ".join(cells[1:])
        elif cells[:3] == ["WORD", "START", "END"]:
            table = True
        elif table and cells:
            try:
                word, start, end = cells[0], float(cells[1]), float(cells[2])
                if not (0 <= start < LONGEST and 0 <= end < LONGEST):  # nan is not, either
                    raise ValueError(line)
            except (ValueError, IndexError):
                raise InputError(f"{path}, line {number}: must be a word, start and end, got {line[:60]!r}") from None
            words.append((word, start, max(start, end)))
    if not text:
        raise InputError(f"{path}: must have a line `Text: ...` with a sentence, got none")
    if words and letters(text) != letters(spoken := " ".join(word for word, _, _ in words)):
        raise InputError(f"{path}: must have the words of `Text:` in its table, got {text[:60]!r} and {spoken[:60]!r}")
    return text, tuple(words)


def letters(text: str) -> str:
    """What is said of a text: its letters and digits, without case or signs such as {LG}."""
    return "".join(filter(str.isalnum, re.sub(r"\{\w*\}", "", text).casefold()))


def find_clips(files: Files) -> list[Clip]:
    """Every video in a folder of an ID in a published folder."""
    clips: dict[str, Clip] = {}
    for path in (path for paths in files.values() for path in paths):
        part, talk = path.parts[-3:-1] if len(path.parts) > 2 else ("", "")
        if part in PARTS and path.suffix == ".mp4" and path.stem.isdigit():
            clip = Clip(part, talk, path.stem, path)
            check_copy(clips.setdefault(clip.id, clip).video, path)
    return [clips[name] for name in sorted(clips)]


def find_text(files: Files, clip: Clip) -> Path:
    """The text of a clip: beside it, else in a tree of texts that has the same folders, else of the same ID and number.

    Raises InputError for two such texts that differ.
    """
    beside = clip.video.with_suffix(".txt")
    if beside.is_file():
        return beside
    paths = files.get(beside.name, ())
    for names in ((clip.part, clip.talk), (clip.talk,)):
        found = [path for path in paths if path.parts[-1 - len(names) : -1] == names]
        for other in found[1:]:
            check_copy(found[0], other)
        if found:
            return found[0]
    return beside


def read_lists(files: Files) -> dict[str, str]:
    """Split by `ID/number`, of LRS2's lists that are there."""
    found: dict[str, str] = {}
    unique = UniqueKeys("clip")
    for split in LISTS:
        paths = [path for path in files.get(f"{split}.txt", ()) if any(map(_entry, read_lines(path)))]
        for other in paths[1:]:
            check_copy(paths[0], other)
        for number, line in read_lines(paths[0]) if paths else ():
            if match := _entry((number, line)):
                unique.add(match["clip"], f"{paths[0]}, line {number}")
                found[match["clip"]] = split
    return found


def _entry(numbered: tuple[int, str]) -> re.Match[str] | None:
    return ENTRY.fullmatch(numbered[1].strip())


def split_of(clip: Clip, lists: Mapping[str, str], val_talks: set[str], held: set[str]) -> str:
    """The split of a clip; empty for none. `held` are the IDs that `pretrain` must not have."""
    if clip.part == "pretrain":
        return "" if clip.talk in held else "pretrain"
    if clip.part == "test":
        return "test"
    if clip.part == "main" and lists:
        return lists.get(f"{clip.talk}/{clip.number}", "")
    return "val" if clip.talk in val_talks else "train"


def held_out_talks(talks: set[str], val_size: float) -> set[str]:
    """IDs for `val`. A share depends on an ID alone, not on what else is there. Raises InputError."""
    number = holdout_size(val_size, max(1, len(talks)), "IDs")
    return held_out(talks, number) if val_size >= 1 else {talk for talk in talks if hash_share(talk) < val_size}


def hash_share(text: str) -> float:
    """A stable hash as a number from 0 to 1."""
    return int.from_bytes(stable_hash(text)[:6], "big") / 2**48


def prepare(
    raw: Path,
    out: Path,
    *,
    val_size: float | None = None,
    split: str | None = None,
    workers: int = 1,
    detector: str = "cascade",
) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError where no clip is found, or none is of use."""
    share = chosen_val_size(val_size, split, VAL_SIZE)
    files = find_files(raw)
    clips, lists = find_clips(files), read_lists(files)
    if not clips:
        raise InputError(f"{raw}: must hold {', '.join(PARTS)} folders of ID/00001.mp4, in it or below, got none")
    val_talks = held_out_talks({clip.talk for clip in clips if clip.part in ("main", "trainval")}, share)
    fixed = {clip: split_of(clip, lists, val_talks, set()) for clip in clips if clip.part != "pretrain"}
    held = {clip.talk for clip, where in fixed.items() if where in ("val", "test")}
    splits: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        splits[split or split_of(clip, lists, val_talks, held)].append(clip)
    unlisted = splits.pop("", [])
    there = {f"{clip.talk}/{clip.number}" for clip in clips if clip.part == "main"}
    missing: dict[str, list[str]] = defaultdict(list)
    for name, where in lists.items() if there else ():
        if name not in there:
            missing[split or where].append(name)
    stats = {
        name: write_split(out, name, mine, files, missing[name], workers=workers, detector=detector)
        for name, mine in splits.items()
    }
    if not any(counts["items"] for counts in stats.values()):
        reasons = {name: counts["dropped"] for name, counts in stats.items()}
        raise InputError(f"{raw}: must hold usable videos with their texts, got none: {reasons}")
    if unlisted:
        left_out = {"videos": len(unlisted), "left_out": "in none of the lists, or of an ID of val or test"}
        stats["unlisted"] = {**left_out, "named": {"unlisted": [clip.id for clip in unlisted]}}
    write_stats(out, stats)
    return stats


def write_split(
    out: Path, name: str, clips: Sequence[Clip], files: Files, missing: Sequence[str], *, workers: int, detector: str
) -> dict[str, Any]:
    """The manifest of a split; `missing` clips are listed and not there. Counts first, then the names behind them."""
    texts: dict[str, tuple[str, Words]] = {}
    dropped: dict[str, list[str]] = defaultdict(list, {"missing": list(missing)} if missing else {})
    reasons: dict[str, str] = {}
    jobs, queued = [], []
    for clip in clips:
        path = find_text(files, clip)
        try:
            texts[clip.id] = read_text(path)
        except InputError as error:
            dropped["no_text"].append(clip.id)
            reasons[clip.id] = str(error)
            continue
        video = out / "mouths" / clip.part / clip.talk / f"{clip.number}.mp4"
        jobs.append(Job(clip.video, video, video.with_suffix(".wav"), detector))
        queued.append(clip)
    items: dict[str, Item] = {}
    for number, result in map_jobs(
        make_clip, jobs, workers=workers, title=name, unit="clips", crash=crash_result, size=job_size
    ):
        clip = queued[number]
        if result.note:
            items[clip.id] = item_of(clip, jobs[number], result, *texts[clip.id])
        else:
            dropped[result.reason].append(clip.id)
            reasons[clip.id] = result.text
    if items:
        write_manifest(out / f"{name}.jsonl", (items[clip.id] for clip in clips if clip.id in items))
    return {
        "videos": len(clips),
        "items": len(items),
        "seconds": sum(item.seconds or 0 for item in items.values()),
        "without_sound": sum(item.audio is None for item in items.values()),
        "talks": len(Counter(item.speaker for item in items.values())),
        "dropped": {fault: len(names) for fault, names in dropped.items()},
        "named": dropped,
        "reasons": reasons,
    }


def item_of(clip: Clip, job: Job, result: ClipResult, text: str, words: Words) -> Item:
    seconds = result.note["frames"] / FRAME_RATE
    timed = tuple((word, min(start, seconds), min(end, seconds)) for word, start, end in words)
    return Item(
        id=clip.id,
        video=job.video,
        audio=job.audio if result.note["sound"] else None,
        references=(text,),
        speaker=clip.talk,
        seconds=seconds,
        words=timed,
    )


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare lrs", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with main, pretrain, trainval, test below")
    parser.add_argument("--out", type=Path, required=True, help="folder for clips, manifests and stats.json")
    add_val_size(parser, "IDs", VAL_SIZE, ", where no published list names them")
    parser.add_argument("--split", metavar="NAME", help="put every clip that is found into one split of this name")
    add_arguments(parser)
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, val_size=given.val_size, split=given.split, **options(given)))
