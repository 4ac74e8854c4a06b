"""Sound files to samples, read to their real end: streamed ones, ones that are joined, ones without a count.

What the header says of the length is not believed where the file itself goes on, or where it cannot be so long. Mono
is the mean of all channels, and memory is bounded by the length of the sound.

N samples, C channels.
"""

import io
import mmap
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.data.resampling import resample
from seqkit.data.shards import has_file, open_file, openable, size_of
from seqkit.errors import InputError

Floats = NDArray[np.float32]

BLOCK = 1 << 16  # samples that are read at once
SLACK = 0.1  # seconds by which a cut may reach past the end of a file
UNKNOWN = 1 << 30  # samples; a header that says more was written before the length was known
PIPED = 0x7F000000  # bytes; a header that says more was written before the length was known
SIZES = re.compile(
    r"^ *(?:data|riff|SSND|Data Size) +: (\d+) \(should be (\d+)\)", re.MULTILINE
)  # as libsndfile tells them
LAST_PAGE = "cut off in its last page"  # of Ogg
HEAD = 1 << 20  # bytes in which the count of an MP3 file stands, where it has one
OVER = 2.0  # times full scale, which sound of a lossy codec does not reach
SILENCE = 0.002  # of full scale; sound that never exceeds it is silence
SILENT, CANCELED = "the sound is silent", "the channels of the sound cancel each other out; keep one of them"
RATES = (1_000, 1_000_000)  # samples a second that sound may have
MARKS = {  # of a beginning, how far in
    b"fLaC": (b"fLaC\0", 0), b"OggS": (b"OggS\0\2", 0), b"RIFF": (b"WAVEfmt ", 8), b"FORM": (b"AIFFCOMM", 8),
    b"caff": (b"caff\0\1\0\0desc", 0), b".snd": (b".snd\0\0\0", 0),
}  # fmt: skip
OTHERS = {
    "mp3",
    "aac",
    "flac",
    "ogg",
    "mov",
    "matroska",
    "wav",
    "asf",
    "avi",
    "flv",
    "mpegts",
    "amr",
    "caf",
    "ac3",
    "eac3",
}


class Cut(NamedTuple):
    """A cut of a sound file, or all of it."""

    rate: int
    samples_N: Floats  # mono
    loudest: float  # largest value before channels were averaged
    damage: tuple[str, ...] = ()


def read_cut(path: Path, start: float = 0.0, end: float | None = None) -> Cut:
    """Reads a sound file from second `start` to `end`. Raises InputError with the file's name for what is no sound, is
    damaged, or does not reach as far as the cut."""
    import soundfile

    if not has_file(path):
        raise InputError(f"{path}: no such sound file; correct the path or fetch the file")
    if not size_of(path):
        raise InputError(f"{path}: must be sound, got an empty file; fetch it again")
    told = 0.0
    try:
        with soundfile.SoundFile(openable(path)) as file:
            check_rate(path, file.samplerate)
            guessed, reason = file.format == "MP3" and not counted(path), "no sample"
            told = 0.0 if guessed or file.frames >= UNKNOWN else file.frames / file.samplerate
            if file.format != "MP3" and not joined(path) and file.frames:  # none by the header that a pipe may have
                return _read_blocks(path, file, start, end)
    except (soundfile.LibsndfileError, TypeError) as error:  # the latter for a name that ends in .raw
        reason = str(getattr(error, "error_string", "no header")).strip().rstrip(".")
    found = _read_joined(path) if joined(path) else _decode(path)
    if found is None and reason == "no sample":
        raise InputError(f"{path}: must hold at least one sample, got none; fetch it again")
    if found is None:
        raise InputError(
            f"{path}: must be sound as wav, flac, ogg or mp3, got other or damaged data ({reason}); "
            "convert it, or fetch it again"
        )
    seconds = len(found.samples_N) / found.rate
    if seconds < told - SLACK and not any(note.startswith("cut off") for note in found.damage):
        found = found._replace(damage=(*found.damage, cut_off(seconds, told)))
    begin = sound_zero(path) if start or end is not None else 0.0
    start, end = max(0.0, start - begin), None if end is None else end - begin
    first, last = _span(path, start, end, found.rate, len(found.samples_N))
    return found._replace(samples_N=found.samples_N[first:last])


