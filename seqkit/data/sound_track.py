"""The sound of media files: 16 kHz mono, on the clock of the picture.

Channels are averaged, as `seqkit.data.audio.read_audio` does, whatever their layout. Silence stands where the file has
no sound. Everything streams: memory does not grow with the length of a file.

C channels, N samples.
"""

import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from seqkit.data.clock import FRAME_RATE, Clock
from seqkit.data.container import Note, first_stream, first_time, ignore, opened, read_clock, whole
from seqkit.data.files import atomic_write
from seqkit.data.media_length import missing
from seqkit.data.resampling import resample
from seqkit.data.shards import openable
from seqkit.data.sound_file import header_damage, joined, oddities, read_cut, silence

Samples = NDArray[np.int16]
Floats = NDArray[np.float32]

SAMPLE_RATE = 16_000  # samples a second
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE
SLIP = 0.015  # seconds by which sound may be off its place before it is put right
BLOCK = SAMPLE_RATE  # samples of silence that are held at once


class Resampler:
    """Mono at 16 kHz of frames of any kind; a change of kind within a file begins anew."""

    def __init__(self) -> None:
        self.kind: tuple[object, ...] | None = None
        self.loudest = 0.0  # of all channels, of full scale
        self.finite = True
        self.own = av.AudioResampler("s16", "mono", SAMPLE_RATE)

    def resample(self, frame: Any) -> Iterator[Any]:
        """Frames of 16 kHz mono, with their times."""
        samples_CN = to_channels(frame)
        self.finite = self.finite and is_finite(frame)
        self.loudest = max(self.loudest, float(np.abs(samples_CN).max(initial=0.0)))
        kind = (frame.format.name, len(samples_CN), frame.sample_rate)
        if self.kind not in (None, kind):
            yield from self.own.resample(None)
            self.own = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        self.kind = kind
        if samples_CN.size:
            mono = av.AudioFrame.from_ndarray(samples_CN.mean(0, dtype=np.float32)[None], "fltp", "mono")
            mono.sample_rate, mono.pts, mono.time_base = frame.sample_rate, frame.pts, frame.time_base
            yield from self.own.resample(mono)

    def rest(self) -> Iterator[Any]:
        """What the filter still holds."""
        if self.kind is not None:
            yield from self.own.resample(None)


def is_finite(frame: Any) -> bool:
    """Whether all samples of a decoded frame are numbers."""
    return frame.format.name[:3] not in ("flt", "dbl") or bool(np.isfinite(frame.to_ndarray()).all())


def to_channels(frame: Any) -> Floats:
    """The samples (C, N) of a decoded frame, from -1 to 1."""
    values: NDArray[Any] = frame.to_ndarray()
    values_CN = values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T
    if values_CN.dtype == np.uint8:
        values_CN = values_CN.astype(np.float32) / 128 - 1
    elif values_CN.dtype.kind != "f":
        values_CN = values_CN / 2.0 ** (8 * values_CN.dtype.itemsize - 1)
    samples_CN: Floats = np.clip(np.nan_to_num(values_CN.astype(np.float32), posinf=1.0, neginf=-1.0), -1.0, 1.0)
    return samples_CN


def read_sound(path: Path, *, note: Note = ignore) -> Iterator[Samples]:
    """Yields blocks (N,) of samples, the first at the time of the first frame; none for a file without sound. `note`
    hears of damage and of silence.

    Raises InputError, naming the file, where it cannot be opened.
    """
    clock = read_clock(path)
    begin = first_time(path, clock)
    if begin is None and joined(path):
        yield from _whole_file(path, note)
        return
    with opened(path) as container:
        stream = first_stream(container, path, "audio", note)
        if stream is None:
            return
        resampler, place, loudest = Resampler(), 0, 0
        alone = begin is None
        hear = note if alone and clock.jumps else ignore
        hear(f"{clock.jumps} time stamps out of order")
        for frame in whole(container, stream, note, clock):
            for piece in resampler.resample(frame):
                samples: Samples = piece.to_ndarray()[0].astype(np.int16)
                begin = piece.time if begin is None else begin
                late = 0 if begin is None or piece.time is None else round((piece.time - begin) * SAMPLE_RATE) - place
                slips = abs(late) > SLIP * SAMPLE_RATE or place == 0
                for first in range(0, late if slips else 0, BLOCK):
                    yield np.zeros(min(BLOCK, late - first), np.int16)
                place += late if slips and late > 0 else 0
                samples = samples[-late if slips and late < 0 else 0 :]
                place += len(samples)
                if len(samples):
                    loudest = max(loudest, int(np.abs(samples.astype(np.int32)).max()))
                    yield samples
        yield from (piece.to_ndarray()[0].astype(np.int16) for piece in resampler.rest() if place)
        for remark in sound_remarks(path, container, clock) if alone else ():
            note(remark)
        if not resampler.finite:
            note("samples that are no finite numbers")
        if fault := silence(loudest / 2**15, resampler.loudest):
            note(fault)


def length_of(path: Path) -> float:
    """Seconds of a video or of sound, by its time stamps. Raises InputError where it cannot be opened."""
    clock = read_clock(path)
    if first_time(path, clock) is None and joined(path):
        cut = read_cut(path)
        return len(cut.samples_N) / cut.rate
    return max(0.0, clock.end - clock.begin)


def _whole_file(path: Path, note: Note) -> Iterator[Samples]:
    """Blocks of sound files that are joined to one, of which the decoder of videos may read the first alone."""
    cut = read_cut(path)
    for remark in oddities(cut):
        note(remark)
    samples_N = resample(np.clip(np.nan_to_num(cut.samples_N), -1.0, 1.0), cut.rate, SAMPLE_RATE)
    for first in range(0, len(samples_N), BLOCK):
        yield np.round(samples_N[first : first + BLOCK] * (2**15 - 1)).astype(np.int16)


def sound_remarks(path: Path, container: InputContainer, clock: Clock) -> tuple[str, ...]:
    """Remarks on what a file of sound alone lacks of its end."""
    import soundfile

    try:
        with soundfile.SoundFile(openable(path)) as file:
            found = header_damage(file) if file.format != "MP3" else ()
    except (soundfile.LibsndfileError, TypeError):  # the latter for a name that ends in .raw
        found = ()
    return found or missing(path, container, clock)


def write_wav(path: Path, blocks: Iterable[Samples], frames: int) -> bool:
    """Writes 16-bit sound of exactly `frames` frames; returns False, and writes nothing, where there is no sound. All
    blocks are read, so that remarks about them come."""
    blocks, left = iter(blocks), frames * SAMPLES_PER_FRAME
    first = next(blocks, None)
    if first is None:
        return False
    with atomic_write(path) as file, wave.open(file, "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE, left, "NONE", ""))
        while first is not None:
            sound.writeframes(first[:left].astype("<i2").tobytes())
            left -= min(left, len(first))
            first = next(blocks, None)
        sound.writeframes(bytes(2 * left))
    return True
