"""Recordings of any length, cut to pieces of a few seconds with their texts: at cues, or at pauses.

- A cue with times is a piece. One that is too long is cut between its words, at the longest pause among them, where
  their times are known.
- Words alone (a tier of words) are joined to pieces, which end at pauses of PAUSE or more.
- A text without times is that of the whole recording, where that is short. Of a long one its lines are what is said
  between the longest pauses of the sound, where these stand out clearly.

Times are seconds on the clock of the file; a frame of loudness is 1/25 second.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.data.clock import FRAME_RATE
from seqkit.data.text import is_blank
from seqkit.data_prep.own.spoken_texts import Cue, Words
from seqkit.flags import Parser

LONGEST = 12.0  # seconds of a piece
SHORTEST = 0.2
PAUSE = 0.5  # seconds between words, from which on a new piece begins
QUIET = 0.3  # seconds without sound that are a pause of a recording
LOUD = 0.45  # of the way in decibels from quiet to loud frames, from which on somebody speaks
BURST = 0.12  # seconds of sound that are no speech
CLEAR = 1.5  # times as long as the others that pauses must be at which lines are parted
EDGE = 0.3  # seconds of silence that are kept about what is said
BEYOND = 0.5  # seconds by which a cue may reach past the end of its recording

Floats = NDArray[np.float64]


class Piece(NamedTuple):
    """A part of a recording, and what is said in it."""

    start: float
    end: float
    text: str
    speaker: str | None = None
    words: Words = ()  # on the clock of the file


class Plan(NamedTuple):
    """The pieces of a recording, and cues that can be none: reasons and what was said of them."""

    pieces: list[Piece]
    faults: list[tuple[str, str]]


def add_text_arguments(parser: Parser) -> None:
    """The flags of texts beside recordings, and of the pieces that they are cut into."""
    parser.add_argument("--texts", type=Path, metavar="FILE", help="table of what is said (default: files beside)")
    parser.add_argument("--tier", metavar="NAME", help="tier of the TextGrids that holds what is said")
    parser.add_argument("--longest", type=float, default=LONGEST, help=f"seconds of an item (default: {LONGEST:g})")


def plan_pieces(
    cues: Sequence[Cue], begin: float, end: float, loudness: Callable[[], Floats], longest: float = LONGEST
) -> Plan:
    """Pieces of a recording from `begin` to `end`; `loudness` gives decibels of every frame, if asked."""
    plan = Plan([], [])
    cues = [cue for cue in cues if not is_blank(cue.text)]
    if not cues:
        return Plan([], [("no_text", "no text that is not empty")])
    if any(cue.start is None or cue.end is None for cue in cues):
        return _without_times(cues, begin, end, loudness, longest)
    once = dict.fromkeys(cues)
    if len(once) < len(cues):
        plan.faults.append(("repeated", f"{len(cues) - len(once)} cues with the text and times of others"))
    cues = list(once)
    alone = all(len(cue.words) == 1 and cue.words[0][0] == cue.text for cue in cues)
    for piece in _joined(cues) if alone else map(_piece, cues):
        for part in _shortened(piece, longest):
            fault = _fault(part, begin, end, longest)
            if fault:
                plan.faults.append(fault)
            else:
                plan.pieces.append(part._replace(start=max(part.start, begin), end=min(part.end, end)))
    return plan


def _piece(cue: Cue) -> Piece:
    assert cue.start is not None and cue.end is not None
    return Piece(cue.start, cue.end, cue.text, cue.speaker, cue.words)


def _fault(piece: Piece, begin: float, end: float, longest: float) -> tuple[str, str] | None:
    told = f"{piece.text[:40]!r} at {piece.start:g} to {piece.end:g} seconds"
    if piece.start >= end or piece.end > end + BEYOND:
        return "beyond_the_end", f"{told}: the recording ends at {end:g}"
    if min(piece.end, end) - max(piece.start, begin) < SHORTEST:
        return "short", f"{told}: shorter than {SHORTEST:g} seconds"
    if piece.end - piece.start > longest:
        return "long", f"{told}: longer than {longest:g} seconds, without times of words to cut it at (--longest)"
    return None


def _joined(cues: Sequence[Cue]) -> Iterator[Piece]:
    """Words to pieces, which end at pauses."""
    words: list[tuple[str, float, float]] = []
    for word in sorted((word for cue in cues for word in cue.words), key=lambda word: word[1]):
        if words and word[1] - words[-1][2] >= PAUSE:
            yield _of_words(words, None)
            words = []
        words.append(word)
    yield _of_words(words, None)


def _of_words(words: Sequence[tuple[str, float, float]], speaker: str | None) -> Piece:
    return Piece(words[0][1], words[-1][2], " ".join(word for word, _, _ in words), speaker, tuple(words))


def _shortened(piece: Piece, longest: float) -> Iterator[Piece]:
    """The piece, or its parts, cut at the longest pause between words until none is too long."""
    spoken = " ".join(word for word, _, _ in piece.words)
    if piece.end - piece.start <= longest or len(piece.words) < 2 or spoken != piece.text:
        yield piece
        return
    gaps = [after[1] - before[2] for before, after in zip(piece.words, piece.words[1:], strict=False)]
    middle = [min(n + 1, len(gaps) - n) for n in range(len(gaps))]  # of equal pauses the one nearest the middle
    cut = max(range(len(gaps)), key=lambda n: (round(gaps[n], 2), middle[n])) + 1
    for part in (piece.words[:cut], piece.words[cut:]):
        yield from _shortened(_of_words(part, piece.speaker), longest)


def _without_times(
    cues: Sequence[Cue], begin: float, end: float, loudness: Callable[[], Floats], longest: float
) -> Plan:
    speaker = cues[0].speaker
    if end - begin <= longest:
        return Plan([Piece(begin, end, " ".join(cue.text for cue in cues), speaker)], [])
    told = f"{len(cues)} lines for {end - begin:.1f} seconds"
    if len(cues) == 1:
        return Plan([], [("long", f"{told}: a text without times for a long recording; give a line for each sentence")])
    spans = split_at_pauses(loudness(), len(cues))
    if not spans:
        advice = "there are no so many pauses that are clearly longer than the others; give times, as .srt or TextGrid"
        return Plan([], [("pauses_unclear", f"{told}: {advice}")])
    plan = Plan([], [])
    for cue, (first, last) in zip(cues, spans, strict=True):
        piece = Piece(begin + first, min(end, begin + last), cue.text, cue.speaker)
        if fault := _fault(piece, begin, end, longest):
            plan.faults.append(fault)
        else:
            plan.pieces.append(piece)
    return plan


def split_at_pauses(loudness_T: Floats, parts: int) -> list[tuple[float, float]]:
    """Seconds of so many parts of a recording, parted by its longest pauses; empty where others are about as long."""
    pauses = [(first, last) for first, last in quiet_spans(loudness_T) if (last - first) / FRAME_RATE >= QUIET]
    inner = sorted(
        (span for span in pauses if span[0] > 0 and span[1] < len(loudness_T)), key=lambda span: span[0] - span[1]
    )
    chosen, others = sorted(inner[: parts - 1]), inner[parts - 1 : parts]
    shortest = min((last - first for first, last in chosen), default=0)
    if len(chosen) < parts - 1 or any(last - first > shortest / CLEAR for first, last in others):
        return []
    head = next((last for first, last in pauses if first == 0), 0)
    tail = next((first for first, last in pauses if last == len(loudness_T)), len(loudness_T))
    starts, ends = [head, *(last for _, last in chosen)], [*(first for first, _ in chosen), tail]
    rooms = [head, *((last - first) / 2 for first, last in chosen), len(loudness_T) - tail]
    return [
        ((start - min(before, EDGE * FRAME_RATE)) / FRAME_RATE, (end + min(after, EDGE * FRAME_RATE)) / FRAME_RATE)
        for start, end, before, after in zip(starts, ends, rooms, rooms[1:], strict=False)
    ]


def quiet_spans(loudness_T: Floats) -> list[tuple[int, int]]:
    """Frames [first, end) in which nobody speaks: nearer to the quiet frames of the recording than to its loud ones.
    Clicks and breaths shorter than BURST are no speech."""
    quiet, loud = np.percentile(loudness_T, (5, 95))
    edges = _edges(loudness_T >= quiet + LOUD * (loud - quiet))
    spoken_T = np.zeros(len(loudness_T), bool)
    for first, end in edges:
        spoken_T[first:end] = (end - first) / FRAME_RATE >= BURST
    return _edges(~spoken_T)


def _edges(is_so_T: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs [first, end) of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_so_T, [False]]).astype(int)))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
