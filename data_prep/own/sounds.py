"""A folder of sound with texts, or a Kaldi folder, to manifests for listening (`wlas --modality audio`).

    seqkit prepare sounds --raw DIR --out DIR [--texts FILE] [--tier NAME] [--split NAME]

Reads sound of any length and format anywhere under --raw, and what is said in each file from the file of its name
beside it (`.TextGrid`, `.vtt`, `.srt`, `.txt`), or from one table (`--texts`, CSV or TSV) with columns `file` and
`text` and, as far as known, `start`, `end` (seconds) and `speaker`. Long recordings are cut at cues, or at pauses, as
by `seqkit prepare videos`. Of a Kaldi folder it reads wav.scp, text, segments and utt2spk; folders named after a split
stay in it.

Writes `train.jsonl`, `val.jsonl`, `test.jsonl` and `stats.json`: `audio`, `references`, `seconds`, `start` and `end` of
cuts, and `speaker` and `words` where they are known. WAV and FLAC stay where they are; cuts of anything else are taken
from a copy below `sounds/` (16 kHz, mono). What could be no item is counted with its reason. Which split an item is in
is decided by a hash of its speaker, where it is known of all, else of its recording.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from seqkit.data.audio import SAMPLE_RATE, read_audio, to_samples
from seqkit.data.clock import FRAME_RATE
from seqkit.data.manifest import Item
from seqkit.data.sound_file import oddities, read_cut, sound_zero
from seqkit.data.sound_track import SAMPLES_PER_FRAME, write_wav
from seqkit.data.text import normalize_whitespace
from seqkit.data_prep.common.outputs import Stats, print_stats
from seqkit.data_prep.common.raw_files import find_files
from seqkit.data_prep.own.kaldi import Utterance, find_folders, read_folder
from seqkit.data_prep.own.pieces import LONGEST, Floats, add_text_arguments, plan_pieces
from seqkit.data_prep.own.recordings import find_texts, speaker_folders, unique_names
from seqkit.data_prep.own.shares import Dropped, Shares, add_arguments, shares_of, write_own
from seqkit.data_prep.own.spoken_texts import Cue
from seqkit.data_prep.own.table_rows import split_of
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

ENDINGS = "wav flac ogg oga opus mp3 m4a aac wma aif aiff amr caf"
SOUNDS = tuple(f".{name}" for name in ENDINGS.split())
SEEKABLE = (".wav", ".flac")  # formats of which a cut is read without all that stands before it


@dataclass
class Found:
    """Items, and what is known of each for the split."""

    items: list[Item] = field(default_factory=list)
    recordings: list[str | None] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)  # by file
    splits: list[str | None] = field(default_factory=list)

    def add(self, item: Item, recording: str, split: str | None = None) -> None:
        self.items.append(item)
        self.recordings.append(recording)
        self.splits.append(split)


def duration(path: Path, remarks: dict[str, list[str]]) -> float:
    """Seconds of a sound file; what is odd about it goes to `remarks`. Raises InputError for what is none."""
    cut = read_cut(path)
    if told := oddities(cut):
        remarks[str(path)] = list(told)
    return len(to_samples(path, cut)) / SAMPLE_RATE


def loudness(path: Path) -> Floats:
    """Decibels of every 1/25 second (T,)."""
    samples_N = read_audio(path).astype(np.float64) * 2**15
    frames_TN = samples_N[: len(samples_N) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
    levels_T: Floats = 10 * np.log10((frames_TN**2).mean(1) + 1.0)
    return levels_T


def copy_of(path: Path, copy: Path) -> Path:
    """A copy from which cuts are read fast, made now or by an earlier run."""
    if not copy.is_file() or copy.stat().st_mtime < path.stat().st_mtime:
        samples_N = np.round(np.clip(read_audio(path), -1, 1) * 32767).astype(np.int16)
        write_wav(copy, [samples_N], -(-len(samples_N) // SAMPLES_PER_FRAME))
    return copy


def items_of(
    path: Path, seconds: float, cues: Sequence[Cue], name: str, out: Path, longest: float, dropped: Dropped
) -> Iterator[Item]:
    """The items of a recording of so many seconds. Raises InputError for what is no sound."""
    begin = sound_zero(path)
    pieces, faults = plan_pieces(cues, begin, begin + seconds, lambda: loudness(path), longest)
    for reason, text in faults:
        dropped.add(reason, name, f"{path}: {text}")
    for number, piece in enumerate(sorted(pieces, key=lambda piece: piece.start), 1):
        whole = len(pieces) == 1 and (piece.start, piece.end) == (begin, begin + seconds)
        start, end = round(piece.start - begin, 4), round(piece.end - begin, 4)
        audio = path if whole or path.suffix.lower() in SEEKABLE else copy_of(path, out / "sounds" / f"{name}.wav")
        words = [(word, round(a - begin - start, 4), round(b - begin - start, 4)) for word, a, b in piece.words]
        yield Item(
            id=(name if whole else f"{name}-{number:04d}").replace("/", "-"),
            audio=audio,
            references=(piece.text,),
            speaker=piece.speaker,
            start=None if whole else start,
            end=None if whole else end,
            seconds=round(end - start, 4),
            words=tuple((word, max(0.0, a), max(0.0, b)) for word, a, b in words),
        )


def from_files(
    raw: Path, out: Path, texts: Path | None, tier: str | None, longest: float, dropped: Dropped, found: Found
) -> dict[str, object]:
    """Items of sound files with texts; what was read, for the statistics. Raises InputError where there is none."""
    own = out.resolve()
    paths = [path for files in find_files(raw).values() for path in files if path.suffix.lower() in SOUNDS]
    paths = sorted(path for path in paths if path.name[0] != "." and own not in path.resolve().parents)
    if not paths:
        raise InputError(f"{raw}: must hold sound ({', '.join(SOUNDS)}) or a Kaldi folder, got neither")
    said = find_texts(raw, paths, texts, tier, dropped)
    names, folders = unique_names(raw, paths), speaker_folders(raw, paths)
    for path in tqdm([path for path in paths if path in said.cues], desc="sounds", unit=" files", disable=None):
        cues = [cue._replace(speaker=cue.speaker or folders.get(path)) for cue in said.cues[path]]
        try:
            for item in items_of(path, duration(path, found.remarks), cues, names[path], out, longest, dropped):
                found.add(item, path.relative_to(raw).with_suffix("").as_posix())
        except InputError as error:
            dropped.add("unreadable", str(path.relative_to(raw)), str(error))
    return {
        "sounds": len(paths),
        "texts": dict(Counter(said.kinds.values())),
        "shared_texts": said.shared,
        "unread_texts": said.unread,
    }


def from_kaldi(folders: Sequence[Path], raw: Path, dropped: Dropped, found: Found) -> dict[str, object]:
    """Items of Kaldi folders; what was read, for the statistics."""
    lengths: dict[Path, float] = {}
    for folder in folders:
        split = split_of(folder.relative_to(raw) / "text") if folder != raw else None
        for utterance in tqdm(list(read_folder(folder, dropped)), desc=folder.name, unit=" items", disable=None):
            try:
                if utterance.audio not in lengths:
                    lengths[utterance.audio] = duration(utterance.audio, found.remarks)
                found.add(kaldi_item(utterance, lengths[utterance.audio]), utterance.recording, split)
            except InputError as error:
                dropped.add("unreadable", utterance.id, str(error))
    return {"kaldi_folders": [str(folder.relative_to(raw)) for folder in folders]}


def kaldi_item(utterance: Utterance, seconds: float) -> Item:
    """The item of an utterance. Raises InputError for one that is outside its recording."""
    start, end = utterance.start or 0.0, seconds if utterance.end is None else utterance.end
    if not 0 <= start < min(end, seconds) or end > seconds + 1 / FRAME_RATE:
        told = f"`segments` must be within the {seconds:g} seconds of the recording, got {start:g} to {end:g}"
        raise InputError(f"{utterance.id}: {told}; correct them")
    end = min(end, seconds)
    whole = utterance.start is None
    return Item(
        id=utterance.id,
        audio=utterance.audio,
        references=(utterance.text,),
        speaker=utterance.speaker,
        start=None if whole else start,
        end=None if whole else end,
        seconds=round(end - start, 4),
    )


def prepare(
    raw: Path,
    out: Path,
    shares: Shares,
    *,
    texts: Path | None = None,
    tier: str | None = None,
    longest: float = LONGEST,
) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError where there is no sound, or none is of use."""
    if longest <= 0:
        raise InputError(f"--longest must be above 0 seconds, got {longest:g}")
    dropped, found = Dropped(), Found()
    if not raw.is_dir():
        raise InputError(f"{raw}: must be a folder of sound, got no folder")
    folders = find_folders(raw)
    if folders:
        about = from_kaldi(folders, raw, dropped, found)
    else:
        about = from_files(raw, out, texts, tier, longest, dropped, found)
    units: dict[str, list[str | None]] = {
        "speaker": [item.speaker for item in found.items],
        "recording": found.recordings,
        "text": [normalize_whitespace(item.references[0]).lower() for item in found.items],
    }
    about |= {"remarked": len(found.remarks), "remarks": found.remarks}
    return write_own(out, found.items, units, shares, about, dropped, found.splits)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare sounds", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the sound at any depth, or of Kaldi")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    add_text_arguments(parser)
    add_arguments(parser, ("speaker", "recording", "text"))
    given = parse(parser, argv)
    chosen = {"texts": given.texts, "tier": given.tier, "longest": given.longest}
    print_stats(prepare(given.raw, given.out, shares_of(given), **chosen))
