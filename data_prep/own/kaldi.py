"""Kaldi's data folders: utterances with their recording, times, text and speaker.

`wav.scp` says where a recording is, `segments` which part of it is an utterance, `text` what is said, `utt2spk` by
whom. Commands in `wav.scp` are never run: of `flac -c -d FILE |` and `cat FILE |` the file is read, all others are
named.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqkit.data.files import read_lines
from seqkit.data.text import is_blank, normalize_whitespace
from seqkit.data_prep.own.shares import Dropped
from seqkit.errors import InputError

READERS = ("cat", "flac")  # programs whose output is the sound of the file that they are given


class Utterance(NamedTuple):
    """One utterance; seconds, None where it is the whole recording."""

    id: str
    audio: Path
    recording: str
    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


def find_folders(raw: Path) -> list[Path]:
    """Folders with a `wav.scp` and a `text`, at any depth."""
    return sorted(path.parent for path in raw.rglob("wav.scp") if (path.parent / "text").is_file())


def read_map(path: Path) -> dict[str, str]:
    """The rest of each line by its first word; nothing for a missing file. Raises InputError for a name given twice."""
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in read_lines(path) if path.is_file() else ():
        name, _, rest = normalize_whitespace(line).partition(" ")
        if name in found:
            twice = f"got it in line {lines[name]}, too; take out one of the two"
            raise InputError(f"{path}, line {number}: must name {name!r} once, {twice}")
        if name:
            found[name], lines[name] = rest, number
    return found


def read_folder(folder: Path, dropped: Dropped) -> Iterator[Utterance]:
    """The utterances of a folder whose sound is there. Raises InputError for a malformed file."""
    texts, speakers = read_map(folder / "text"), read_map(folder / "utt2spk")
    if len(set(speakers.values())) == len(speakers):  # Kaldi's way to say that speakers are not known
        speakers = {}
    recordings = read_map(folder / "wav.scp")
    segments = read_segments(folder / "segments") or {name: (name, None, None) for name in recordings}
    for name in (name for name in texts if name not in segments):
        dropped.add("no_segment", name, f"{folder}: neither in segments nor in wav.scp")
    for name, (recording, start, end) in segments.items():
        if is_blank(texts.get(name, "")):
            dropped.add("no_text", name, f"{folder / 'text'}: has none")
        elif recording not in recordings:
            dropped.add("missing", name, f"{folder / 'wav.scp'}: has no {recording}")
        elif isinstance(audio := sound_of(recordings[recording], folder), Path):
            yield Utterance(name, audio, recording, texts[name], start, end, speakers.get(name))
        else:
            dropped.add(audio[0], name, audio[1])


def read_segments(path: Path) -> dict[str, tuple[str, float | None, float | None]]:
    """Recording, start and end of each utterance; an end of -1 is that of the recording. Raises InputError."""
    found: dict[str, tuple[str, float | None, float | None]] = {}
    for name, rest in read_map(path).items():
        try:
            recording, first, last = rest.split()[:3]
            start, end = float(first), float(last)
        except ValueError:
            raise InputError(f"{path}: {name} must have a recording, start and end, got {rest!r:.60}") from None
        found[name] = (recording, start, None if end < 0 else end)
    return found


def sound_of(entry: str, folder: Path) -> Path | tuple[str, str]:
    """The file of an entry of `wav.scp`, or why there is none: reason and text."""
    words = [entry]
    if entry.rstrip().endswith("|"):
        try:
            words = shlex.split(entry.rstrip().rstrip("|"))
        except ValueError:  # a quotation that does not end
            words = []
        if not words or Path(words[0]).name not in READERS or "|" in words:
            return "command", f"{entry!r:.80} is a command, which is not run; write its output to a file and name that"
        words = [word for word in words[1:] if not word.startswith("-")]
    found = [path for word in words for above in (folder, *folder.parents) if (path := above / word).is_file()]
    return found[0] if found else ("missing", f"{folder / 'wav.scp'}: no file {' '.join(words)}")