def counted(path: Path) -> bool:
    """Whether an MP3 file has a header that counts its frames; without, their number is a guess."""
    with open_file(path) as file:
        head = file.read(HEAD)
    return b"Xing\0\0\0" in head or b"Info\0\0\0" in head


def cut_off(seconds: float, told: float) -> str:
    """A remark on sound that is shorter than its file tells."""
    return f"cut off: {seconds:.2f} of {told:.2f} seconds"


def oddities(cut: Cut) -> tuple[str, ...]:
    """Remarks on sound: damage, silence, samples beyond full scale."""
    most = float(np.abs(cut.samples_N).max(initial=0.0))
    over = f"samples reach {cut.loudest:.3g} times full scale, at which they are clipped" if cut.loudest > OVER else ""
    return tuple(filter(None, (*cut.damage, silence(most, cut.loudest), over)))


def silence(mixed: float, channels: float) -> str:
    """What is wrong with sound whose loudest sample, of full scale, is `mixed` in mono and `channels` before; empty
    where nothing is."""
    if mixed > SILENCE:
        return ""
    return CANCELED if channels > SILENCE else SILENT


def joined(path: Path) -> list[int]:
    """Where files of the same kind begin, of which several are joined to one; empty for a single one."""
    if not isinstance(source := openable(path), Path):
        return _beginnings(source.read())
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _beginnings(content)


def _beginnings(content: bytes | mmap.mmap) -> list[int]:
    mark, into = MARKS.get(content[:4], (b"", 0))
    places = [0]
    while mark and (found := content.find(mark, places[-1] + into + 1)) >= 0:
        places.append(found - into)
    return places if len(places) > 1 else []


def _read_joined(path: Path) -> Cut | None:
    """All of joined files, at the rate of the first; None where one of them is damaged."""
    import soundfile

    places, cuts = joined(path), []
    with open_file(path) as whole:
        content = whole.read()
    for first, last in zip(places, [*places[1:], None], strict=True):
        try:
            with soundfile.SoundFile(io.BytesIO(content[first:last])) as file:
                check_rate(path, file.samplerate)
                cuts.append(_read_blocks(path, file, 0.0, None))
        except soundfile.LibsndfileError:
            return None
    return _join([(cut.rate, cut.samples_N) for cut in cuts], max(cut.loudest for cut in cuts))


def _join(parts: Sequence[tuple[int, Floats]], loudest: float) -> Cut:
    rate = parts[0][0]
    return Cut(rate, np.concatenate([resample(samples_N, own, rate) for own, samples_N in parts]), loudest)


def _read_blocks(path: Path, file: Any, start: float, end: float | None) -> Cut:
    """Reads a cut, or to the real end where the header does not know the length. Raises InputError for a file that ends
    before the length that it says."""
    known = 0 <= file.frames < UNKNOWN
    first, last = _span(path, start, end, file.samplerate, file.frames) if known else (0, UNKNOWN)
    if first:
        file.seek(first)
    blocks, left, loudest = [np.zeros(0, np.float32)], last - first, 0.0
    while left and len(block_NC := file.read(min(BLOCK, left), dtype="float32", always_2d=True)):
        blocks.append(block_NC.mean(1))
        left -= len(block_NC)
        loudest = max(loudest, float(np.abs(block_NC).max()))
    samples_N = np.concatenate(blocks)
    if known and left:
        found = first + len(samples_N)
        raise InputError(f"{path}: must hold the {file.frames} samples that it says, got {found}; fetch it again")
    if not known:
        first, last = _span(path, start, end, file.samplerate, len(samples_N))
        samples_N = samples_N[first:last]
    damage = header_damage(file) if not first and known else ()
    return Cut(file.samplerate, samples_N, loudest, damage)


