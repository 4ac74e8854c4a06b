"""GRID (Cooke et al. 2006, JASA 120) on disk: which clips are there, what they say, and which alignment is whose.

A clip's name spells its sentence: `bbaf2n` is "bin blue at f two now". Alignments are lines of start, end and word,
1,000 units a frame of 25 a second; `sil` and `sp` are silence. Published folders of alignments are mixed up for many
speakers, so each is believed only where its words are those of the clip's name, and the right one is looked for in the
folders of others.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seqkit.data.files import read_lines
from seqkit.data_prep.common.raw_files import find_files
from seqkit.errors import InputError

COMMANDS = {"b": "bin", "l": "lay", "p": "place", "s": "set"}
COLORS = {"b": "blue", "g": "green", "r": "red", "w": "white"}
PREPOSITIONS = {"a": "at", "b": "by", "i": "in", "w": "with"}
LETTERS = {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"}
DIGITS = {
    "z": "zero",
    "1": "one",
    "2": "two",
    "3": "three",
    "4": "four",
    "5": "five",
    "6": "six",
    "7": "seven",
    "8": "eight",
    "9": "nine",
}
ADVERBS = {"a": "again", "n": "now", "p": "please", "s": "soon"}
SLOTS = (COMMANDS, COLORS, PREPOSITIONS, LETTERS, DIGITS, ADVERBS)
NAME = re.compile("".join(f"[{''.join(slot)}]" for slot in SLOTS))
SPEAKER = re.compile(r"(?i)(s\d{1,2})(?![a-z0-9])")  # as a folder begins: s1, s1.mpg_6000.part1, s1_processed
VIDEOS = (".mpg", ".mpeg", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
UNITS_PER_SECOND = 25_000
LONGEST = 86_400  # seconds that are no mistake
SILENCE = ("sil", "sp")
MIN_AGREEMENT = 0.5  # of a speaker's clips that a folder must agree with to be theirs

Words = tuple[tuple[str, float, float], ...]


def sentence_of(name: str) -> str:
    """The sentence that a clip's name spells."""
    return " ".join(slot[letter] for slot, letter in zip(SLOTS, name, strict=True))


class Alignment(NamedTuple):
    """One .align file."""

    path: Path
    speaker: str  # of its folder; empty where none is named after one
    words: Words | None  # without silence, in seconds; None for a malformed file
    ends: float = 0.0  # seconds


@dataclass(frozen=True)
class Clip:
    """A video of the corpus and the alignment that is its own."""

    speaker: str
    name: str
    video: Path
    alignment: Alignment | None
    state: str  # agree, elsewhere (found in another's folder), mismatch, malformed or missing

    @property
    def id(self) -> str:
        return f"{self.speaker}_{self.name}" if self.speaker else self.name


@dataclass
class Corpus:
    """All clips, and what was odd."""

    clips: list[Clip]
    copies: list[Path] = field(default_factory=list)  # videos left out for another of the same clip
    moved: dict[str, str] = field(default_factory=dict)  # speaker to the folder that holds their alignments
    unrecognized: list[Path] = field(default_factory=list)  # videos whose names spell no sentence
    unused: list[Path] = field(default_factory=list)  # alignments of clips that are not there
    alignment_copies: list[str] = field(default_factory=list)  # that differ


def read_alignment(path: Path, speaker: str = "") -> Alignment:
    """The alignment of a file in that speaker's folder; `words` is None where it is malformed."""
    words, ends = [], 0.0
    try:
        for _, line in read_lines(path):
            if line.strip():
                start, end, word = line.split()
                ends = int(end) / UNITS_PER_SECOND
                if not 0 <= int(start) <= int(end) < LONGEST * UNITS_PER_SECOND:
                    raise ValueError(line)
                if word not in SILENCE:
                    words.append((word, int(start) / UNITS_PER_SECOND, ends))
    except (ValueError, OverflowError):  # an InputError of `read_lines` is a ValueError
        return Alignment(path, speaker, None)
    return Alignment(path, speaker, tuple(words) or None, ends)


def speaker_of(path: Path) -> str:
    """By the nearest folder that is named after one; empty where none is."""
    matches = (SPEAKER.match(part) for part in reversed(path.parts[:-1]))
    return next((match[1].lower() for match in matches if match), "")


def speaker_order(speaker: str) -> tuple[int, str]:
    """By number; what is no name of a speaker comes first."""
    match = SPEAKER.fullmatch(speaker)
    return int(speaker[1:]) if match else 0, speaker


