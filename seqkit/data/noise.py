"""Additive noise at a given signal-to-noise ratio: white (as published), babble, or a recording.

A signal-to-noise ratio is 10 log10 of the mean square of the speech over that of the noise, in dB. Speech is measured
where there is some: within the words whose times are known, else in the windows of 25 ms whose energy is within 30 dB
of the loudest one's. Noise is measured over its whole length. Times are seconds from the first sample.

Random numbers come from the item's id alone: every system hears the same noise over an item, and a ratio changes
nothing but its level. For new noise in every epoch of training, let the key be the id and the item's seed.

N samples, at 16 kHz.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqkit.data.audio import SAMPLE_RATE, WINDOW, Floats

Words = Sequence[tuple[str, float, float]]  # word, start and end
Noise = Callable[[int, str], Floats]  # so many samples of noise for a key

QUIETEST = 30.0  # dB below the loudest window that still counts as speech


def generator(key: str) -> np.random.Generator:
    """Random generator seeded by a text alone."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4"))


def white(count: int, key: str) -> Floats:
    """White Gaussian noise."""
    return generator(key).standard_normal(count, np.float32)


@dataclass(frozen=True)
class Babble:
    """Babble noise: speech of `talkers` other items at equal level, each from a random offset, repeated as needed.

    `read` gives an item's samples. An item is another one where its id does not begin the key. Raises ValueError, when
    noise is asked for, where there are too few others.
    """

    ids: Sequence[str]
    read: Callable[[str], Floats]
    talkers: int = 6

    def __call__(self, count: int, key: str) -> Floats:
        rng, others = generator(key), [other for other in self.ids if not key.startswith(other)]
        if len(others) < self.talkers:
            raise ValueError(f"`ids` must hold {self.talkers} items other than {key!r}, got {len(others)}")
        voices = [self.read(others[i]) for i in rng.choice(len(others), self.talkers, replace=False)]
        total_N = np.zeros(count, np.float32)
        for voice_N in voices:
            total_N += _turned(voice_N, count, rng) / np.float32(_rms(voice_N) or 1.0)
        return total_N


@dataclass(frozen=True)
class Recording:
    """Recorded noise from a random offset per key, repeated as needed."""

    samples_N: Floats

    def __call__(self, count: int, key: str) -> Floats:
        return _turned(self.samples_N, count, generator(key))


def speech_rms(samples_N: Floats, words: Words = ()) -> float:
    """Root mean square of the speech; 0 for silence."""
    spans = [samples_N[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for _, start, end in words]
    if any(map(len, spans)):
        return _rms(np.concatenate(spans))
    windows = np.pad(samples_N, (0, -len(samples_N) % WINDOW)).reshape(-1, WINDOW)
    energy = np.mean(np.square(windows, dtype=np.float64), 1)
    loud = energy[energy >= energy.max(initial=0.0) * 10 ** (-QUIETEST / 10)]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


def add_noise(samples_N: Floats, snr: float | None, *, key: str, noise: Noise = white, words: Words = ()) -> Floats:
    """Adds noise at `snr` dB; `key` is the item's id. With None the samples stay as they are.

    Over silence no ratio is defined, and it stays as it is. Where the sum would leave -1 to 1 it is made less loud as
    a whole, so that a file can hold it unclipped; the ratio stays. Raises ValueError for silent noise.
    """
    level = speech_rms(samples_N, words)
    if snr is None or level == 0.0:
        return samples_N
    added_N = noise(len(samples_N), key)
    own = _rms(added_N)
    if own == 0.0:
        raise ValueError(f"`noise` must not be silent, got only zeros for {key!r}")
    mixed_N: NDArray[np.float32] = samples_N + added_N * np.float32(level / own * 10 ** (-snr / 20))
    peak = np.abs(mixed_N).max()
    return mixed_N / peak if peak > 1 else mixed_N


def _turned(samples_N: Floats, count: int, rng: np.random.Generator) -> Floats:
    """`count` samples from a random offset, repeated as needed."""
    turned_N: Floats = np.resize(np.roll(samples_N, -int(rng.integers(len(samples_N)))), count)
    return turned_N


def _rms(samples_N: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(samples_N, dtype=np.float64)))) if len(samples_N) else 0.0
