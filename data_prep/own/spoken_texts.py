"""Texts beside recordings: what is said in a file, with times where the text has them.

A recording `a.mp4` has its text in `a.TextGrid`, `a.vtt`, `a.srt` or `a.txt` beside it (also `a.en.vtt`), or in the
rows of one table with columns for file and text, and where it has them start, end and speaker. Times are seconds on the
clock of the file, where players begin at 0. Readers and their traps, each tried:

- .vtt by webvtt-py, which leaves `&amp;` as it is: entities are decoded here. pysubs2 loses the words of cues with
  times inside, as YouTube writes them, and takes names of cues for text (`findings/webvtt_words.sh`).
- .srt by srt: tags and {\\an8} are taken out, everything else is text, for SubRip has no escapes.
- .TextGrid by `text_grid`.
"""

import html
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.files import read_lines
from seqkit.data.text import normalize_whitespace
from seqkit.data_prep.own.library import library
from seqkit.data_prep.own.table import is_missing
from seqkit.data_prep.own.table_rows import read_rows
from seqkit.data_prep.own.text_grid import Interval, Tier, read_text_grid
from seqkit.errors import InputError

ENDINGS = (".textgrid", ".vtt", ".srt", ".txt")  # the first that is there is read: the one that says most
SILENCE = ("", "sil", "sp", "spn", "<sil>", "<eps>", "<p:>", "silence", "#")
WORD_TIER = re.compile(r"\bwords?\b", re.IGNORECASE)
PHONE_TIER = re.compile(r"\b(phones?|phonemes?|segments?|mau)\b", re.IGNORECASE)
INNER_TIME = re.compile(r"<\d\d:\d\d[\d:.]*>")
SRT_TAGS = re.compile(r"</?(b|i|u|s|font)\b[^<>]*>|\{\\[^{}]*\}|\u2060", re.IGNORECASE)
COLUMNS = {
    "file": ("file", "file_name", "filename", "video", "audio", "path", "clip", "recording"),
    "text": ("text", "sentence", "transcript", "transcription", "caption", "references"),
    "start": ("start", "begin", "start_time"),
    "end": ("end", "stop", "end_time"),
    "speaker": ("speaker", "speaker_id", "client_id"),
}

Words = tuple[tuple[str, float, float], ...]


class Cue(NamedTuple):
    """Something that is said; without times where only its place among the others is known."""

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    words: Words = ()  # on the clock of the file


def texts_beside(path: Path) -> list[Path]:
    """The texts beside a recording: first the one that says most, of two that say as much that of its very name."""
    named = re.compile(rf"{re.escape(path.stem)}(\.[\w-]+)?")  # a.srt, or a.en.srt
    found = [
        other for other in path.parent.iterdir() if other.suffix.lower() in ENDINGS and named.fullmatch(other.stem)
    ]
    return sorted(found, key=lambda text: (ENDINGS.index(text.suffix.lower()), text.stem != path.stem, text))


def find_text(path: Path) -> Path | None:
    """The text beside a recording; of several, the one that says most. Raises InputError where either could be meant,
    such as one in English and one in German."""
    found = texts_beside(path)
    if len(found) > 1 and found[0].stem != path.stem and found[0].suffix.lower() == found[1].suffix.lower():
        raise InputError(f"{path}: must have one text of a kind, got {found[0].name} and {found[1].name}; take out one")
    return found[0] if found else None


def read_cues(path: Path, tier: str | None = None) -> list[Cue]:
    """What a file of texts says, in its order; `tier` names that of a TextGrid. Raises InputError, naming the file."""
    ending = path.suffix.lower()
    if ending == ".textgrid":
        return text_grid_cues(path, read_text_grid(path), tier)
    if ending == ".vtt":
        return read_vtt(path)
    if ending == ".srt":
        return read_srt(path)
    lines = (normalize_whitespace(line) for _, line in read_lines(path))
    return [Cue(line) for line in lines if line]


def read_srt(path: Path) -> list[Cue]:
    srt = library("srt", path, "subtitles")
    text = "\n".join(line for _, line in read_lines(path))
    try:
        found = list(srt.parse(text))
    except (srt.SRTParseError, srt.TimestampParseError, ValueError) as error:
        raise InputError(f"{path}: must be SubRip text, got a fault: {' '.join(str(error).split()):.100}") from None
    cues = (
        Cue(normalize_whitespace(SRT_TAGS.sub("", cue.content)), cue.start.total_seconds(), cue.end.total_seconds())
        for cue in found
    )
    return [cue for cue in cues if cue.text]