def header_damage(file: Any) -> tuple[str, ...]:
    """Remarks on what an open sound file lacks of the bytes that its header says."""
    sizes = SIZES.search(file.extra_info)
    said, there = map(int, sizes.groups()) if sizes else (0, 0)
    seconds = file.frames / file.samplerate
    short = there < said < PIPED and seconds * (said / max(1, there) - 1) > SLACK
    damage: tuple[str, ...] = (cut_off(seconds, seconds * said / there),) if short else ()
    return damage + ((LAST_PAGE,) if "Junk after the last page" in file.extra_info else ())


def _decode(path: Path) -> Cut | None:
    """All of a file by the decoder of videos, at its first rate; None for what that does not read either."""
    from seqkit.data.clock import Clock
    from seqkit.data.container import first_stream, opened, read_clock, whole
    from seqkit.data.media_length import missing
    from seqkit.data.sound_track import to_channels

    parts: list[tuple[int, list[Floats]]] = []  # of several rates where files are joined
    loudest, notes = 0.0, list[str]()
    try:
        with opened(path) as container:
            stream = first_stream(container, path, "audio")
            if stream is None or container.format.name.split(",")[0] not in OTHERS:
                return None
            if first_stream(container, path, "video") is not None:
                return _beside_pictures(path)
            for frame in whole(container, stream, notes.append, Clock()):
                if not parts or parts[-1][0] != frame.sample_rate:
                    check_rate(path, frame.sample_rate)
                    parts.append((frame.sample_rate, []))
                samples_CN = to_channels(frame)
                loudest = max(loudest, float(np.abs(samples_CN).max(initial=0.0)))
                parts[-1][1].append(samples_CN.mean(0))
            notes += missing(path, container, read_clock(path))
    except InputError:
        return None
    if not parts:
        return None
    return _join([(rate, np.concatenate(own)) for rate, own in parts], loudest)._replace(damage=tuple(notes))


def _beside_pictures(path: Path) -> Cut | None:
    """The sound of a video, from its first frame on; None where there is none."""
    from seqkit.data.sound_track import SAMPLE_RATE, read_sound

    notes: list[str] = []
    blocks = [block.astype(np.float32) / 2**15 for block in read_sound(path, note=notes.append)]
    if not blocks:
        return None
    samples_N = np.concatenate(blocks).astype(np.float32)
    loudest = 1.0 if CANCELED in notes else float(np.abs(samples_N).max())
    return Cut(SAMPLE_RATE, samples_N, loudest, tuple(note for note in notes if note not in (SILENT, CANCELED)))


def sound_zero(path: Path) -> float:
    """Second of the file's own clock at which its sound, or the picture beside it, begins."""
    from seqkit.data.container import start_offset

    try:
        return start_offset(path)
    except InputError:
        return 0.0


def _span(path: Path, start: float, end: float | None, rate: int, length: int) -> tuple[int, int]:
    """Returns the cut [first, last) in the file's own samples."""
    seconds = length / rate
    if not length:
        raise InputError(f"{path}: must hold at least one sample, got none; fetch it again")
    if end is not None and end > seconds + SLACK:
        raise InputError(f"{path}: `end` must be within the file's {seconds:g} seconds, got {end:g}; correct the item")
    first, last = round(start * rate), length if end is None else min(length, round(end * rate))
    if not 0 <= first < last:
        raise InputError(
            f"{path}: `start` must be from 0 to before the end ({last / rate:g} seconds), got {start:g}; "
            "correct the item"
        )
    return first, last


def check_rate(path: Path, rate: int) -> None:
    """Raises InputError for a sample rate that no sound has."""
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"{path}: must have {RATES[0]} to {RATES[1]} samples a second, got {rate}; fetch it again")