def read_corpus(raw: Path) -> Corpus:
    """Every clip below `raw`, by speaker and name. Raises InputError where there is none."""
    videos: dict[tuple[str, str], list[Path]] = defaultdict(list)
    alignments: dict[str, list[Alignment]] = defaultdict(list)
    unrecognized: list[Path] = []
    for paths in find_files(raw).values():
        for path in paths:
            name, ending = path.stem.lower(), path.suffix.lower()
            if ending == ".align" and NAME.fullmatch(name):
                alignments[name].append(read_alignment(path, speaker_of(path.relative_to(raw))))
            elif ending in VIDEOS and NAME.fullmatch(name):
                videos[speaker_of(path.relative_to(raw)) or speaker_of(path), name].append(path)
            elif ending in VIDEOS and not path.name.startswith("."):
                unrecognized.append(path)
    if not videos:
        raise InputError(
            f"{raw}: must hold GRID's videos, such as s1/bbaf2n.mpg, in it or below, got none"
            + f" ({len(unrecognized)} with other names)" * bool(unrecognized)
        )
    sizes = Counter(path.parent for paths in videos.values() for path in paths)
    chosen = {key: max(paths, key=lambda path: (sizes[path.parent], path.as_posix())) for key, paths in videos.items()}
    copies = [path for key, paths in videos.items() for path in paths if path != chosen[key]]
    folders = find_alignment_folders(chosen, alignments)
    clips = [
        Clip(speaker, name, path, *match_alignment(speaker, name, alignments, folders, chosen))
        for (speaker, name), path in sorted(chosen.items(), key=lambda item: (speaker_order(item[0][0]), item[0][1]))
    ]
    moved = {speaker: folder for speaker, folder in folders.items() if speaker != folder}
    used = {clip.name for clip in clips}
    unused = [alignment.path for name, found in alignments.items() if name not in used for alignment in found]
    return Corpus(clips, copies, moved, unrecognized, unused, alignment_copies(clips, alignments))


def alignment_copies(clips: Sequence[Clip], alignments: Mapping[str, list[Alignment]]) -> list[str]:
    """Alignments that differ from that of a clip although they lie in a folder of the same speaker."""
    return [
        f"{clip.alignment.path} was taken, not {other.path}"
        for clip in clips
        for other in alignments.get(clip.name, ())
        if clip.alignment and other.speaker == clip.alignment.speaker and other.words != clip.alignment.words
    ]


def agrees(alignment: Alignment, name: str) -> bool:
    return alignment.words is not None and " ".join(word for word, _, _ in alignment.words) == sentence_of(name)


def find_alignment_folders(
    videos: Mapping[tuple[str, str], Path], alignments: Mapping[str, list[Alignment]]
) -> dict[str, str]:
    """For every speaker the folder that agrees with most of their clips: their own, unless another is clearly it."""
    agreeing: dict[str, Counter[str]] = defaultdict(Counter)
    clips = Counter(speaker for speaker, _ in videos)
    for speaker, name in videos:
        agreeing[speaker].update({a.speaker or speaker for a in alignments.get(name, ()) if agrees(a, name)})
    folders = {}
    for speaker, number in clips.items():
        best, most = max(agreeing[speaker].items(), key=lambda item: item[1], default=(speaker, 0))
        own = agreeing[speaker][speaker] >= MIN_AGREEMENT * number
        folders[speaker] = speaker if own or most < MIN_AGREEMENT * number else best
    return folders


def match_alignment(
    speaker: str,
    name: str,
    alignments: Mapping[str, list[Alignment]],
    folders: Mapping[str, str],
    videos: Mapping[tuple[str, str], Path],
) -> tuple[Alignment | None, str]:
    """The alignment of a clip and its state: from its speaker's folder, else from that of one who has no such clip."""
    found = alignments.get(name, [])
    for alignment in found:
        if (alignment.speaker or speaker) == folders[speaker] and agrees(alignment, name):
            return alignment, "agree" if folders[speaker] == speaker else "elsewhere"
    for alignment in found:
        if agrees(alignment, name) and (alignment.speaker, name) not in videos:
            return alignment, "elsewhere"
    own = [alignment for alignment in found if alignment.speaker in (speaker, "")]
    if not own:
        return None, "missing"
    return None, "mismatch" if any(alignment.words for alignment in own) else "malformed"