def read_vtt(path: Path) -> list[Cue]:
    """Cues of WebVTT. Where they have times inside, lines roll up: one that the cue before ended with is no new
    text."""
    webvtt = library("webvtt", path, "subtitles")
    text = "\n".join(line for _, line in read_lines(path)) + "\n"
    try:
        found = list(webvtt.from_string(text))
    except webvtt.errors.MalformedFileError as error:
        raise InputError(f"{path}: must be WebVTT, got a fault: {' '.join(str(error).split()):.100}") from None
    rolls = any(INNER_TIME.search(cue.raw_text) for cue in found)
    cues: list[Cue] = []
    last = ""
    for cue in found:
        lines = [normalize_whitespace(html.unescape(line)) for line in cue.text.split("\n")]
        kept = [line for line in lines if line and not (rolls and line == last)]
        last = kept[-1] if kept else last
        if kept:
            voice = normalize_whitespace(cue.voice or "") or None
            cues.append(Cue(" ".join(kept), _seconds(cue.start), _seconds(cue.end), voice))
    return cues


def _seconds(stamp: str) -> float:
    seconds = 0.0
    for part in stamp.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def text_grid_cues(path: Path, tiers: Sequence[Tier], name: str | None) -> list[Cue]:
    """Cues of the tier of that name, else of the only tier that is neither words nor phones, with words from the tier
    of words. Where there are words alone, every one is a cue with itself as its word. Raises InputError for several."""
    words = [tier for tier in tiers if WORD_TIER.search(tier.name)]
    texts = [tier for tier in tiers if tier not in words and not PHONE_TIER.search(tier.name)]
    chosen = [tier for tier in tiers if tier.name == name] if name else texts or words
    if len(chosen) != 1:
        names = ", ".join(repr(tier.name) for tier in tiers) or "none"
        raise InputError(f"{path}: --tier must name one of its tiers, {names}; got {name or 'none'}")
    spoken = [entry for tier in words[:1] for entry in _spoken(tier)]
    if chosen[0] in words:
        return [Cue(text, start, end, None, ((text, start, end),)) for start, end, text in _spoken(chosen[0])]

    def words_in(start: float, end: float) -> Words:
        return tuple((word, one, two) for one, two, word in spoken if start <= (one + two) / 2 < end)

    return [Cue(text, start, end, None, words_in(start, end)) for start, end, text in _spoken(chosen[0])]


def _spoken(tier: Tier) -> list[Interval]:
    cleaned = (entry._replace(text=normalize_whitespace(entry.text)) for entry in tier.intervals)
    return [entry for entry in cleaned if entry.text.lower() not in SILENCE]


def table_cues(path: Path) -> dict[str, list[Cue]]:
    """Cues by the name of the recording, as the table has it. Raises InputError for a table without such columns."""
    found: dict[str, list[Cue]] = defaultdict(list)
    for place, row in read_rows(path):
        names = {str(name).lower(): name for name in row}
        columns = {key: next((names[n] for n in known if n in names), None) for key, known in COLUMNS.items()}
        if columns["file"] is None or columns["text"] is None:
            raise InputError(f"{place}: must have columns `file` and `text`, got {', '.join(row)}; rename them")
        cells = {key: None if column is None else row[column] for key, column in columns.items()}
        if is_missing(cells["file"]):
            continue
        text = "" if is_missing(cells["text"]) else normalize_whitespace(str(cells["text"]))
        times = [None if is_missing(cells[key]) else _number(cells[key], key, place) for key in ("start", "end")]
        speaker = None if is_missing(cells["speaker"]) else str(cells["speaker"]).strip()
        found[str(cells["file"]).strip()].append(Cue(text, times[0], times[1], speaker))
    return found


def _number(value: Any, key: str, place: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{place}: `{key}` must be seconds, got {str(value)[:40]!r}") from None


def by_recording(cues: Mapping[str, list[Cue]], paths: Iterable[Path], raw: Path) -> dict[Path, list[Cue]]:
    """The cues of a table by recording: of the same path below `raw`, name or stem."""
    found: dict[Path, list[Cue]] = {}
    for path in paths:
        within = path.relative_to(raw)
        names = (within.as_posix(), within.with_suffix("").as_posix(), path.name, path.stem)
        if name := next((name for name in names if name in cues), None):
            found[path] = cues[name]
    return found
